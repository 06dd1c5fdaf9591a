"""Columns of numbers as JSON: a list while they are short, packed text when they are long. Called by sample_trees.

Packed is the base64 of the zlib of the differences between neighbours, as 64-bit numbers whose first bytes stand
together, then their second bytes, and so on: a hundred thousand rows of a socket table become a few hundred
kilobytes. Where a difference does not fit 64 bits the numbers themselves are packed.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import operator
import sys
import zlib
from array import array

_LONGEST_LIST = 32
_MOST_ROWS = 4_000_000
_SIZE = 8
_DIFFERENCES, _NUMBERS = "d:", "n:"


def write(column: array[int]) -> list[int] | str:
    """The column as JSON."""
    if len(column) <= _LONGEST_LIST:
        return column.tolist()
    try:
        steps = array("q", map(operator.sub, column[1:], column))
        # The first number is its difference to 0.
        steps.insert(0, column[0])
    except OverflowError:
        return _NUMBERS + _pack(array("Q", column))
    return _DIFFERENCES + _pack(steps)


def read(value: object) -> array[int]:
    """What `write` was given; 32 bits a number where they fit. Raises ValueError on anything else."""
    if isinstance(value, list):
        if any(type(number) is not int for number in value):
            raise ValueError("expected whole numbers")
        return _narrowest(value)
    if isinstance(value, str) and value.startswith(_DIFFERENCES):
        return _narrowest(list(itertools.accumulate(_unpack(value, "q"))))
    if isinstance(value, str) and value.startswith(_NUMBERS):
        return _narrowest(_unpack(value, "Q").tolist())
    raise ValueError("expected a list of numbers or a packed column")


def _narrowest(numbers: list[int]) -> array[int]:
    try:
        return array("I", numbers)
    except OverflowError:
        pass
    try:
        return array("Q", numbers)
    except OverflowError as problem:
        raise ValueError("expected numbers from 0 to 2^64 - 1") from problem


def _pack(numbers: array[int]) -> str:
    raw = _little(numbers).tobytes()
    planes = b"".join(raw[byte::_SIZE] for byte in range(_SIZE))
    return base64.b64encode(zlib.compress(planes, level=6)).decode("ascii")


def _unpack(text: str, typecode: str) -> array[int]:
    try:
        packed = base64.b64decode(text[len(_NUMBERS) :], validate=True)
        unpacking = zlib.decompressobj()
        planes = unpacking.decompress(packed, _MOST_ROWS * _SIZE)
    except (binascii.Error, zlib.error) as problem:
        raise ValueError(f"a packed column cannot be unpacked: {problem}") from problem
    if not unpacking.eof or len(planes) % _SIZE:
        raise ValueError(f"a packed column is cut, or longer than {_MOST_ROWS} rows")
    rows = len(planes) // _SIZE
    raw = bytearray(len(planes))
    for byte in range(_SIZE):
        raw[byte::_SIZE] = planes[byte * rows : (byte + 1) * rows]
    return _little(array(typecode, bytes(raw)))


def _little(numbers: array[int]) -> array[int]:
    """The numbers with their lowest byte first in memory, or such ones back in the order of this machine."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers
