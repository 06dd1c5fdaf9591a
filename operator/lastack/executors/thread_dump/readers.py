"""Who reads the threads of which runtime: one reader each, in one table. Used by `series`; extended here.

A reader begins a reading, which goes on beside its caller, and turns what came of it into stacks.
"""

import datetime as dt
import pathlib
from typing import Protocol

from lastack.executors.thread_dump import (
    cpython,
    delve,
    go_fetch,
    go_profile,
    hotspot,
    hotspot_attach,
    kernel_view,
    native_frames,
    native_stacks,
    py_spy,
    runtimes,
    stacks,
    v8_stacks,
)
from lastack.policy import valid


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
    """Reads one runtime. `passive`: it sends nothing and stops nothing, so that it needs nobody's turn."""

    @property
    def passive(self) -> bool:
        """Whether the process cannot notice it."""
        ...

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Begin; `now` is the steady clock. Raises WorldError, and nothing was sent, where it could harm."""
        ...

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The stacks in a raw dump. Raises Unsupported when it has another shape than is known."""
        ...


class CPythonReader:
    """By py-spy, from outside. Where it may not look, nobody may."""

    passive = False

    def __init__(self, program: pathlib.Path | None = None) -> None:
        """`program` is py-spy; None finds it when it is needed."""
        self._program = program

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Start py-spy. Raises Unsupported where it is not installed."""
        del now  # nothing about it is dangerous to a young process
        return py_spy.Dumping(self._program or py_spy.find_program(), pid, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return cpython.read(raw, pid=pid, parent=parent, command=command, at=at)


class HotSpotReader:
    """By attach, as jcmd does; the pause is the JVM's own safepoint."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Ask for it, where that is safe."""
        del settings  # a safepoint is some milliseconds and cannot be bounded from outside
        return hotspot_attach.Asking(pid, now)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of Thread.print."""
        return hotspot.read(raw, pid=pid, parent=parent, command=command, at=at)


class GoReader:
    """By the profile that the program serves itself."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Ask its own listeners."""
        del settings, now  # goroutines are stopped for microseconds, by the program itself
        return go_fetch.Fetching(pid)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of the profile."""
        return go_profile.read(raw, pid=pid, parent=parent, command=command, at=at)


class DelveReader:
    """By delve, which stops the whole program: only where the policy allows that, and delve is installed."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Start the child that asks delve."""
        del now  # no signal is sent
        return delve.begin(pid, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """In the words of the profile."""
        return go_profile.read(raw, pid=pid, parent=parent, command=command, at=at)


class NodeReader:
    """By reading V8's own records of its stack from memory; the main thread stands for it only while it runs."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Start the child that reads."""
        return v8_stacks.begin(pid, runtimes.Kind.NODE.value, settings.max_pause, now)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return v8_stacks.read(raw, pid=pid, parent=parent, command=command, at=at)


class NativeReader:
    """By walking the native stacks of any program, each thread stopped for it: only where the policy allows that."""

    passive = False

    def __init__(self, kind: runtimes.Kind) -> None:
        """`kind` is what the dump says that the program is."""
        self._kind = kind

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Start the child that walks."""
        del now  # no signal is sent
        return native_stacks.begin(pid, self._kind.value, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON. The program file of a virtual machine holds no function of the application."""
        own = self._kind is runtimes.Kind.NATIVE
        return native_frames.read(raw, of_program=own, pid=pid, parent=parent, command=command, at=at)


class KernelReader:
    """What the kernel tells of any program's threads: no functions, but calls and sockets."""

    passive = True

    def __init__(self, kind: runtimes.Kind) -> None:
        """`kind` is what the dump says that the program is."""
        self._kind = kind

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Read /proc."""
        del settings, now  # nothing is stopped, and nothing is sent
        return kernel_view.Reading(pid, self._kind.value)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return kernel_view.read(raw, pid=pid, parent=parent, command=command, at=at)


SEEN_BY_KERNEL = (runtimes.Kind.NATIVE, runtimes.Kind.OTHER_JVM)
"""Runtimes that cannot be asked from outside without a stop, which the policy has to allow."""


class Readers:
    """Every reader that there is, by runtime."""

    def __init__(self, py_spy_program: pathlib.Path | None = None) -> None:
        """`py_spy_program` is for Python; None finds it."""
        self._py_spy = py_spy_program

    def of(self, kind: runtimes.Kind, settings: valid.ThreadDump) -> tuple[Reader, ...]:
        """Who reads it, as far as the settings allow: the best first, then the next best things.

        Empty for what has no threads to dump. Where py-spy may not look at a Python program, nobody may.
        """
        native = (NativeReader(kind),) if settings.native_stacks else ()
        match kind:
            case runtimes.Kind.CPYTHON:
                return (CPythonReader(self._py_spy),)
            case runtimes.Kind.JVM:
                return (HotSpotReader(), *native, KernelReader(kind))
            case runtimes.Kind.GO:
                debugger = (DelveReader(),) if settings.native_stacks else ()
                return (GoReader(), *debugger, KernelReader(kind))
            case runtimes.Kind.NODE:
                return (NodeReader(), *native, KernelReader(kind))
            case runtimes.Kind.NATIVE | runtimes.Kind.OTHER_JVM:
                return (*native, KernelReader(kind))
            case runtimes.Kind.KERNEL:
                return ()


def all_readers(py_spy_program: pathlib.Path | None = None) -> Readers:
    """Every reader that there is."""
    return Readers(py_spy_program)
