"""What the demo showed, judged from the facts of its ledger and the counters of its clients. Pure; for cli.demo."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from lastack.engine import facts, incidents
from lastack.lab import loads, pairs
from lastack.policy import vocabulary

_Kind = facts.FactKind
_NOTHING = loads.Count()


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was seen: every fact, and the clients' counters at the end of the incident and of the demo."""

    told: tuple[facts.Fact, ...]
    before: Mapping[str, loads.Count]
    counts: Mapping[str, loads.Count]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How the demo ended. `rows` are (what, how) for people; `problems` is empty when it showed what it promises."""

    incident: str | None
    outcome: str | None
    rows: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    record: pathlib.Path | None


def judge(seen: Seen, pair: pairs.Pair, record: pathlib.Path | None) -> Verdict:
    """Hold facts and counters against the promise. `record` is the incident's record, None when there is none."""
    told = seen.told
    outcome = outcome_of(told)
    well, sick = (seen.counts.get(member.name, _NOTHING) for member in pair.members)
    again = sick.answered - seen.before.get(pair.sick.name, sick).answered
    refused = [
        ("refused", f"{fact.stage}: {fact.reason}: {fact.text}") for fact in _all(told, _Kind.ACTION_REFUSED)
    ]
    sick_lost = f"{pair.sick.name}, sick and then replaced, lost {sick.failed + sick.waiting} of {sick.sent}"
    rows = (
        ("sick", _sickness(told, pair)),
        ("stuck", _text(told, _Kind.EVIDENCE_STORED) or "not known: no dump was stored"),
        *refused,
        ("replaced", _replaced(told)),
        ("clients", f"{pair.well.name} lost {well.failed + well.waiting} of {well.sent} requests"),
        ("", f"{sick_lost}, and has answered {again} since the incident ended"),
    )
    problems = tuple(_problems(seen, pair, outcome, again, record))
    return Verdict(incident_of(told), outcome, rows, problems, record)


def incident_of(told: Sequence[facts.Fact]) -> str | None:
    """The id of the first incident."""
    opened = _first(told, _Kind.INCIDENT_OPENED)
    return opened.incident if opened else None


def outcome_of(told: Sequence[facts.Fact]) -> str | None:
    """How the incident ended, None when it did not."""
    for fact in told:
        if fact.kind is _Kind.INCIDENT_RESOLVED:
            return str(fact.data["outcome"])
        if fact.kind in (_Kind.INCIDENT_EXHAUSTED, _Kind.INCIDENT_ABANDONED):
            return fact.kind.value.partition(".")[2]
    return None


def fields(verdict: Verdict, seen: Seen, state_dir: pathlib.Path) -> dict[str, object]:
    """The verdict as JSON."""
    return {
        "incident": verdict.incident,
        "outcome": verdict.outcome,
        "healed": not verdict.problems,
        "problems": list(verdict.problems),
        "requests": {
            name: {"sent": count.sent, "answered": count.answered, "failed": count.failed}
            for name, count in seen.counts.items()
        },
        "stateDir": str(state_dir),
        "record": str(verdict.record) if verdict.record else None,
    }


def _problems(
    seen: Seen, pair: pairs.Pair, outcome: str | None, again: int, record: pathlib.Path | None
) -> Iterator[str]:
    told, well = seen.told, seen.counts.get(pair.well.name, _NOTHING)
    if outcome is None:
        last = told[-1].text if told else "nothing was ever written"
        yield f"the incident did not begin or did not end in time; the last word was: {last}"
    elif outcome != incidents.OutcomeCode.VERIFIED:
        yield f"the incident ended as {outcome}, not as verified"
    yield from (fact.text for fact in _all(told, _Kind.EVIDENCE_MISSED))
    if any(fact.member == pair.well.name for fact in _replacements(told)):
        yield f"{pair.well.name} was replaced although it was well"
    if well.answered < well.sent or not well.sent:
        yield f"{pair.well.name} answered {well.answered} of {well.sent} requests: {_why(well)}"
    if outcome is not None and again <= 0:
        yield f"{pair.sick.name} does not answer its clients after the end of the incident"
    if outcome is not None and record is None:
        yield "no record of the incident was written"


def _sickness(told: Sequence[facts.Fact], pair: pairs.Pair) -> str:
    sickened = _first(told, _Kind.MEMBER_SICKENED) or _first(told, _Kind.INCIDENT_OPENED)
    if sickened is None:
        return f"{pair.sick.name} was never found to be sick"
    severity, confidence = sickened.data.get("severity"), sickened.data.get("confidence")
    return f"{pair.sick.name}: {sickened.data.get('diagnosis')}, {severity}, {confidence} confidence"


def _replaced(told: Sequence[facts.Fact]) -> str:
    done = _replacements(told)
    return "; ".join(fact.text for fact in done) if done else "nobody"


def _replacements(told: Sequence[facts.Fact]) -> list[facts.Fact]:
    return [
        fact
        for fact in _all(told, _Kind.ACTION_SUCCEEDED)
        if fact.action is vocabulary.ActionKind.ROLLING_RESTART
    ]


def _why(count: loads.Count) -> str:
    return (
        ", ".join(f"{number} {failure}" for failure, number in count.failures.items()) or "no more was sent"
    )


def _all(told: Sequence[facts.Fact], kind: facts.FactKind) -> list[facts.Fact]:
    return [fact for fact in told if fact.kind is kind]


def _first(told: Sequence[facts.Fact], kind: facts.FactKind) -> facts.Fact | None:
    return next(iter(_all(told, kind)), None)


def _text(told: Sequence[facts.Fact], kind: facts.FactKind) -> str | None:
    found = _first(told, kind)
    return found.text if found else None
