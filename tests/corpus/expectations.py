"""Whether what `lastack diagnose` said about a cell was right; pure. Called by runs and test_replays."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.corpus import shapes

_RESTART = "rollingRestart"
_FIRM = {"medium", "high"}
_Item = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What was said about the server of a cell, and what is wrong with it.

    `disruptive` counts verdicts that could have restarted something for nothing: sick, at medium or high
    confidence, a restart among what can help, on what is healthy or has another disease.
    """

    code: str
    severity: str
    confidence: str
    cause: str | None
    peer: str | None
    summary: str
    missing: tuple[str, ...]
    faults: tuple[str, ...]
    disruptive: int


def judge(cell: shapes.Cell, document: Mapping[str, Any]) -> Verdict:
    """Hold a DiagnosisList against what may be said in this cell."""
    expects = cell.expects
    items = document["items"]
    own = [item for item in items if _of_server(item)]
    if not own:
        return nothing(f"nothing was said about port {shapes.PORT}: {_codes(items)}")
    subject = next((item for item in own if item["code"] in expects.codes), own[0])
    missing = _missing(document, subject)
    faults = [*_wrong_code(expects, subject, missing), *_wrong_cause(expects, subject)]
    bystanders = [
        item
        for item in items
        if item is not subject and item["severity"] != "none" and item["code"] not in expects.beside
    ]
    faults += [f"a bystander is called {_told(item)}" for item in bystanders]
    innocent = bystanders if subject["code"] in expects.codes else [subject, *bystanders]
    cause = subject["cause"] or {"kind": None, "peer": None}
    return Verdict(
        code=subject["code"],
        severity=subject["severity"],
        confidence=subject["confidence"],
        cause=cause["kind"],
        peer=cause["peer"],
        summary=subject["summary"],
        missing=missing,
        faults=tuple(faults),
        disruptive=sum(1 for item in innocent if _would_restart(item)),
    )


def nothing(*faults: str) -> Verdict:
    """Nothing was said about the server: what a cell has that could not be run."""
    return Verdict("nothing", "none", "low", None, None, "", (), faults, 0)


def _of_server(item: _Item) -> bool:
    """Its listener, or connections that one of its processes made."""
    return item["listener"] is None or item["listener"]["port"] == shapes.PORT


def _wrong_code(expects: shapes.Expectation, subject: _Item, missing: tuple[str, ...]) -> list[str]:
    if subject["code"] in expects.codes:
        return []
    if subject["code"] == "unknown" and expects.unless_missing & set(missing):
        return []
    wanted = " or ".join(sorted(expects.codes))
    lacking = ", ".join(sorted(expects.unless_missing))
    allowed = f" (or unknown that names {lacking})" if lacking else ""
    return [f"{_told(subject)} instead of {wanted}{allowed}; missing: {', '.join(missing) or 'nothing'}"]


def _wrong_cause(expects: shapes.Expectation, subject: _Item) -> list[str]:
    cause = subject["cause"]
    if cause is None or cause["kind"] == "unknown":
        return []
    if cause["kind"] not in expects.causes:
        return [
            f"the cause is called {cause['kind']} instead of {' or '.join(sorted(expects.causes)) or 'unknown'}"
        ]
    if expects.peer is not None and cause["peer"] != expects.peer:
        return [f"the cause names the peer {cause['peer']} instead of {expects.peer}"]
    return []


def _would_restart(item: _Item) -> bool:
    helps = {remedy["remedy"] for remedy in item["canHelp"]}
    return item["severity"] != "none" and item["confidence"] in _FIRM and _RESTART in helps


def _missing(document: Mapping[str, Any], subject: _Item) -> tuple[str, ...]:
    member = f"pid/{subject['member']['pid']}"
    return tuple(
        row["signal"] for row in document["missing"] if row["member"] == member and not row.get("inherent")
    )


def _told(item: _Item) -> str:
    return f"{item['code']} ({item['severity']}, {item['confidence']}: {item['summary']})"


def _codes(items: list[_Item]) -> str:
    return ", ".join(str(item["code"]) for item in items) or "no items"
