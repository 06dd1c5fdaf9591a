"""Thread stacks as every runtime's reader delivers them. Used by `groups` (what they say) and `series`; pure."""

import dataclasses
import datetime as dt
import re

from lastack.engine import samples
from lastack.executors.thread_dump import masks

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One call; `application` is false for the runtime's own library and installed packages."""

    function: str
    file: str
    line: int
    application: bool

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.function} ({place})" if place else self.function


@dataclasses.dataclass(frozen=True, slots=True)
class Lock:
    """What a thread waits for: `id` is unique in one dump, `kind` its class or type."""

    id: str
    kind: str


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """What the kernel says of a thread: the system call in which it sleeps, and the connection that it waits for.

    `call` is None while it runs and for a call that has no name here; `peer` is "ADDRESS:PORT". `program` is the name
    of the program that waits for that connection, where it is not the thread itself but one that it runs.
    """

    call: str | None
    running: bool
    side: samples.Side = "other"
    peer: str | None = None
    program: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ThreadStack:
    """One thread at one instant, `frames` innermost first.

    `role` is equal for threads that do the same kind of work: the function that they were started with, "main" for
    the main thread. `waits_for_work` is true in an accept loop, an idle event loop or an idle pool.
    """

    pid: int
    thread: int
    name: str
    role: str
    active: bool
    waits_for_work: bool
    frames: tuple[Frame, ...]
    state: str | None = None
    """What the runtime calls it (RUNNABLE, BLOCKED, "IO wait"); None where it has no word for it."""
    waits_for: Lock | None = None
    """The lock or condition that it stands at, where the runtime tells."""
    holds: tuple[str, ...] = ()
    """Ids of the locks that it holds, where the runtime tells."""
    wait: Wait | None = None
    """What it waits for in the kernel; None where that could not be seen."""
    rests: bool = False
    """An event loop that waits for its next event: tasks may wait in it, of which no stack tells."""

    @property
    def place(self) -> Frame | None:
        """Where it stands: the first frame of the application, else the innermost one."""
        return next(
            (frame for frame in self.frames if frame.application), self.frames[0] if self.frames else None
        )


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessDump:
    """All threads of one process at one instant.

    `raw` is what the runtime said, byte for byte, in the format `suffix` (as in a file's name); `runtime` is its
    name in sentences. `of_kernel`: its threads are the kernel's, and `thread` is their id there; goroutines are not.
    `partial` says why threads or frames may be missing from it; None where it is whole as far as can be told.
    """

    pid: int
    parent: int
    command: str
    at: dt.datetime
    threads: tuple[ThreadStack, ...]
    raw: bytes
    runtime: str = "CPython"
    suffix: str = "json"
    of_kernel: bool = True
    partial: str | None = None
    way: str = ""
    """How it was read, where one runtime can be read in several ways: frames of one are like no other's."""


def plain(text: str) -> str:
    """A name from the process, which may hold anything, without control characters, direction marks and secrets."""
    return masks.masked(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text))


def plain_line(text: str) -> str:
    """The same for a line of which the tabs are meant."""
    return "\t".join(plain(part) for part in text.split("\t"))
