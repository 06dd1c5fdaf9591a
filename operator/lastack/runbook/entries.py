"""An entry is a fact with a place in the chain: its JSON object and back. Called by chain, folds and stores.

What is built from a settled fact is read back to the same fact and the same bytes.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from lastack import errors
from lastack.engine import actions, facts, instants, outcomes, reasons
from lastack.policy import valid, vocabulary
from lastack.runbook import canonical

VERSION = 1
FIELDS = (
    *("v", "seq", "at", "steady", "bootId", "kind", "incident", "policy", "policyHash", "mode", "target"),
    *("member", "stage", "action", "actionId", "reason", "text", "counterfactual", "data", "actor"),
    *("prev", "hash"),
)
"""Every field of every entry. `steady` is seconds since the boot `bootId` as a decimal string: waits are told
by it, so that a fold waits as the running process did, whatever the wall clock said."""

_STEADY = re.compile(r"([0-9]{1,12})\.([0-9]{6})")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_MICROSECOND = dt.timedelta(microseconds=1)
T = TypeVar("T")
S = TypeVar("S", bound=str)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain. `prev` is the hash of the entry before, `hash` its own."""

    seq: int
    fact: facts.Fact
    prev: str
    hash: str


def settled(fact: facts.Fact) -> facts.Fact:
    """The fact as it can be written (see canonical.settle), its wall time in UTC.

    The result equals what is read back from its entry: folds of live and of stored entries agree.
    """
    wall = fact.at.wall.astimezone(instants.UTC)
    return dataclasses.replace(
        fact,
        at=instants.Now(wall, fact.at.steady, canonical.whole(fact.at.boot_id)),
        text=canonical.whole(fact.text),
        incident=_whole(fact.incident),
        policy=_whole(fact.policy),
        policy_hash=_whole(fact.policy_hash),
        target=_whole(fact.target),
        member=_whole(fact.member),
        stage=_whole(fact.stage),
        action_id=_whole(fact.action_id),
        data=canonical.settle_object(fact.data),
        actor=canonical.whole(fact.actor),
    )


def body_of(seq: int, fact: facts.Fact, prev: str) -> dict[str, outcomes.Json]:
    """The JSON object of a settled fact in its place: all fields but `hash`."""
    return {
        "v": VERSION,
        "seq": seq,
        "at": instants.rfc3339(fact.at.wall, microseconds=True),
        "steady": _decimal(fact.at.steady),
        "bootId": fact.at.boot_id,
        "kind": fact.kind.value,
        "incident": fact.incident,
        "policy": fact.policy,
        "policyHash": fact.policy_hash,
        "mode": fact.mode,
        "target": fact.target,
        "member": fact.member,
        "stage": fact.stage,
        "action": fact.action,
        "actionId": fact.action_id,
        "reason": fact.reason,
        "text": fact.text,
        "counterfactual": fact.counterfactual,
        "data": fact.data,
        "actor": fact.actor,
        "prev": prev,
    }


def to_json(entry: Entry) -> dict[str, outcomes.Json]:
    """The JSON object of an entry, `hash` included."""
    return {**body_of(entry.seq, entry.fact, entry.prev), "hash": entry.hash}


def to_line(entry: Entry) -> bytes:
    """The entry as one line of canonical JSON, without the line break."""
    return canonical.write(to_json(entry))


def from_line(line: bytes) -> Entry:
    """Read what `to_line` wrote. Raises NotAnEntry; that the hashes are right is the chain's to check."""
    return from_json(canonical.read(line))


def from_json(found: Mapping[str, outcomes.Json]) -> Entry:
    """The entry that a JSON object is. Raises NotAnEntry: which field, what was found, what was expected."""
    if found.get("v") != VERSION or isinstance(found["v"], bool):
        raise errors.NotAnEntry(f"v is {found.get('v')!r}; this lastack reads entries of version {VERSION}")
    for odd in sorted(set(FIELDS) ^ set(found)):
        why = "is missing" if odd in FIELDS else "is not one of an entry"
        raise errors.NotAnEntry(f"the field {odd!r} {why}")
    seq, data, counterfactual = found["seq"], found["data"], found["counterfactual"]
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise errors.NotAnEntry(f"seq is {seq!r}; expected a whole number from 1")
    if not isinstance(data, Mapping) or not isinstance(counterfactual, bool):
        raise errors.NotAnEntry("data has to be an object, and counterfactual true or false")
    fact = facts.Fact(
        kind=_one_of(found, "kind", facts.FactKind),
        at=instants.Now(_wall(found), _steady(found), _text(found, "bootId")),
        text=_text(found, "text"),
        incident=_optional(found, "incident", actions.IncidentId),
        policy=_optional(found, "policy", valid.PolicyName),
        policy_hash=_optional(found, "policyHash", str),
        mode=_optional(found, "mode", vocabulary.Mode),
        target=_optional(found, "target", str),
        member=_optional(found, "member", actions.MemberName),
        stage=_optional(found, "stage", valid.StageName),
        action=_optional(found, "action", vocabulary.ActionKind),
        action_id=_optional(found, "actionId", actions.StepId),
        reason=_optional(found, "reason", reasons.Reason),
        counterfactual=counterfactual,
        data=data,
        actor=_text(found, "actor"),
    )
    return Entry(seq, fact, _digest(found, "prev"), _digest(found, "hash"))


def _whole(words: S | None) -> S | None:
    return None if words is None else cast(S, canonical.whole(words))


def _decimal(steady: dt.timedelta) -> str:
    if steady < dt.timedelta(0):
        raise errors.InvariantBroken(f"the steady clock says {steady}: before the boot that it counts from")
    seconds, micros = divmod(steady // _MICROSECOND, 1_000_000)
    return f"{seconds}.{micros:06d}"


def _steady(found: Mapping[str, outcomes.Json]) -> dt.timedelta:
    parts = _STEADY.fullmatch(_text(found, "steady"))
    if parts is None:
        raise errors.NotAnEntry(f"steady is {found['steady']!r}; expected seconds as in 42.120000")
    return dt.timedelta(seconds=int(parts[1]), microseconds=int(parts[2]))


def _wall(found: Mapping[str, outcomes.Json]) -> dt.datetime:
    at = _text(found, "at")
    try:
        wall = instants.from_rfc3339(at)
    except ValueError:
        wall = None
    if wall is None or instants.rfc3339(wall, microseconds=True) != at:
        raise errors.NotAnEntry(f"at is {at!r}; expected the form 2026-11-22T10:00:42.120000Z")
    return wall


def _digest(found: Mapping[str, outcomes.Json], field: str) -> str:
    digest = _text(found, field)
    if not _SHA256.fullmatch(digest):
        raise errors.NotAnEntry(f"{field} is {digest!r}; expected sha256: and 64 hexadecimal digits")
    return digest


def _text(found: Mapping[str, outcomes.Json], field: str) -> str:
    value = found[field]
    if not isinstance(value, str):
        raise errors.NotAnEntry(f"{field} is {value!r}; expected a string")
    return value


def _one_of(found: Mapping[str, outcomes.Json], field: str, read: Callable[[str], T]) -> T:
    word = _text(found, field)
    try:
        return read(word)
    except ValueError:
        raise errors.NotAnEntry(
            f"{field} is {word!r}, which this lastack does not know; perhaps a newer one wrote it"
        ) from None


def _optional(found: Mapping[str, outcomes.Json], field: str, read: Callable[[str], T]) -> T | None:
    return None if found[field] is None else _one_of(found, field, read)
