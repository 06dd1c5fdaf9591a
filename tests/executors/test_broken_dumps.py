"""Recorded dumps of every runtime, whole, cut, doubled and interleaved: what is not whole is said not to be."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.executors.thread_dump import groups, kernel_view, readers, runtimes, series, stacks
from lastack.executors.thread_dump.cpython import answers as cpython
from lastack.executors.thread_dump.golang import answers as go_profile
from lastack.executors.thread_dump.hotspot import answers as hotspot
from lastack.policy import valid
from tests import waiting
from tests.executors import worlds

HERE = pathlib.Path(__file__).parent
AT = dt.datetime(2026, 11, 22, 10, 0, 0, tzinfo=dt.UTC)
Parse = Callable[..., stacks.ProcessDump]
RECORDED: Mapping[str, tuple[Parse, str]] = {
    "hotspot-17": (hotspot.read, (HERE / "jvm" / "dump-17.txt").read_text()),
    "hotspot-25": (hotspot.read, (HERE / "jvm" / "dump-25.txt").read_text()),
    "go": (go_profile.read, (HERE / "recorded" / "go-1.26.txt").read_text()),
    "cpython": (cpython.read, (HERE / "recorded" / "cpython-3.11.json").read_text()),
    "kernel": (kernel_view.read, (HERE / "recorded" / "kernel.json").read_text()),
}
NAMES = sorted(RECORDED)


def parsed(name: str, raw: bytes) -> stacks.ProcessDump | None:
    """The dump, which can be grouped and told; None when the parser says that it is none."""
    try:
        dump = RECORDED[name][0](raw, pid=1, parent=0, command="served", at=AT)
    except errors.WorldError:
        return None
    assert groups.listing(groups.find([[dump], [dump]])) or not dump.threads
    return dump


def is_marked(name: str, text: str | bytes) -> bool:
    """Whether it is refused, or said not to be whole."""
    dump = parsed(name, text if isinstance(text, bytes) else text.encode())
    return dump is None or dump.partial is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_dump_is_not_called_partial(name: str) -> None:
    """Nobody would believe the word any more."""
    dump = parsed(name, RECORDED[name][1].encode())
    assert dump is not None
    assert (None, True) == (dump.partial, bool(dump.threads))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_dump_that_is_cut_says_so(name: str, data: st.DataObject) -> None:
    """At either end, anywhere that takes a letter of it away."""
    text = RECORDED[name][1].strip()
    last = {"hotspot-17": "JNI global ref", "hotspot-25": "JNI global ref"}.get(name)
    end = len(text) - 1 if last is None else text.rindex(last) + 5
    kept = data.draw(st.integers(0, end))
    assert is_marked(name, text[:kept].rstrip("\n"))
    lost = data.draw(st.integers(min(len(text), text.find("\n") + 1 + 40), len(text)))
    assert is_marked(name, text[lost:] + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_that_comes_twice_says_so(name: str) -> None:
    """Its numbers would be twice what is there."""
    text = RECORDED[name][1]
    assert is_marked(name, text + text)
    assert is_marked(name, f"{text}\n{text}")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_dumps_that_are_mixed_say_so(name: str, data: st.DataObject) -> None:
    """Two writers into one stream: the lines of one between those of another."""
    lines = RECORDED[name][1].splitlines()
    other = RECORDED[data.draw(st.sampled_from(NAMES))][1].splitlines()
    begin = data.draw(st.integers(0, len(lines) - 1))
    many = data.draw(st.integers(2, len(lines)))
    mixed = lines[:begin]
    for number, line in enumerate(lines[begin : begin + many]):
        mixed += [line, *other[number : number + 1]]
    dump = parsed(name, "\n".join([*mixed, *lines[begin + many :]]).encode())
    assert dump is None or dump.partial is not None or _same_threads(name, dump)


def _same_threads(name: str, dump: stacks.ProcessDump) -> bool:
    """Lines that no parser takes for its own change nothing."""
    whole = parsed(name, RECORDED[name][1].encode())
    assert whole is not None
    return [each.name for each in dump.threads] == [each.name for each in whole.threads]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_bytes_at_all_break_a_parser(name: str, data: st.DataObject) -> None:
    """Overwritten anywhere with anything: it is read or refused."""
    raw = bytearray(RECORDED[name][1].encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=8))
        raw[at : at + data.draw(st.integers(0, 8))] = noise
    parsed(name, bytes(raw))


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("hotspot-17", lambda text: text.partition("\nJNI")[0], "its end is missing"),
        ("hotspot-17", lambda text: text[200:], "its first line is missing"),
        ("hotspot-17", lambda text: text + text, "it begins more than once"),
        (
            "hotspot-17",
            lambda text: text.replace('"exec-1"', "exec-1"),
            "1 of 18 threads that it lists are missing",
        ),
        (
            "hotspot-17",
            lambda text: text.replace(" nid=0xf40 ", " nid= ", 1),
            "1 of 18 threads that it lists are missing",
        ),
        ("go", lambda text: text[:-20], "1 of its goroutines are cut or not understood"),
        ("go", lambda text: text.split("\n\n", 1)[1], "the goroutine that wrote it is missing"),
        ("go", lambda text: f"{text}\n{text}", "a goroutine stands in it twice"),
    ],
)
def test_why_it_is_not_whole_is_said(name: str, change: Callable[[str], str], why: str) -> None:
    """In words that tell a cut from a mixture."""
    dump = parsed(name, change(RECORDED[name][1]).encode())
    assert dump is not None
    assert why == dump.partial


@dataclasses.dataclass(frozen=True, slots=True)
class CutReader:
    """Gives what is left of a recorded dump (readers.Reader)."""

    raw: bytes
    passive: bool = True

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> readers.Reading:
        """It is there."""
        return CutReading(self.raw)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """By the parser of JVMs."""
        return hotspot.read(raw, pid=pid, parent=parent, command=command, at=at)


class OnlyCut(readers.Readers):
    """Whatever it is, its dump is cut."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    def of(self, kind: runtimes.Kind, settings: valid.ThreadDump) -> tuple[readers.Reader, ...]:
        """Nothing else."""
        return (CutReader(self._raw),)


@dataclasses.dataclass(frozen=True, slots=True)
class CutReading:
    """What came (readers.Reading)."""

    raw: bytes

    def wait(self, within: dt.timedelta) -> bytes | None:
        """All of it at once."""
        return self.raw

    def close(self) -> None:
        """Nothing goes on."""


def test_a_series_with_a_dump_that_is_not_whole_says_so() -> None:
    """In the sentence, and among what is missing; the threads that it has are told."""
    whole = RECORDED["hotspot-17"][1]
    settings = valid.ThreadDump(
        2, dt.timedelta(milliseconds=10), dt.timedelta(milliseconds=500), dt.timedelta(0)
    )
    with worlds.running_python("import time; print('up', flush=True); time.sleep(600)") as process:
        of = OnlyCut(whole.partition("\nJNI")[0].encode())
        taken = series.Series([process.pid], settings, lambda _one, _number: None, of)
        waiting.wait_until(
            lambda: taken.advance(worlds.RealClock().now()), within=worlds.WITHIN, what="the series"
        )
        assert (
            "its dump is not whole, threads or frames may be missing: its end is missing"
            in taken.missing[process.pid].message
        )
    assert groups.find(taken.rounds).text.endswith(" (at least: 2 of 2 dumps are not whole)")
