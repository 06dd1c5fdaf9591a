"""Quantities as people write them: "5m", "0.05/s", "25%", "16MiB".

Called by policy (reading), and by everything that prints a quantity. Pure.
"""

import dataclasses
import datetime as dt
import math
import re
from fractions import Fraction

_UNIT_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m|h)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_SIZE = re.compile(r"(\d+)(KiB|MiB|GiB)")
_SIZES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LONGEST = dt.timedelta(days=3650)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Rate:
    """Events per second."""

    per_second: float

    def __str__(self) -> str:
        return f"{self.per_second:g}/s"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Share:
    """A part of a whole, 0 to 1."""

    fraction: float

    def __str__(self) -> str:
        return f"{self.fraction * 100:g}%"

    def of(self, whole: int) -> int:
        """How many of `whole` the share is, rounded up: half of three members is two."""
        return math.ceil(Fraction(self.fraction).limit_denominator(10_000) * whole)


def duration(text: str) -> dt.timedelta:
    """Read "90s", "1h30m", "500ms" or "0s". Raises ValueError with what was expected."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(
            f"{text!r} is not a duration; expected a number and a unit, like 30s, 5m, 1h30m, 7d or 500ms"
        )
    seconds = sum((Fraction(number) * _UNIT_SECONDS[unit] for number, unit in parts), Fraction(0))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than ten years; expected a shorter duration")
    return dt.timedelta(microseconds=int(seconds * 1_000_000))


def rate(text: str) -> Rate:
    """Read "0.05/s", "3/m" or "10/h". Raises ValueError with what was expected."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a rate; expected a number per s, m or h, like 0.05/s or 3/m")
    return Rate(float(Fraction(found[1]) / _UNIT_SECONDS[found[2]]))


def share(text: str) -> Share:
    """Read "25%". Raises ValueError with what was expected."""
    found = _SHARE.fullmatch(text)
    if found is None or Fraction(found[1]) > 100:
        raise ValueError(f"{text!r} is not a share; expected 0% to 100%")
    return Share(float(Fraction(found[1]) / 100))


def size(text: str) -> int:
    """Read "16MiB" as bytes. Raises ValueError with what was expected."""
    found = _SIZE.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is not a size; expected a number and KiB, MiB or GiB, like 16MiB")
    return int(found[1]) * _SIZES[found[2]]


def short_size(count: int) -> str:
    """Write a number of bytes the way it is read, in the largest unit that leaves at least 1: "16.0 MiB", "812 B"."""
    for unit, factor in reversed(_SIZES.items()):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def short(span: dt.timedelta) -> str:
    """Write a duration the way it is read: "1h30m", "5s", "500ms", "0s"; always reads back to the same value in ms."""
    left = round(span.total_seconds() * 1000)
    if left == 0:
        return "0s"
    sign, left = ("-", -left) if left < 0 else ("", left)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
