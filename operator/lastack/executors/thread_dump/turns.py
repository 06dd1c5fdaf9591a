"""One dump at a time on a host, also between `lastack run` and `lastack dump`: whose turn it is. Used by `series`.

Two who stop or ask one process at the same time get in each other's way, and a host in trouble has no time for many.
The turn is a lock on a file, which the kernel takes back when its holder ends. What only reads /proc needs none.
"""

import contextlib
import fcntl
import os
import pathlib
import stat
import tempfile
import time
from collections.abc import Iterator

from lastack.engine import samples
from lastack.kernel import procfs

_FOLDER = pathlib.Path("/run/lastack")
_FILE = "dumps.lock"
_TRY_EVERY_SECONDS = 0.01
_LONGEST_NOTE = 64


class Turn:
    """Held until close()."""

    def __init__(self, descriptor: int | None) -> None:
        """None where no file can be made for it: then everybody has it."""
        self._descriptor = descriptor

    def close(self) -> None:
        """Give it back. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)


def take(pid: int, within_seconds: float) -> Turn | str:
    """The turn to dump this process; or, when it is not ours `within` this time, a sentence that names its holder."""
    descriptor = _opened()
    if descriptor is None:
        return Turn(None)
    deadline = time.monotonic() + within_seconds
    while not _is_locked(descriptor):
        if time.monotonic() >= deadline:
            note = os.pread(descriptor, _LONGEST_NOTE, 0).decode(errors="replace")
            os.close(descriptor)
            return _holder(note)
        time.sleep(_TRY_EVERY_SECONDS)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {pid}".encode(), 0)
    return Turn(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(note: str) -> str:
    words = note.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return "another lastack is taking a dump"
    holder, pid = words
    command = procfs.command_line(int(holder))
    named = "" if isinstance(command, samples.Missing) else f" ({_short(command)})"
    return f"process {holder}{named} is taking a dump of process {pid}"


def _short(command: tuple[str, ...]) -> str:
    """`lastack run` of what may be the path of an interpreter, of a script, and its arguments."""
    at = next((place for place, word in enumerate(command) if word.endswith("lastack")), 0)
    return " ".join([pathlib.PurePath(command[at]).name, *command[at + 1 : at + 2]]) if command else "lastack"


def _opened() -> int | None:
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            # In /tmp anybody could have made it first.
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                return os.open(folder / _FILE, flags, 0o600)
    return None


def _folders() -> Iterator[pathlib.Path]:
    """Root has one for the host; another user has one of its own, and can reach its own processes only."""
    if os.geteuid() == 0:
        yield _FOLDER
    yield pathlib.Path(tempfile.gettempdir()) / f"lastack-{os.geteuid()}"
