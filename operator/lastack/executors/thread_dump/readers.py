"""Who reads the threads of which runtime: one reader each, in one table. Used by `series`; extended here.

A reader begins a reading, which goes on beside its caller, and turns what came of it into stacks.
"""

import datetime as dt
import pathlib
from collections.abc import Mapping
from typing import Protocol

from lastack.executors.thread_dump import (
    cpython,
    go_fetch,
    go_profile,
    hotspot,
    hotspot_attach,
    kernel_view,
    py_spy,
    runtimes,
    stacks,
)


class Reading(Protocol):
    """One dump of one process that is being taken."""

    def wait(self, within: dt.timedelta) -> bytes | None:
        """What the runtime said, or None when it is not there `within` this time: call again.

        Raises errors.WorldError with the reason when there will be none.
        """
        ...

    def close(self) -> None:
        """End it, whether it is done or not; the process is as it was found."""
        ...


class Reader(Protocol):
    """Reads one runtime. `instead` is the next best thing where a process cannot be asked."""

    @property
    def instead(self) -> "Reader | None":
        """Another reader, or None."""
        ...

    def begin(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> Reading:
        """Begin; `now` is the steady clock. Raises WorldError, and nothing was sent, where it could harm."""
        ...

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The stacks in a raw dump. Raises Unsupported when it has another shape than is known."""
        ...


class CPythonReader:
    """By py-spy, from outside. Where it may not look, nobody may."""

    instead = None

    def __init__(self, program: pathlib.Path | None = None) -> None:
        """`program` is py-spy; None finds it when it is needed."""
        self._program = program

    def begin(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> Reading:
        """Start py-spy. Raises Unsupported where it is not installed."""
        del now  # nothing about it is dangerous to a young process
        return py_spy.Dumping(self._program or py_spy.find_program(), pid, max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return cpython.read(raw, pid=pid, parent=parent, command=command, at=at)


class HotSpotReader:
    """By attach, as jcmd does; the pause is the JVM's own safepoint."""

    def __init__(self) -> None:
        """A JVM that must not be asked is looked at from the kernel's side."""
        self.instead = KernelReader(runtimes.Kind.JVM)

    def begin(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> Reading:
        """Ask for it, where that is safe."""
        del max_pause  # a safepoint is some milliseconds and cannot be bounded from outside
        return hotspot_attach.Asking(pid, now)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of Thread.print."""
        return hotspot.read(raw, pid=pid, parent=parent, command=command, at=at)


class KernelReader:
    """What the kernel tells of any program's threads: no functions, but calls and sockets."""

    instead = None

    def __init__(self, kind: runtimes.Kind) -> None:
        """`kind` is what the dump says that the program is."""
        self._kind = kind

    def begin(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> Reading:
        """Read /proc."""
        del max_pause, now  # nothing is stopped, and nothing is sent
        return kernel_view.Reading(pid, self._kind.value)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return kernel_view.read(raw, pid=pid, parent=parent, command=command, at=at)


class GoReader:
    """By the profile that the program serves itself; else as the kernel sees its threads."""

    def __init__(self) -> None:
        """Most programs serve none."""
        self.instead = KernelReader(runtimes.Kind.GO)

    def begin(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> Reading:
        """Ask its own listeners."""
        del max_pause, now  # goroutines are stopped for microseconds, by the program itself
        return go_fetch.Fetching(pid)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of the profile."""
        return go_profile.read(raw, pid=pid, parent=parent, command=command, at=at)


SEEN_BY_KERNEL = (runtimes.Kind.NODE, runtimes.Kind.NATIVE)
"""Runtimes that cannot be asked from outside without harm or a port of their own."""

Readers = Mapping[runtimes.Kind, Reader]


def all_readers(py_spy_program: pathlib.Path | None = None) -> Readers:
    """Every reader that there is."""
    return {
        runtimes.Kind.CPYTHON: CPythonReader(py_spy_program),
        runtimes.Kind.JVM: HotSpotReader(),
        runtimes.Kind.GO: GoReader(),
        **{kind: KernelReader(kind) for kind in SEEN_BY_KERNEL},
    }
