"""What docs promise about ledger entries, checked on exported entries without anything of lastack. Used by tests.

`faults` gives one sentence per broken promise; an empty list is a ledger that keeps them all.
"""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Entry = dict[str, Any]

_WORD = r"[a-z][a-zA-Z]*"
_KIND = re.compile(rf"{_WORD}\.[a-z]+")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")
_NULLABLE = ("incident", "policy", "policyHash", "mode", "target", "member", "stage", "action", "actionId")
_TEXTS = ("at", "kind", "text", "actor", "prev", "hash")
_MODES = (None, "observe", "propose", "enforce")
_ENDS = ("action.succeeded", "action.failed", "action.interrupted")
_DISRUPTIVE = ("rollingRestart", "socketDestroy", "quarantine")
_LARGEST = 2**53 - 1


def faults(entries: Sequence[Entry]) -> list[str]:
    """Every promise that is broken, as "seq N: what"."""
    found: list[str] = []
    prev = entries[0]["prev"] if entries else ""
    for number, entry in enumerate(entries):
        found += [f"seq {entry.get('seq')}: {fault}" for fault in _of_one(entry)]
        if entry["seq"] != entries[0]["seq"] + number or entry["prev"] != prev:
            found.append(f"seq {entry['seq']}: does not follow the entry before")
        prev = entry["hash"]
    return [*found, *_of_policies(entries), *_of_acts(entries)]


def recomputed(entry: Entry) -> str:
    """The hash of an entry by the words of the contract alone."""
    rest = {key: value for key, value in entry.items() if key != "hash"}
    text = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _of_one(entry: Entry) -> Iterator[str]:
    missing = {"v", "seq", "reason", "counterfactual", "data", *_NULLABLE, *_TEXTS} - set(entry)
    if missing:
        yield f"lacks {sorted(missing)}"
        return
    if (entry["v"], type(entry["seq"]), type(entry["counterfactual"])) != (1, int, bool):
        yield "v, seq or counterfactual is of another type"
    if not isinstance(entry["data"], dict):
        yield f"data is {entry['data']!r}"
    yield from (f"{name} is {entry[name]!r}" for name in _TEXTS if not _is_text(entry[name]))
    yield from (f"{name} is {entry[name]!r}" for name in _NULLABLE if not _is_text(entry[name], or_null=True))
    if not _KIND.fullmatch(entry["kind"]) or not re.search(r"(ed|en|unk|t)$", entry["kind"]):
        yield f"kind {entry['kind']} is no noun.past_participle"
    if not _INSTANT.fullmatch(entry["at"]) or dt.datetime.fromisoformat(entry["at"]).utcoffset():
        yield f"at is {entry['at']}"
    if entry["mode"] not in _MODES:
        yield f"mode is {entry['mode']}"
    if entry["reason"] is not None and not _CODE.fullmatch(entry["reason"]):
        yield f"reason is {entry['reason']!r}"
    digests = [entry["prev"], entry["hash"], entry["policyHash"] or entry["hash"]]
    if not all(_SHA256.fullmatch(digest) for digest in digests):
        yield f"a hash is no sha256: {digests}"
    yield from _odd(entry)
    if recomputed(entry) != entry["hash"]:
        yield "the hash is another one"


def _is_text(value: object, *, or_null: bool = False) -> bool:
    return (or_null and value is None) or (isinstance(value, str) and value != "")


def _odd(value: object) -> Iterator[str]:
    """Fractions, huge integers, and keys that are not ASCII, wherever they are."""
    match value:
        case dict():
            yield from (f"key {key!r} is not ASCII" for key in value if not key.isascii())
            for inner in value.values():
                yield from _odd(inner)
        case list():
            for inner in value:
                yield from _odd(inner)
        case float():
            yield f"{value} is a fraction and no decimal string"
        case int() if abs(value) > _LARGEST:
            yield f"{value} is beyond 2^53-1"


def _of_policies(entries: Sequence[Entry]) -> Iterator[str]:
    """`policy.loaded` carries its text, and whatever names a hash comes after it."""
    known = set()
    for entry in entries:
        if entry["kind"] == "policy.loaded":
            text = entry["data"].get("text", "")
            if f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" != entry["policyHash"]:
                yield f"seq {entry['seq']}: policyHash is not that of data.text"
            known.add(entry["policyHash"])
        if entry["kind"] in ("policy.loaded", "lastack.started"):
            lacking = [name for name in ("build", "kernel", "bootId") if not entry["data"].get(name)]
            yield from (f"seq {entry['seq']}: {entry['kind']} lacks {name}" for name in lacking)
        if entry["policyHash"] not in {None, *known}:
            yield f"seq {entry['seq']}: names a policy that was never loaded"


def _of_acts(entries: Sequence[Entry]) -> Iterator[str]:
    """Every act was planned once with the incarnation it expects, ended once, and evidence came first."""
    ends = collections.Counter(e["actionId"] for e in entries if e["kind"] in _ENDS)
    evidenced = set()
    for entry in entries:
        if entry["kind"] in ("evidence.stored", "evidence.missed"):
            evidenced.add(entry["incident"])
        if entry["kind"] == "action.interrupted" and entry["data"].get("happened") not in (
            "yes",
            "no",
            "unknown",
        ):
            yield f"seq {entry['seq']}: happened is {entry['data'].get('happened')!r}"
        if entry["kind"] in ("action.refused", "action.simulated") and not entry["action"]:
            yield f"seq {entry['seq']}: {entry['kind']} names no action"
        if entry["kind"] == "action.refused" and not entry["reason"]:
            yield f"seq {entry['seq']}: refused without a reason"
        if entry["kind"] != "action.planned":
            continue
        if ends[entry["actionId"]] != 1:
            yield f"seq {entry['seq']}: {entry['action']} ended {ends[entry['actionId']]} times"
        if not entry["data"].get("expected"):
            yield f"seq {entry['seq']}: {entry['action']} expects no incarnation"
        if entry["action"] in _DISRUPTIVE and entry["incident"] not in evidenced:
            yield f"seq {entry['seq']}: {entry['action']} before any evidence"
    planned = collections.Counter(e["actionId"] for e in entries if e["kind"] == "action.planned")
    yield from (f"{act} was planned {n} times" for act, n in planned.items() if n != 1)
    yield from (f"{act} ended and was never planned" for act in ends if act not in planned)
