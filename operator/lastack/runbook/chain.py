"""The hash chain: every entry names the hash of the one before. Called by stores (link) and cli (verify).

Anyone can check it without this program: SHA-256 over the canonical JSON of an entry without `hash`.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping

from lastack import errors
from lastack.engine import facts, outcomes
from lastack.runbook import canonical, entries

GENESIS = "sha256:" + "0" * 64
"""`prev` of the first entry ever."""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the last entry's number and hash; 0 and GENESIS when it is empty."""

    seq: int = 0
    hash: str = GENESIS


@dataclasses.dataclass(frozen=True, slots=True)
class Intact:
    """Every entry was read, follows the one before and has the hash that it says."""

    count: int
    first: int
    head: Head


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the chain does not hold: the number that is bad or missing there, and why.

    `line` counts from 1; `head` is the last entry that is good.
    """

    seq: int
    line: int
    what: str
    head: Head


def digest(found: Mapping[str, outcomes.Json]) -> str:
    """The hash of an entry given as its JSON object, with or without its `hash` field."""
    body = {key: value for key, value in found.items() if key != "hash"}
    return "sha256:" + hashlib.sha256(canonical.write(body)).hexdigest()


def holds(line: bytes, found: Mapping[str, outcomes.Json]) -> bool:
    """Whether a line has the hash that it says; `found` is the object that was read from it.

    A line as lastack writes it is canonical once its hash is cut out, which spares writing it again.
    """
    said = str(found.get("hash"))
    body = line.replace(f'"hash":"{said}",'.encode(), b"", 1)
    return said == "sha256:" + hashlib.sha256(body).hexdigest() or said == digest(found)


def link(head: Head, fact: facts.Fact) -> entries.Entry:
    """The fact as the entry that comes after `head`."""
    fact = entries.settled(fact)
    seq = head.seq + 1
    return entries.Entry(seq, fact, head.hash, digest(entries.body_of(seq, fact, head.hash)))


def head_of(entry: entries.Entry) -> Head:
    """The chain's end when `entry` is its last."""
    return Head(entry.seq, entry.hash)


def verify(lines: Iterable[bytes], after: Head | None = None) -> Intact | Broken:
    """Check a ledger given as JSON lines, from `after` or from what its first entry says it follows.

    Unknown fields and kinds are as good as known ones: what a newer lastack wrote is checked all the same.
    """
    stream = (line.removesuffix(b"\n") for line in lines)
    head, count, first = after, 0, 1 if after is None else after.seq + 1
    for number, line in enumerate(stream, start=1):
        expected = head.seq + 1 if head else None
        try:
            found = canonical.read(line)
            seq = _number(found)
        except errors.NotAnEntry as error:
            cut = "" if line.rstrip().endswith(b"}") else "it is cut: "
            what = f"line {number} cannot be read: {cut}{error.message}"
            return Broken(expected or 1, number, what, head or Head())
        wrong = _wrong(line, found, head, stream)
        if wrong is not None:
            return Broken(wrong[0], number, wrong[1], head or Head())
        first = seq if head is None else first
        head, count = Head(seq, str(found["hash"])), count + 1
    return Intact(count, first, head or Head())


def _number(found: Mapping[str, outcomes.Json]) -> int:
    seq = found.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise errors.NotAnEntry(f"seq is {seq!r}; expected a whole number from 1")
    return seq


def _wrong(
    line: bytes, found: Mapping[str, outcomes.Json], head: Head | None, rest: Iterator[bytes]
) -> tuple[int, str] | None:
    """What is wrong with an entry that comes after `head`, and with which number, or None."""
    seq = _number(found)
    expected = head.seq + 1 if head else seq
    if not holds(line, found):
        elsewhere = "" if seq == expected else f" (it says that it is entry {seq})"
        return (
            expected,
            f"entry {expected} was edited: its content does not have the hash that it says{elsewhere}",
        )
    if head is not None and seq < expected:
        again = "stands twice" if seq == head.seq else f"comes again, or too late, after entry {head.seq}"
        return seq, f"entry {seq} {again}"
    if seq > expected:
        return expected, _gap(expected, seq, rest)
    prev = head.hash if head else GENESIS
    if (head is not None or seq == 1) and found.get("prev") != prev:
        before = f"entry {seq - 1}" if head else "nothing"
        return seq, f"entry {seq} does not follow {before}: its prev is {found.get('prev')}, expected {prev}"
    return None


def _gap(expected: int, seq: int, rest: Iterable[bytes]) -> str:
    for line in rest:
        try:
            later = canonical.read(line).get("seq")
        except errors.NotAnEntry:
            continue
        if later == expected:
            return f"the order was changed: entry {expected} stands somewhere after entry {seq}"
    missing = f"entry {expected} is" if seq == expected + 1 else f"entries {expected} to {seq - 1} are"
    return f"{missing} missing: entry {seq} stands in that place"
