"""What is told of V8's memory when it is whole, torn or hostile: never a crash, never without an end."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.executors.thread_dump.node import memories, objects, walks
from tests.executors import v8_images
from tests.executors.v8_images import small


def image_of(many: int = 3) -> v8_images.Image:
    """A stack of so many calls of `price` in shop.js, below an entry frame."""
    image = v8_images.Image()
    script = image.script(image.string("/srv/shop.js"), image.string("let a;\nfunction price() {}\n"))
    name = image.string("price")
    image.mark(2, *[0] * 14)
    for _ in range(many):
        image.call(image.function(name, script))
    return image


def heap_of(image: v8_images.Image) -> objects.Heap:
    """To read single objects."""
    return objects.Heap(memories.Memory(image.read), v8_images.LAYOUT)


def test_functions_are_named_up_to_the_entry() -> None:
    """The whole stack."""
    found = image_of().walked()
    assert None is found.partial
    assert [("price", "/srv/shop.js")] * 3 == [(frame.function, frame.script) for frame in found.frames]


def test_what_calls_between_c_and_javascript_is_walked_over() -> None:
    """An entry frame keeps where JavaScript was left before."""
    image = image_of(1)
    image.mark(2 * 3, image.frame - 64)  # an exit frame, with the stack pointer of that moment
    exit_frame = image.frame
    image.put_at(exit_frame - 16, exit_frame - 16)
    image.mark(2, 0, 0, exit_frame, *[0] * 12)
    image.put_at(image.frame, v8_images.STACK + 8)  # the frame pointer of a function in C that keeps none
    script = image.script(image.string("b.js"), image.string("\n"))
    image.call(image.function(image.string("inner"), script))
    found = image.walked()
    assert ["inner", "price"] == [frame.function for frame in found.frames]
    assert None is found.partial


class TestStrings:
    """Of every kind, with an end."""

    def test_pieces(self) -> None:
        """Cons, thin, sliced, external, two bytes a character."""
        image = v8_images.Image()
        left, right = image.string("caf\u00e9 "), image.string("\u20ac\u00fc", v8_images.TWO_BYTE)
        cons = image.composed(v8_images.CONS, 7, left, right)
        thin = image.composed(v8_images.THIN, 5, left)
        sliced = image.composed(v8_images.SLICED, 2, left, small(2))
        chars = image.string("outside")
        external = image.composed(v8_images.EXTERNAL, 7, 0xDEAD0, chars - 1 + 16)
        heap = heap_of(image)
        told = [heap.text(each) for each in (cons, thin, sliced, external)]
        assert ["caf\u00e9 \u20ac\u00fc", "caf\u00e9 ", "f\u00e9", "outside"] == told

    def test_one_that_contains_itself(self) -> None:
        """It is cut, whichever way it does."""
        image = v8_images.Image()
        heap = heap_of(image)
        cons = image.composed(v8_images.CONS, 1 << 30, 0, 0)
        image.put(cons + 16, cons, cons)
        thin = image.composed(v8_images.THIN, 9, 0)
        image.put(thin + 16, thin)
        sliced = image.composed(v8_images.SLICED, 9, 0, small(1))
        image.put(sliced + 16, sliced)
        assert "" == heap.text(cons)
        for each in (thin, sliced):
            with pytest.raises(memories.Torn):
                heap.text(each)

    def test_one_that_says_that_it_is_endless(self) -> None:
        """As much as is wanted, and nothing where that is not there."""
        image = v8_images.Image()
        long = image.composed(v8_images.ONE_BYTE, 0x7FFFFFFF, *[0x6161616161616161] * 80)
        assert "a" * objects.MOST_CHARACTERS == heap_of(image).text(long)
        negative = image.composed(v8_images.ONE_BYTE, 0xFFFFFFFF)
        with pytest.raises(memories.Torn):
            heap_of(image).text(negative)


class TestAChain:
    """That leads nowhere."""

    def test_to_itself(self) -> None:
        """It ends there."""
        image = image_of()
        image.put_at(image.frame, image.frame)
        found = image.walked()
        assert ["price"] == [frame.function for frame in found.frames]
        assert "its frames end early: the next one is not on the stack" == found.partial

    def test_downwards(self) -> None:
        """Callers stand above."""
        image = image_of()
        image.put_at(image.frame, image.frame - 320)
        assert "its frames end early: the next one is not on the stack" == image.walked().partial

    def test_through_a_frame_that_makes_no_sense(self) -> None:
        """The others are told."""
        image = image_of(2)
        image.call(1 << 40 | 1)
        image.call(
            image.function(image.string("inner"), image.script(image.string("b.js"), image.string("\n")))
        )
        found = image.walked()
        assert ["inner", "price", "price"] == [frame.function for frame in found.frames]
        assert "1 of its frames could not be read" == found.partial

    def test_without_an_end(self) -> None:
        """No more frames than anybody reads."""
        image = v8_images.Image()
        function = image.function(
            image.string("deep"), image.script(image.string("deep.js"), image.string("\n"))
        )
        context = image.object(v8_images.CONTEXT)
        at = v8_images.STACK + 64
        first = at
        while at + 80 < v8_images.STACK + v8_images.STACK_BYTES:
            image.put_at(at - 16, function, context, at + 48, v8_images.CODE[0])
            at += 48
        found = image.walked(walks.Registers(v8_images.CODE[0], first))
        assert walks.MOST_FRAMES == len(found.frames)


def test_a_line_by_its_bytecode() -> None:
    """The table adds up: offset 3 stands at position 0, offset 7 at position 9, in the second line."""
    image = v8_images.Image()
    source = image.string("let a;\nfunction price() {}\n")
    # Offsets as zigzag from -1 on, positions with one bit below and one added.
    content = bytes([4 << 1, 1 << 2, 4 << 1, (9 << 1) << 1])
    table = image.object(190, small(len(content)), int.from_bytes(content, "little"))
    bytecodes = image.object(191, small(20), 1, 1, table, 0, 0, 0)
    image.mark(2, *[0] * 14)
    script = image.script(image.string("shop.js"), source)
    header = v8_images.LAYOUT.bytecode - 1
    wanted = {2: (0, False), 3: (1, True), 6: (1, True), 7: (2, True), 19: (2, True)}
    for offset, (line, exact) in wanted.items():
        image.call(image.function(image.string("price"), script), 0, bytecodes, small(offset + header))
        frame = image.walked().frames[0]
        assert (line, exact) == (frame.line, frame.exact), offset


@given(content=st.binary(max_size=2000), frame=st.integers(0, 1 << 64), registers=st.integers(0, 1 << 64))
def test_any_bytes_at_all(content: bytes, frame: int, registers: int) -> None:
    """Told is what is found, mostly nothing."""
    image = v8_images.Image()
    image.stack[: len(content)] = content
    image.heap[: len(content)] = content
    for start in (frame, v8_images.STACK + frame % v8_images.STACK_BYTES // 8 * 8):
        for code in (registers, v8_images.CODE[0]):
            image.walked(walks.Registers(code, start, registers, frame))


@given(seed=st.integers(0, 1 << 32), places=st.lists(st.integers(0, 1 << 20), min_size=1, max_size=60))
def test_a_stack_that_was_spoilt(seed: int, places: list[int]) -> None:
    """Words replaced by others of the same memory: pointers that lead to the wrong things, in circles, or nowhere."""
    image = image_of(5)
    chance = random.Random(seed)
    began = time.monotonic()
    for place in places:
        target = image.stack if place % 2 else image.heap
        words = [int.from_bytes(image.heap[at : at + 8], "little") for at in range(0, 0x800, 8)]
        word = chance.choice([*words, chance.getrandbits(64), chance.getrandbits(16) | 1, image.frame])
        at = place % (0x1000 if target is image.heap else len(target)) // 8 * 8
        if target is image.stack:
            at = len(target) - 1200 + at % 1200
        target[at : at + 8] = word.to_bytes(8, "little")
    found = image.walked()
    assert len(found.frames) <= walks.MOST_FRAMES
    assert time.monotonic() - began < 2
