"""The progress line of the demo says what it waits for, in numbers, within 80 columns."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack import shipped
from lastack.cli import demo_waits
from lastack.engine import actions, facts, findings, instants, judgements, samples
from lastack.lab import pairs
from lastack.policy import loading, vocabulary

AT = instants.Now(dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), dt.timedelta(seconds=100), "boot")
PAIR = pairs.warehouse()
POLICY = loading.load({"demo.yaml": shipped.policy_text("demo").encode()}).policies[0]
ROOM = 80 - len("⠋ 88 s  ") - 2
Kind = facts.FactKind
RESTART = vocabulary.ActionKind.ROLLING_RESTART
Signal = vocabulary.SignalName


def judged(
    name: str, code: vocabulary.DiagnosisCode, depth: int, age: float | samples.Missing
) -> judgements.Judgement:
    """A judgement with a queue."""
    finding = findings.Finding(
        code=code,
        severity=vocabulary.Severity.NONE,
        confidence=vocabulary.Confidence.HIGH,
        summary="so it is",
        evidence=(),
        signals={
            Signal.ACCEPT_QUEUE_DEPTH: depth,
            Signal.ACCEPT_QUEUE_LIMIT: 50,
            Signal.ACCEPT_QUEUE_HEAD_AGE: age,
        },
    )
    return judgements.Judgement(
        member=actions.MemberName(name),
        incarnation=actions.Incarnation("1@1"),
        at=AT,
        found=(finding,),
        verdicts=(),
        traffic=True,
        namespace=None,
    )


def both(code: vocabulary.DiagnosisCode, depth: int, age: float | samples.Missing = 0.0) -> demo_waits.Judged:
    """The well member, and the other as given."""
    well = judged(PAIR.well.name, vocabulary.DiagnosisCode.HEALTHY, 0, 0.0)
    return {well.member: well, actions.MemberName(PAIR.sick.name): judged(PAIR.sick.name, code, depth, age)}


def reached(*kinds: tuple[facts.FactKind, vocabulary.ActionKind | None]) -> demo_waits.Reached:
    """The disease is there, and these facts have come."""
    return demo_waits.Reached(fallen_sick=True, kinds=kinds)


OPENED, FIRED = (Kind.INCIDENT_OPENED, None), (Kind.INCIDENT_FIRED, None)
PLANNED, DONE = (Kind.ACTION_PLANNED, RESTART), (Kind.ACTION_SUCCEEDED, RESTART)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (
            demo_waits.Reached(),
            "warehouse-2 queue 51 of 50, head waits 33.3 s; both are looked at while they are well",
        ),
        (reached(), "warehouse-2 queue 51 of 50, head waits 33.3 s; a stall from 10s on"),
        (reached(OPENED), "warehouse-2 queue 51 of 50, head waits 33.3 s; has to last 3s"),
        (reached(OPENED, FIRED), "warehouse-2 queue 51 of 50, head waits 33.3 s; not replaced yet"),
        (
            reached(OPENED, FIRED, PLANNED),
            "warehouse-2 is being replaced, then probed until it answers",
        ),
        (
            reached(OPENED, FIRED, PLANNED, DONE),
            "the new warehouse-2 queue 51 of 50, head waits 33.3 s; quiet for 0s, over after 5s",
        ),
    ],
)
def test_each_wait_is_said_with_its_numbers(at: demo_waits.Reached, expected: str) -> None:
    """Queue, head age and what is awaited."""
    stalled = both(vocabulary.DiagnosisCode.ACCEPT_STALL, 51, 33.3)
    assert expected == demo_waits.words(at, stalled, PAIR, POLICY)


@pytest.mark.parametrize(
    "at",
    [
        demo_waits.Reached(),
        reached(),
        reached(OPENED),
        reached(OPENED, FIRED),
        reached(OPENED, FIRED, PLANNED, DONE),
    ],
)
def test_the_line_fits_into_eighty_columns(at: demo_waits.Reached) -> None:
    """With the numbers that it has then: a full queue while it is sick, an empty one before and after."""
    calm = at.kinds[-1:] == (DONE,) or not at.fallen_sick
    now = (
        both(vocabulary.DiagnosisCode.HEALTHY, 0)
        if calm
        else both(vocabulary.DiagnosisCode.ACCEPT_STALL, 51, 33.3)
    )
    assert len(demo_waits.words(at, now, PAIR, POLICY)) <= ROOM


def test_what_is_not_known_is_not_said() -> None:
    """Missing is not 0."""
    blind = judged("b", vocabulary.DiagnosisCode.UNKNOWN, 5, samples.Missing("no right"))
    assert "queue 5 of 50" == demo_waits.queue_words(blind)
    assert "not seen yet" == demo_waits.queue_words(None)


def test_both_must_be_seen_to_be_well() -> None:
    """One that was not seen yet is not well, and neither is a sick one."""
    healthy = both(vocabulary.DiagnosisCode.HEALTHY, 0)
    assert demo_waits.healthy(healthy, PAIR)
    assert not demo_waits.healthy({}, PAIR)
    assert not demo_waits.healthy(dict(list(healthy.items())[:1]), PAIR)
    assert not demo_waits.healthy(both(vocabulary.DiagnosisCode.ACCEPT_STALL, 5, 12.0), PAIR)
