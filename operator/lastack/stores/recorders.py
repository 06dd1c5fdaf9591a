"""Writes a recording: one bounded file, flushed look by look, whole up to wherever it ends. Called by `lastack record`.

The file is made for its owner only and never written over something else unless told to.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import stat
import types
import zlib
from collections.abc import Iterator, Mapping
from typing import Self

from lastack import errors
from lastack.engine import samples
from lastack.stores import merge_patches, recordings, sample_trees

SMALLEST = 4 * 1024
"""Bytes that a recording must be allowed at least: its header, a small look and its end."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_GZIP = 31
"""zlib's window bits for its largest window in a gzip frame."""
_RESERVE = 128
"""Bytes kept free for the last line."""


class LimitReached(Exception):
    """The look would make the file larger than it may be; the recording has ended without it."""


class Recorder:
    """A recording in the making; a context manager. Looks are added until `end`, after which nothing is."""

    def __init__(
        self, path: pathlib.Path, header: recordings.Header, *, most_bytes: int, replace: bool = False
    ) -> None:
        """Make the file and write the header; with `replace` over what stands there, once the header is written.

        Raises UsageError where something stands that may not be replaced, NotPermitted, NotReachable, StateUnusable.
        """
        self.path = path
        self.looks = 0
        self.size = 0
        self._most_bytes = most_bytes
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._before: dict[int, merge_patches.Object] = {}
        self._ended = False
        made = path.with_name(f".{path.name}.new") if replace else path
        with _translated(path):
            _refuse_what_is_no_file(path)
            self._file = _make(made, replace=replace)
        try:
            self._line(recordings.header_line(header))
            if replace:
                with _translated(path):
                    made.replace(path)
        except (errors.LastackError, LimitReached) as problem:
            self.close()
            with contextlib.suppress(OSError):
                made.unlink()
            if isinstance(problem, LimitReached):
                raise errors.UsageError(
                    f"{most_bytes} bytes are too few for the header of {path} alone; expected a higher limit"
                ) from problem
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file as it is; without `end` before, it reads as cut."""
        os.close(self._file)

    def add(self, place: int, sample: samples.Sample, *, deep: bool) -> None:
        """Add one look at the place with that number.

        Raises LimitReached, and StateUnusable when the disk is full; what was added before stays readable.
        """
        tree = sample_trees.write(sample)
        patch = merge_patches.difference(self._before.get(place, {}), tree)
        try:
            self._line({"place": place, "deep": deep, "look": patch})
        except LimitReached:
            self.end("limit")
            raise
        except errors.WorldError:
            # A few bytes may fit all the same; without them the recording reads as cut, which it is.
            with contextlib.suppress(errors.WorldError):
                self.end("full")
            raise
        self._before[place] = tree
        self.looks += 1

    def end(self, why: recordings.Ended) -> None:
        """Write the last line and bring everything to the disk; only the first call does anything."""
        if self._ended:
            return
        self._ended = True
        self._line(recordings.end_line(recordings.End(why, self.looks)), last=True)
        with _translated(self.path):
            os.fsync(self._file)

    def _line(self, value: Mapping[str, object], *, last: bool = False) -> None:
        text = json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
        # A copy: only what came to stand in the file may be in the memory of the packer.
        packer = self._packer.copy()
        block = packer.compress(text) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        if not last and self.size + len(block) + _RESERVE > self._most_bytes:
            raise LimitReached
        with _translated(self.path):
            _append(self._file, block, after=self.size)
        self.size += len(block)
        self._packer = packer


def _refuse_what_is_no_file(path: pathlib.Path) -> None:
    """Raise UsageError where a device, a pipe or a folder stands, or a link to one as /dev/stdout is.

    A replacement is a rename: as root it would take /dev/null away from the whole host.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if not stat.S_ISREG(mode):
        raise errors.UsageError(
            f"{path} is no ordinary file, and is never replaced", fix="give the name of a file to make"
        )


def _make(path: pathlib.Path, *, replace: bool) -> int:
    how = os.O_TRUNC if replace else os.O_EXCL
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how, 0o600)


def _append(file: int, block: bytes, *, after: int) -> None:
    """Write the whole block, or leave the file as it was."""
    left = memoryview(block)
    try:
        while left:
            left = left[os.write(file, left) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, after)
            os.lseek(file, after, os.SEEK_SET)
        raise


@contextlib.contextmanager
def _translated(path: pathlib.Path) -> Iterator[None]:
    """Say in our own errors what the file system said."""
    try:
        yield
    except FileExistsError as problem:
        raise errors.UsageError(
            f"{path} is there already, and nothing is written over it",
            fix="give another name, or --force to replace it",
        ) from problem
    except IsADirectoryError as problem:
        raise errors.UsageError(f"{path} is a folder; expected the name of a file to make") from problem
    except PermissionError as problem:
        raise errors.NotPermitted(
            f"{path} cannot be written: {problem.strerror}",
            fix=f"give a file in a folder where you may write, or run as the owner of {path.parent}",
        ) from problem
    except OSError as problem:
        if problem.errno in _FULL:
            raise errors.StateUnusable(
                f"no room to write {path}: {problem.strerror}",
                fix=f"free some space on the file system of {path.parent}, or give a file on another one",
            ) from problem
        raise errors.NotReachable(f"{path} cannot be written: {problem.strerror}") from problem
