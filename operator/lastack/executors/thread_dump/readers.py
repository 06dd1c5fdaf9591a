"""Who reads the threads of which runtime: a package each, in one table. Used by `series`; extended here.

A reader begins a reading, which goes on beside its caller, and turns what came of it into stacks.
"""

import datetime as dt
import pathlib
from typing import Protocol

from lastack.executors.thread_dump import kernel_view, runtimes, stacks
from lastack.executors.thread_dump.cpython import reader as cpython
from lastack.executors.thread_dump.golang import reader as golang
from lastack.executors.thread_dump.hotspot import reader as hotspot
from lastack.executors.thread_dump.native import reader as native
from lastack.executors.thread_dump.node import reader as node
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
        walker = (native.Reader(kind),) if settings.native_stacks else ()
        match kind:
            case runtimes.Kind.CPYTHON:
                return (cpython.Reader(self._py_spy),)
            case runtimes.Kind.JVM:
                return (hotspot.Reader(), *walker, kernel_view.Reader(kind))
            case runtimes.Kind.GO:
                debugger = (golang.DelveReader(),) if settings.native_stacks else ()
                return (golang.ProfileReader(), *debugger, kernel_view.Reader(kind))
            case runtimes.Kind.NODE:
                return (node.Reader(), *walker, kernel_view.Reader(kind))
            case runtimes.Kind.NATIVE | runtimes.Kind.OTHER_JVM:
                return (*walker, kernel_view.Reader(kind))
            case runtimes.Kind.KERNEL:
                return ()


def all_readers(py_spy_program: pathlib.Path | None = None) -> Readers:
    """Every reader that there is."""
    return Readers(py_spy_program)
