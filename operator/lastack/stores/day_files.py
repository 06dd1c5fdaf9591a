"""The ledger as daily JSON lines, `ledger/2026-11-22.jsonl`: derived from the database, for people and backups.

Called by ledger after each commit. Put together in the order of their names the files are the whole chain: when
the clock steps back, entries go on in the latest file.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

from lastack import errors
from lastack.runbook import canonical, chain
from lastack.stores import durable_files

_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.jsonl")
_BLOCK = 64 * 1024


class DayFiles:
    """The files of one state directory."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._unsynced: set[pathlib.Path] = set()

    def paths(self) -> list[pathlib.Path]:
        """The files there are, oldest first."""
        with durable_files.translated(self.folder):
            return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def lines(self) -> Iterator[bytes]:
        """Every whole line of every file, in order."""
        for path in self.paths():
            with durable_files.translated(path), path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))

    def head(self) -> chain.Head | None:
        """The last whole line's number and hash, None when there is none. A cut line after it is removed.

        Raises NotAnEntry when the last whole line is none.
        """
        for path in reversed(self.paths()):
            with durable_files.translated(path):
                line = _last_line(path)
            if line is not None:
                return head_of(line)
        return None

    def append(self, news: Iterable[bytes]) -> None:
        """Add lines (without line breaks) to the file of their day. Raises StateUnusable; then nothing was added."""
        newest = next((path.name.removesuffix(".jsonl") for path in reversed(self.paths())), "")
        by_day: dict[str, list[bytes]] = {}
        for line in news:
            newest = max(newest, str(canonical.read(line)["at"])[:10])
            by_day.setdefault(newest, []).append(line)
        for day, rows in by_day.items():
            path = self.folder / f"{day}.jsonl"
            with durable_files.translated(path):
                _append(path, b"\n".join(rows) + b"\n")
            self._unsynced.add(path)

    def sync(self) -> None:
        """Bring everything that was added to the disk."""
        while self._unsynced:
            path = self._unsynced.pop()
            with durable_files.translated(path):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                durable_files.sync_folder(self.folder)

    def set_aside(self, name: str) -> pathlib.Path:
        """Move the whole folder beside itself and begin an empty one."""
        aside = self.folder.with_name(name)
        with durable_files.translated(self.folder):
            self.folder.rename(aside)
        durable_files.make_folder(self.folder)
        return aside


def head_of(line: bytes) -> chain.Head:
    """The number and hash that a line says. Raises NotAnEntry."""
    found = canonical.read(line)
    seq, digest = found.get("seq"), found.get("hash")
    if not isinstance(seq, int) or not isinstance(digest, str):
        raise errors.NotAnEntry("the line has no seq or no hash")
    return chain.Head(seq, digest)


def _last_line(path: pathlib.Path) -> bytes | None:
    """The last whole line of a file; bytes after its line break are cut off, they were never wholly written."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        tail, start = b"", end
        while start > 0 and tail.count(b"\n") < 2:
            size = min(_BLOCK, start)
            start -= size
            file.seek(start)
            tail = file.read(size) + tail
        whole = tail[: tail.rfind(b"\n") + 1]
        if len(whole) < len(tail):
            file.truncate(start + len(whole))
    return whole[:-1].rpartition(b"\n")[2] if whole else None


def _append(path: pathlib.Path, block: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            left = memoryview(block)
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
