"""Reads a recording look by look, also one that is cut or damaged: up to there it is whole. Called by cli.replaying.

A recording comes from somebody else: nothing in it is trusted to be small, complete or of the right shape.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import types
import zlib
from collections.abc import Iterator
from typing import IO, Self

from lastack import errors
from lastack.engine import instants, samples
from lastack.stores import merge_patches, recordings, sample_trees

_ANY_FRAME = 47
"""zlib's window bits for its largest window in a gzip or zlib frame."""
_GZIP_MAGIC = b"\x1f\x8b"
_TOO_DEEP = "it is nested too deep"
_BLOCK = 256 * 1024
_LONGEST_LINE = 256 * 1024 * 1024
"""A look at two million sockets is shorter; a longer line is no look."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One look at one place; the sample is made of it only when it is wanted."""

    place: int
    deep: bool
    at: instants.Now
    tree: merge_patches.Object

    def sample(self) -> samples.Sample:
        """The look. Raises ValueError when something in it is not of its type."""
        try:
            return sample_trees.read(self.tree)
        except RecursionError as problem:
            raise ValueError(_TOO_DEEP) from problem


class Replay:
    """An open recording; a context manager. `frames` goes through it once, then `end` and `damage` are known."""

    def __init__(self, path: pathlib.Path) -> None:
        """Open it and read the header. Raises NotARecording, NotPermitted, NotReachable."""
        self.name = str(path)
        self.end: recordings.End | None = None
        self.damage: str | None = None
        """What is wrong after the last whole line; None when nothing is."""
        self._file = _opened(path)
        try:
            self._lines = _lines(self._file)
            self.header = self._read_header()
        except errors.LastackError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._file.close()

    def frames(self) -> Iterator[Frame]:
        """Every whole look, in the order in which they were taken."""
        before: dict[int, merge_patches.Object] = {}
        number = 1
        try:
            for line in self._lines:
                number += 1
                found = self._parsed(line, before)
                if found is None:
                    return
                before[found.place] = found.tree
                yield found
            self.damage = f"it is cut after line {number}"
        except RecursionError:
            self.damage = f"line {number} cannot be read: {_TOO_DEEP}"
        except ValueError as problem:
            self.damage = f"line {number} cannot be read: {problem}"
        except _DamagedError as problem:
            self.damage = f"it {problem} after line {number}"

    def _read_header(self) -> recordings.Header:
        try:
            first = next(self._lines, None)
            if first is None:
                raise recordings.not_one(self.name, "it is empty")
            return recordings.read_header(json.loads(first), self.name)
        except (ValueError, RecursionError) as problem:
            raise recordings.not_one(self.name, "its first line is no JSON") from problem
        except _DamagedError as problem:
            raise recordings.not_one(self.name, f"it {problem} before its first look") from problem

    def _parsed(self, line: bytes, before: dict[int, merge_patches.Object]) -> Frame | None:
        """The look of a line, None for the last line. Raises ValueError."""
        value = json.loads(line)
        if not isinstance(value, dict):
            raise _wrong("an object")
        if "end" in value:
            self.end = recordings.read_end(value["end"])
            return None
        place, patch = value.get("place"), value.get("look")
        if type(place) is not int or not 0 <= place < len(self.header.places):
            raise _wrong("the number of a place")
        if not isinstance(patch, dict):
            raise _wrong("a look")
        tree = merge_patches.merged(before.get(place, {}), patch)
        return Frame(place, value.get("deep") is True, sample_trees.instant(tree), tree)


class _DamagedError(Exception):
    """The file ends or breaks; what it is, as the end of a sentence."""


def _wrong(expected: str) -> ValueError:
    return ValueError(f"expected {expected}")


def _opened(path: pathlib.Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as problem:
        raise errors.NotARecording(
            f"{path} is not there", fix="give a file that `lastack record FILE` wrote"
        ) from problem
    except IsADirectoryError as problem:
        raise recordings.not_one(str(path), "it is a folder") from problem
    except PermissionError as problem:
        raise errors.NotPermitted(
            f"{path} cannot be read: {problem.strerror}",
            fix="a recording is readable by whoever made it: run as that user, or as root",
        ) from problem
    except OSError as problem:
        raise errors.NotReachable(f"{path} cannot be read: {problem.strerror}") from problem


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, unpacked; also of a recording that somebody has unpacked already. Raises _DamagedError."""
    rest: list[bytes] = []
    waiting = 0
    for text in _texts(file):
        *whole, last = text.split(b"\n")
        for piece in whole:
            yield b"".join([*rest, piece])
            rest, waiting = [], 0
        rest.append(last)
        waiting += len(last)
        if waiting > _LONGEST_LINE:
            raise _DamagedError("has a line that is too long")
    if waiting:
        raise _DamagedError("is cut in the middle of a line,")


def _texts(file: IO[bytes]) -> Iterator[bytes]:
    block = _read(file)
    packed = block.startswith(_GZIP_MAGIC)
    unpacking = zlib.decompressobj(_ANY_FRAME)
    while block:
        if not packed:
            yield block
        try:
            while packed and block and not unpacking.eof:
                # Never more at once than a block, whatever it unpacks to.
                yield unpacking.decompress(block, _BLOCK)
                block = unpacking.unconsumed_tail
        except zlib.error as problem:
            raise _DamagedError("is damaged") from problem
        block = _read(file)


def _read(file: IO[bytes]) -> bytes:
    try:
        return file.read(_BLOCK)
    except OSError as problem:
        raise errors.NotReachable(f"{file.name} cannot be read: {problem.strerror}") from problem
