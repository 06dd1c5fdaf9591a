"""Thread stacks as every runtime's reader delivers them. Used by `groups` (what they say) and `series`; pure."""

import dataclasses
import datetime as dt
import re

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One call; `application` is false for the runtime's own library and installed packages."""

    function: str
    file: str
    line: int
    application: bool

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


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

    @property
    def place(self) -> Frame | None:
        """Where it stands: the first frame of the application, else the innermost one."""
        return next(
            (frame for frame in self.frames if frame.application), self.frames[0] if self.frames else None
        )


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessDump:
    """All threads of one process at one instant; `raw` is what the runtime's tool said, byte for byte."""

    pid: int
    parent: int
    command: str
    at: dt.datetime
    threads: tuple[ThreadStack, ...]
    raw: bytes


def plain(text: str) -> str:
    """A name from the process, which may hold anything, without control characters and direction marks."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
