"""The demo succeeds only when it showed what it promises; each way to fail is said in a sentence."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib

import pytest

from lastack.cli import demo_verdicts
from lastack.engine import actions, facts, instants, outcomes
from lastack.lab import loads, pairs
from lastack.policy import vocabulary

AT = instants.Now(dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), dt.timedelta(seconds=100), "boot")
PAIR = pairs.warehouse()
WELL, SICK = PAIR.well.name, PAIR.sick.name
RECORD = pathlib.Path("/state/records/demo-1.md")
Kind = facts.FactKind


def fact(
    kind: facts.FactKind,
    *,
    member: str = SICK,
    action: vocabulary.ActionKind | None = None,
    **data: outcomes.Json,
) -> facts.Fact:
    """A fact of the incident demo-1 that says its own kind."""
    return facts.Fact(
        kind,
        AT,
        f"{kind} of {member}",
        incident=actions.IncidentId("demo-1"),
        member=actions.MemberName(member),
        action=action,
        data=data,
    )


REPLACED = fact(Kind.ACTION_SUCCEEDED, action=vocabulary.ActionKind.ROLLING_RESTART)
TOLD = (
    fact(Kind.INCIDENT_OPENED, diagnosis="accept-stall"),
    fact(Kind.EVIDENCE_STORED),
    REPLACED,
    fact(Kind.INCIDENT_RESOLVED, outcome="verified"),
)
COUNTS = {WELL: loads.Count(900, 900), SICK: loads.Count(400, 340, 60, {"timed out": 60})}
SEEN = demo_verdicts.Seen(TOLD, {SICK: loads.Count(380, 320, 60)}, COUNTS)


def test_what_was_promised_and_shown_is_a_success() -> None:
    """No problem; the rows name the sick, the lost and the answered."""
    verdict = demo_verdicts.judge(SEEN, PAIR, RECORD)
    assert ("demo-1", "verified", ()) == (verdict.incident, verdict.outcome, verdict.problems)
    said = " ".join(words for _, words in verdict.rows)
    assert f"{WELL} lost 0 of 900 requests" in said
    assert "lost 60 of 400, and has answered 20 since" in said


@pytest.mark.parametrize(
    ("seen", "record", "problem"),
    [
        (dataclasses.replace(SEEN, told=()), None, "nothing was ever written"),
        (dataclasses.replace(SEEN, told=TOLD[:3]), RECORD, "did not end in time"),
        (
            dataclasses.replace(
                SEEN, told=(*TOLD[:3], fact(Kind.INCIDENT_RESOLVED, outcome="recovered-unaided"))
            ),
            RECORD,
            "ended as recovered-unaided",
        ),
        (dataclasses.replace(SEEN, told=(*TOLD[:3], fact(Kind.INCIDENT_EXHAUSTED))), RECORD, "as exhausted"),
        (dataclasses.replace(SEEN, told=(*TOLD, fact(Kind.EVIDENCE_MISSED))), RECORD, "evidence.missed"),
        (
            dataclasses.replace(
                SEEN,
                told=(
                    *TOLD,
                    fact(Kind.ACTION_SUCCEEDED, member=WELL, action=vocabulary.ActionKind.ROLLING_RESTART),
                ),
            ),
            RECORD,
            f"{WELL} was replaced although it was well",
        ),
        (
            dataclasses.replace(SEEN, counts={**COUNTS, WELL: loads.Count(900, 899, 1, {"reset": 1})}),
            RECORD,
            f"{WELL} answered 899 of 900 requests: 1 reset",
        ),
        (dataclasses.replace(SEEN, counts={**COUNTS, WELL: loads.Count()}), RECORD, "answered 0 of 0"),
        (dataclasses.replace(SEEN, before=COUNTS), RECORD, f"{SICK} does not answer"),
        (SEEN, None, "no record"),
    ],
)
def test_each_broken_promise_is_said(
    seen: demo_verdicts.Seen, record: pathlib.Path | None, problem: str
) -> None:
    """Any of them makes the demo fail."""
    problems = demo_verdicts.judge(seen, PAIR, record).problems
    assert [problem] == [problem for found in problems if problem in found]


def test_the_verdict_as_json_says_what_a_script_needs() -> None:
    """Healed or not, requests by member, where the record is."""
    verdict = demo_verdicts.judge(SEEN, PAIR, RECORD)
    expected = {
        "incident": "demo-1",
        "outcome": "verified",
        "healed": True,
        "problems": [],
        "requests": {
            WELL: {"sent": 900, "answered": 900, "failed": 0},
            SICK: {"sent": 400, "answered": 340, "failed": 60},
        },
        "stateDir": "/state",
        "record": str(RECORD),
    }
    assert expected == demo_verdicts.fields(verdict, SEEN, pathlib.Path("/state"))
