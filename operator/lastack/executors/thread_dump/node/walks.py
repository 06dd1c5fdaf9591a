"""The JavaScript stack of a thread that stands still, from its registers and memory. Called by `child`; pure.

Every frame of V8 begins with the frame before it, the return address, and a context (JavaScript) or a number that says
which kind of frame it is. Functions that the optimising compiler put into others have no frame and are not seen. The
memory may be torn or hostile: what is not as it should be is left out and makes the stack partial, and no chain is
followed downwards or for ever.
"""

import bisect
import collections
import dataclasses
import struct
from collections.abc import Iterator, Sequence

from lastack.executors.thread_dump.node import memories, metadata, objects, sources

MOST_FRAMES = 256
_MOST_HOPS = 4096
_MOST_NATIVE = 256
_MOST_SUSPECTS = 200
_NEAR_BYTES = 128 << 10
"""How far above the stack pointer the functions of V8 are that hold a pointer to their isolate."""
_SELF_BYTES, _ISOLATE_BYTES = 0x400, 0x6000
"""At the beginning of an isolate stands its own address; further down, by version, where JavaScript was left."""
_SAVED = range(3, 16)
"""Words below an entry frame among which the exit frame before it is kept."""
_LOWEST = 0x1000

_UNNAMED = "<anonymous>"
_WEB_ASSEMBLY = "WasmFrame"
_SCRIPTLESS = {"IrregexpFrame": "a regular expression", _WEB_ASSEMBLY: "WebAssembly"}


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """What is mapped: the stack from its pointer up to its end, what may be written, what may be executed.

    `generated` is of that what no file holds. Spans are (start, end), in order.
    """

    low: int
    high: int
    writable: Sequence[tuple[int, int]]
    executable: Sequence[tuple[int, int]]
    generated: Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Registers:
    """Of a thread that was stopped; `bytecodes` and `offset` mean something while it is in the interpreter."""

    code: int
    frame: int
    bytecodes: int = 0
    offset: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One call. `position` is where it stands if `exact`, else the function's head."""

    function: str
    script: str
    kind: str
    source: sources.Source | None = None
    position: int | None = None
    exact: bool = False

    @property
    def line(self) -> int:
        """Of the position, from 1; 0 where it is not known. Reads the source, which may take a while."""
        return 0 if self.source is None or self.position is None else self.source.line(self.position)


@dataclasses.dataclass(frozen=True, slots=True)
class Stack:
    """Innermost first; empty where no JavaScript is on the stack. `partial` says what could not be read."""

    frames: tuple[Frame, ...]
    partial: str | None = None


def walk(
    memory: memories.Memory, layout: metadata.Layout, ground: Ground, registers: Registers | None
) -> Stack:
    """The stack of a thread; without `registers` of one that sleeps in a system call, which needs no stop."""
    walking = _Walking(memory, layout, ground, registers)
    if registers is not None and _holds(ground.generated, registers.code):
        return walking.native(registers.frame)
    # V8 keeps where JavaScript was left for something else, exactly as long as that lasts.
    left = walking.left()
    if left is not None:
        return walking.strict(left)
    # Either it runs in code that V8 brings along, or in a function of C that was called without such a mark.
    return walking.native(registers.frame) if registers is not None else Stack(())


def _holds(spans: Sequence[tuple[int, int]], address: int) -> bool:
    at = bisect.bisect_right(spans, (address, 1 << 64)) - 1
    return at >= 0 and spans[at][0] <= address < spans[at][1]


class _Walking:
    """One walk."""

    def __init__(
        self,
        memory: memories.Memory,
        layout: metadata.Layout,
        ground: Ground,
        registers: Registers | None,
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._ground = ground
        self._registers = registers
        self._heap = objects.Heap(memory, layout)
        self._kinds = {value: name for name, value in layout.frames.items()}

    def left(self) -> int | None:
        """The frame in which JavaScript was left, as the isolate has it; None where none was."""
        for isolate in self._suspects():
            try:
                if isolate not in _words(self._memory.read(isolate, _SELF_BYTES)):
                    continue
                words = _words(self._memory.read(isolate, _ISOLATE_BYTES))
            except memories.Torn:
                continue
            found = [word for word in words if self._is_exit(word)]
            if found:
                return min(found)
        return None

    def native(self, frame: int) -> Stack:
        """From a frame pointer that may be that of a function in C, or no frame pointer at all."""
        for _ in range(_MOST_NATIVE):
            if not self._is_frame(frame):
                return Stack(())
            try:
                if self._is_of_v8(frame):
                    return self.strict(frame)
                above = self._memory.word(frame)
            except memories.Torn:
                return Stack(())
            if above <= frame:
                return Stack(())
            frame = above
        return Stack(())

    def strict(self, frame: int) -> Stack:
        """From a frame of V8 on, to the outermost."""
        frames: list[Frame] = []
        torn = 0
        innermost = True
        for _ in range(_MOST_HOPS):
            if len(frames) >= MOST_FRAMES:
                break
            try:
                kind = self._kind(frame)
                told = self._frame(frame, kind, innermost=innermost)
                above = self._above(frame, kind)
            except memories.Torn as problem:
                torn += 1
                told, above = None, self._salvaged(frame)
                if above is None:
                    return Stack(tuple(frames), f"its frames end early: {problem} was expected")
            if told is not None:
                frames.append(told)
                innermost = False
            if above is None:
                break
            if not self._is_frame(above) or above <= frame:
                return Stack(tuple(frames), "its frames end early: the next one is not on the stack")
            frame = above
        return Stack(tuple(frames), f"{torn} of its frames could not be read" if torn else None)

    def _kind(self, frame: int) -> str | None:
        """V8's name for the kind of frame; None for one of JavaScript, which has a context there."""
        mark = self._memory.word(frame + self._layout.frame_context)
        if mark & 1:
            return None
        name = self._kinds.get(mark >> 1)
        if name is None:
            raise memories.Torn("a kind of frame")
        return name

    def _frame(self, frame: int, kind: str | None, *, innermost: bool) -> Frame | None:
        """What is told of it; None for what holds no function of the program."""
        if kind is not None:
            name = _SCRIPTLESS.get(kind)
            return None if name is None else Frame(name, "", kind)
        function = self._heap.function(self._memory.word(frame + self._layout.frame_function))
        if function.source is None:
            # Closures that V8 makes for itself have neither a script nor a name.
            return Frame(function.name, "", "builtin") if function.name else None
        made, position = self._code(frame, innermost=innermost)
        return Frame(
            function.name or _UNNAMED,
            function.script,
            made,
            function.source,
            function.position if position is None else position,
            exact=position is not None,
        )

    def _code(self, frame: int, *, innermost: bool) -> tuple[str, int | None]:
        """What kind of code it is in, and its position where that kind tells it."""
        bytecodes = self._memory.word(frame + self._layout.frame_bytecode)
        if not self._heap.is_a(bytecodes, "BytecodeArray"):
            return "compiled", None
        slot = self._memory.word(frame + self._layout.frame_bytecode_offset)
        if slot & 0xFFFFFFFF:
            return "compiled", None  # the first compiler has a pointer there
        # The slot is written at calls; between them the interpreter itself has the offset in a register.
        now = self._registers if innermost else None
        if now is not None and (now.frame, now.bytecodes) == (frame, bytecodes):
            position = self._heap.position_at(bytecodes, now.offset)
            if position is not None:
                return "interpreted", position
        return "interpreted", self._heap.position_at(bytecodes, slot >> 32)

    def _above(self, frame: int, kind: str | None) -> int | None:
        """The frame that called it; beyond an entry frame that in which JavaScript was left for C; None: no more."""
        if kind is None or not kind.endswith("EntryFrame"):
            return self._memory.word(frame)
        saved = [self._memory.word(frame - memories.WORD * index) for index in _SAVED]
        outer = [word for word in saved if word > frame and self._is_exit(word)]
        return min(outer, default=None)

    def _salvaged(self, frame: int) -> int | None:
        """The next frame above one that makes no sense."""
        try:
            above = self._memory.word(frame)
            return above if above > frame and self._is_frame(above) and self._is_of_v8(above) else None
        except memories.Torn:
            return None

    def _is_frame(self, address: int) -> bool:
        return (
            self._ground.low <= address <= self._ground.high - 2 * memories.WORD
            and address % memories.WORD == 0
        )

    def _is_of_v8(self, frame: int) -> bool:
        """Whether it holds a function, in a way that no frame of C does by chance."""
        if not _holds(self._ground.executable, self._memory.word(frame + memories.WORD)):
            return False
        mark = self._memory.word(frame + self._layout.frame_context)
        content = self._memory.word(frame + self._layout.frame_function)
        if mark & 1 == 0:
            # A number as small stands in many frames; WebAssembly keeps its instance below.
            return self._kinds.get(mark >> 1) == _WEB_ASSEMBLY and self._heap.is_object(content)
        try:
            self._heap.function(content)
        except memories.Torn:
            return False
        return True

    def _is_exit(self, frame: int) -> bool:
        """Whether JavaScript was left there: its kind says so, and it keeps the stack pointer of that moment."""
        if not self._is_frame(frame):
            return False
        try:
            mark = self._memory.word(frame + self._layout.frame_context)
            pointer = self._memory.word(frame + self._layout.frame_function)
            above, code = self._memory.word(frame), self._memory.word(frame + memories.WORD)
        except memories.Torn:
            return False
        kind = self._kinds.get(mark >> 1, "") if mark & 1 == 0 else ""
        return (
            kind.endswith("ExitFrame")
            and self._ground.low - _LOWEST <= pointer < frame
            and above > frame
            and self._is_frame(above)
            and _holds(self._ground.executable, code)
        )

    def _suspects(self) -> Iterator[int]:
        """Addresses on the stack that may be an isolate's, the most frequent first: every function of V8 has it."""
        ground = self._ground
        size = min(_NEAR_BYTES, ground.high - ground.low)
        try:
            content = self._memory.read(ground.low, size // memories.WORD * memories.WORD)
        except memories.Torn:
            return
        counted = collections.Counter(_words(content))
        left = _MOST_SUSPECTS
        for word, _ in counted.most_common():
            if word < _LOWEST or word % memories.WORD or not _holds(ground.writable, word):
                continue
            if ground.low <= word < ground.high:
                continue
            yield word
            left -= 1
            if not left:
                return


def _words(content: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(content) // memories.WORD}Q", content)
