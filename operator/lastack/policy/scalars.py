"""The kinds of single values that a policy holds: how each is read, and how it is described to people.

One `Reader` per kind serves three: schema validates with it, messages say what it expects, the reference page
names it as the field's type.
"""

import dataclasses
import datetime as dt
import enum
import ipaddress
import re
from collections.abc import Callable
from typing import Generic, TypeVar

from lastack import quantities
from lastack.policy import problems, valid

T = TypeVar("T")
E = TypeVar("E", bound=enum.StrEnum)

NOT_SUPPORTED = "is known but not supported by this version"


class BadValue(ValueError):
    """A value that cannot be meant: `what` follows the field's path in the message, `expected` what would do.

    `at` leads from the validated value to the part that is wrong; empty means the value itself.
    """

    def __init__(
        self,
        what: str,
        expected: str,
        *,
        code: str = "bad-value",
        hint: str = "",
        at: tuple[str | int, ...] = (),
    ) -> None:
        super().__init__(f"{what}; expected {expected}")
        self.what = what
        self.expected = expected
        self.code = code
        self.hint = hint
        self.at = at


class BadValues(ValueError):
    """Several values that do not go together, found in one look at the mapping that holds them."""

    def __init__(self, every: list[BadValue]) -> None:
        super().__init__("; ".join(str(one) for one in every))
        self.every = every


@dataclasses.dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """Reads one kind of value; raises BadValue. `expected` completes "expected ..."."""

    expected: str
    read: Callable[[object, str], T]

    def __call__(self, raw: object) -> T:
        """Read one value; raises BadValue."""
        return self.read(raw, self.expected)


def _text(raw: object, expected: str, hint: str = "") -> str:
    if not isinstance(raw, str):
        raise BadValue(f"is {problems.shown(raw)}", expected, code="wrong-type", hint=hint)
    return raw


def text(expected: str, pattern: str, *, longest: int = 253) -> Reader[str]:
    """Text that matches the whole `pattern`."""
    compiled = re.compile(pattern)

    def read(raw: object, expected: str) -> str:
        found = _text(raw, expected)
        if len(found) > longest:
            raise BadValue(f"has {len(found)} characters", f"at most {longest}")
        if not compiled.fullmatch(found):
            raise BadValue(f"is {problems.quoted(found)}", expected)
        return found

    return Reader(expected, read)


def name(longest: int) -> Reader[str]:
    """A DNS-1123 label: it becomes part of ids, file names and labels."""
    pattern = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    return text(f"lower-case letters, digits and -, at most {longest}", pattern, longest=longest)


def identifier(longest: int = 63) -> Reader[str]:
    """A name inside of a policy, of a trigger or stage."""
    pattern = r"[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?"
    return text(f"letters, digits, - and _, at most {longest}", pattern, longest=longest)


def constant(word: str) -> Reader[str]:
    """Exactly this text."""

    def read(raw: object, expected: str) -> str:
        if raw != word:
            raise BadValue(f"is {problems.shown(raw)}", expected)
        return word

    return Reader(word, read)


def choice(kind: type[E], *, later: tuple[str, ...] = ()) -> Reader[E]:
    """One word of an enumeration; `later` are words of the language that this version does not have yet."""
    words = [member.value for member in kind]

    def read(raw: object, expected: str) -> E:
        found = _text(raw, expected)
        if found in words:
            return kind(found)
        if found in later:
            brief = expected if len(words) <= 6 else f"one that it supports, like {words[0]}"
            raise BadValue(f"is {found}, which {NOT_SUPPORTED}", brief, code="not-supported-yet")
        hint = problems.did_you_mean(found, [*words, *later])
        raise BadValue(f"is {problems.quoted(found)}", expected, hint=hint)

    return Reader(problems.listed(words), read)


def duration(shortest: str, longest: str, like: str) -> Reader[dt.timedelta]:
    """A span of time between two bounds, both written as people write them."""
    low, high = quantities.duration(shortest), quantities.duration(longest)

    def read(raw: object, expected: str) -> dt.timedelta:
        number = isinstance(raw, int) and not isinstance(raw, bool)
        found = _text(raw, expected, f"did you mean {raw}s?" if number else "")
        try:
            span = quantities.duration(found)
        except ValueError as wrong:
            raise BadValue(f"is {problems.quoted(found)}", expected) from wrong
        if not low <= span <= high:
            raise BadValue(f"is {problems.quoted(found)}", expected, code="out-of-range")
        return span

    return Reader(f"a duration from {shortest} to {longest}, like {like}", read)


def integer(lowest: int, highest: int, what: str) -> Reader[int]:
    """A whole number between two bounds; `what` says of what."""

    def read(raw: object, expected: str) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            digits = isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 10
            hint = f"without quotes: {raw}" if digits else ""
            raise BadValue(f"is {problems.shown(raw)}", expected, code="wrong-type", hint=hint)
        if not lowest <= raw <= highest:
            raise BadValue(f"is {problems.shown(raw)}", expected, code="out-of-range")
        return raw

    return Reader(f"{what} from {lowest} to {highest}", read)


def _boolean(raw: object, expected: str) -> bool:
    if not isinstance(raw, bool):
        words = {"yes": "true", "on": "true", "no": "false", "off": "false", "true": "true", "false": "false"}
        meant = words.get(raw.lower()) if isinstance(raw, str) else None
        hint = "" if meant is None else f"without quotes: {meant}"
        raise BadValue(f"is {problems.shown(raw)}", expected, code="wrong-type", hint=hint)
    return raw


BOOLEAN = Reader("true or false", _boolean)


def _count_or_share(raw: object, expected: str) -> int | quantities.Share:
    if isinstance(raw, str):
        try:
            return quantities.share(raw)
        except ValueError as wrong:
            raise BadValue(f"is {problems.quoted(raw)}", expected) from wrong
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise BadValue(f"is {problems.shown(raw)}", expected, code="wrong-type")
    if not 0 <= raw <= 10_000:
        raise BadValue(f"is {problems.shown(raw)}", expected, code="out-of-range")
    return raw


COUNT_OR_SHARE = Reader("a number of members, like 1, or a share of them, 0% to 100%", _count_or_share)

Amount = int | float | quantities.Rate | quantities.Share | dt.timedelta


def _amount(raw: object, expected: str) -> Amount:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        if not 0 <= raw <= 1e15:
            raise BadValue(f"is {problems.shown(raw)}", "a number from 0 to 1e15", code="out-of-range")
        return raw
    found = _text(raw, expected)
    readers: tuple[Callable[[str], Amount], ...] = (quantities.rate, quantities.share, quantities.duration)
    for reader in readers:
        try:
            return reader(found)
        except ValueError:
            continue
    raise BadValue(f"is {problems.quoted(found)}", expected)


AMOUNT = Reader(
    "a number, a rate like 0.05/s, a share like 80% or a duration like 30s, as the signal has it", _amount
)

_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def _statuses(raw: object, expected: str) -> tuple[tuple[int, int], ...]:
    every = raw if isinstance(raw, list) else [raw]
    ranges = []
    for index, one in enumerate(every):
        at = (index,) if isinstance(raw, list) else ()
        written = str(one) if isinstance(one, int) else one
        found = _STATUS.fullmatch(written) if isinstance(written, str) else None
        if found is None:
            raise BadValue(f"is {problems.shown(one)}", expected, at=at)
        low, high = int(found[1]), int(found[2] or found[1])
        if low > high:
            raise BadValue(f"is {problems.shown(one)}", expected, at=at, hint=f"did you mean {high}-{low}?")
        ranges.append((low, high))
    if not ranges:
        raise BadValue("is an empty list", expected)
    return tuple(ranges)


STATUSES = Reader("HTTP statuses: 200, a range 200-399, or a list of these", _statuses)

UNIT = text(
    "a service unit or a pattern of them, like app.service or app@*.service",
    r"[A-Za-z0-9:_.\\@*?\[\]!-]+\.service",
    longest=255,
)

PROBE_PATH = text("a path that starts with /, like /health", r"/[!-~]*", longest=1024)

_PORTS = range(1, 65_536)


def _peer(raw: object, expected: str) -> valid.Peer:
    """An address is written in many ways; what is compared with the kernel's words is in its way."""
    found = _text(raw, expected)
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", found)
    bare = re.fullmatch(r"([^:]+)(?::([0-9]{1,5}))?", found)
    parts = bracketed or bare
    try:
        address = ipaddress.ip_address(parts[1] if parts else found)
    except ValueError:
        hint = "a name has several addresses, which change: write each" if bare else ""
        raise BadValue(f"is {problems.quoted(found)}", expected, hint=hint) from None
    port = int(parts[2]) if parts and parts[2] else None
    if port is not None and port not in _PORTS:
        raise BadValue(f"has port {port}", "a port from 1 to 65535", code="out-of-range")
    mapped = getattr(address, "ipv4_mapped", None)
    return valid.Peer(str(mapped or address), port)


PEER = Reader("an address and a port, like 10.9.0.7:7000 or [2001:db8::7]:7000, or an address alone", _peer)


def _pace(raw: object, expected: str) -> quantities.Rate:
    found = _text(raw, expected)
    try:
        pace = quantities.rate(found)
    except ValueError:
        raise BadValue(f"is {problems.quoted(found)}", expected) from None
    if not 0 < pace.per_second <= 1000:
        raise BadValue(f"is {problems.quoted(found)}", "more than 0, and at most 1000/s", code="out-of-range")
    return pace


PACE = Reader("a rate, like 5/s", _pace)

_SYSCTL_VALUE = re.compile(r"-?[0-9]{1,19}(?:[ \t]+-?[0-9]{1,19})*")


def _sysctl_value(raw: object, expected: str) -> str:
    written = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(written, str) or not _SYSCTL_VALUE.fullmatch(written.strip()):
        raise BadValue(f"is {problems.shown(raw)}", expected)
    return " ".join(written.split())


SYSCTL_VALUE = Reader('the value as /proc/sys shows it, like "4096" or "4096 87380 6291456"', _sysctl_value)
