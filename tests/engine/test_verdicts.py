"""Triggers: sustained, cleared, between two thresholds, unseen, and what a new life makes of them."""

from __future__ import annotations

import pytest

from lastack.engine import actions, censuses, findings, judgements, samples, verdicts
from lastack.policy import valid
from tests.engine import makers
from tests.engine.makers import Code, at, seconds

CLEAR, PENDING, FIRING, UNKNOWN = verdicts.VerdictState
STALL, WELL = (makers.finding(),), (makers.HEALTHY,)
UNTOLD = (makers.finding(Code.UNKNOWN),)
DROPPING = valid.SignalTrigger(
    valid.TriggerName("dropping"), makers.Name.LISTEN_DROP_RATE, 0.05, 0.01, seconds(4), seconds(6)
)


def told(
    story: list[tuple[float, tuple[findings.Finding, ...]]], trigger: valid.Trigger = makers.STALLED
) -> list[verdicts.VerdictState]:
    """How the verdict stands after each of these findings."""
    stands: list[verdicts.VerdictState] = []
    before = None
    for second, found in story:
        before = verdicts.assess(trigger, found, before, at(second))
        stands.append(before.state)
    return stands


def rate(value: float | samples.Missing) -> tuple[findings.Finding, ...]:
    """A finding with that drop rate."""
    return (makers.finding(Code.HEALTHY, signals={makers.Name.LISTEN_DROP_RATE: value}),)


STORIES = [
    ("fires when sustained for 4 s", [(0, STALL), (3.9, STALL), (4, STALL)], [PENDING, PENDING, FIRING]),
    ("a break begins the count anew", [(0, STALL), (3, WELL), (4, STALL), (7, STALL), (8, STALL)],
     [PENDING, CLEAR, PENDING, PENDING, FIRING]),
    ("stays until it was clear for 6 s", [(0, STALL), (4, STALL), (5, WELL), (10, WELL), (11, WELL)],
     [PENDING, FIRING, FIRING, FIRING, CLEAR]),
    ("a relapse within clearFor fires at once", [(0, STALL), (4, STALL), (5, WELL), (9, STALL)],
     [PENDING, FIRING, FIRING, FIRING]),
    ("what was not seen was not sustained", [(0, STALL), (3, UNTOLD), (4, STALL), (8, STALL)],
     [PENDING, UNKNOWN, PENDING, FIRING]),
    ("nor was it clear", [(0, STALL), (4, STALL), (5, WELL), (9, ()), (10, WELL), (15, WELL), (16, WELL)],
     [PENDING, FIRING, FIRING, UNKNOWN, FIRING, FIRING, CLEAR]),
    ("what fired fires on after it could not be seen", [(0, STALL), (4, STALL), (5, UNTOLD), (6, STALL)],
     [PENDING, FIRING, UNKNOWN, FIRING]),
    ("one sick listener is enough", [(0, (*WELL, *STALL))], [PENDING]),
    ("one unknown listener leaves the others untold", [(0, (*WELL, *UNTOLD))], [UNKNOWN]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "story", "expected"), STORIES)
def test_a_diagnosis_fires_when_sustained(
    claim: str,
    story: list[tuple[float, tuple[findings.Finding, ...]]],
    expected: list[verdicts.VerdictState],
) -> None:
    """CLEAR, PENDING, FIRING, UNKNOWN over time."""
    assert expected == told(story), claim


RATES = [
    ("above raises, between keeps, below clears", [(0, 0.06), (1, 0.03), (4, 0.03), (5, 0.005), (11, 0.005)],
     [PENDING, PENDING, FIRING, FIRING, CLEAR]),
    ("between raises nothing by itself", [(0, 0.03), (9, 0.03)], [CLEAR, CLEAR]),
    ("exactly at a threshold is between", [(0, 0.05), (1, 0.01)], [CLEAR, CLEAR]),
    ("missing is unknown", [(0, samples.Missing("one look")), (1, 0.0)], [UNKNOWN, CLEAR]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "values", "expected"), RATES)
def test_a_signal_has_two_thresholds(
    claim: str, values: list[tuple[float, float]], expected: list[verdicts.VerdictState]
) -> None:
    """raiseAbove and clearBelow: between the two it stays what it was."""
    assert expected == told([(second, rate(value)) for second, value in values], DROPPING), claim


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((), "listen.dropRate is unknown: no listener was seen"),
        ((*rate(0.1), *STALL), "listen.dropRate is unknown: not measured"),
        ((*rate(0.02), *rate(0.1)), "listen.dropRate is 0.1, above 0.05"),
        (rate(0.02), "listen.dropRate is 0.02, between 0.01 and 0.05"),
        (rate(0.001), "listen.dropRate is 0.001, below 0.01"),
    ],
)
def test_a_verdict_says_its_number(found: tuple[findings.Finding, ...], text: str) -> None:
    """The worst listener counts, and all of them have to be known."""
    assert text == verdicts.assess(DROPPING, found, None, at()).text


def judged_at(
    second: float, member: censuses.Member, before: judgements.Judgement | None, *looks: samples.Look
) -> judgements.Judgement:
    """A judgement of the member from one window."""
    windows = [makers.window(*looks)] if looks else []
    return judgements.judge(member, windows, makers.policy(), before, at(second))


def stalled(second: float) -> tuple[samples.Look, samples.Look]:
    """Two looks at one that waits since long ago."""
    waiting = makers.queued({1: 50})
    return makers.look(second - 4, waiting=waiting), makers.look(second, waiting=waiting)


def test_a_new_life_begins_every_count_anew() -> None:
    """A restart by anybody: what the old life showed is worth nothing."""
    old = judged_at(0, makers.member(), None, *stalled(0))
    assert judged_at(4, makers.member(), old, *stalled(4)).firing
    anew = makers.member(incarnation=actions.Incarnation("1@2"))
    judged = judged_at(4, anew, old, *stalled(4))
    assert (False, True) == (judged.firing, judged.pending)


def test_a_member_that_runs_and_listens_nowhere_is_not_listening() -> None:
    """Unless it could not be looked at: then nothing is concluded."""
    judged = judged_at(0, makers.member(), None)
    assert judged.worst is not None
    assert (Code.NOT_LISTENING, None) == (judged.worst.code, judged.traffic)
    unseen = judgements.judge(
        makers.member(), [], makers.policy(), None, at(), unseen=samples.Missing("not permitted")
    )
    assert (None, True) == (unseen.worst, unseen.unknown)


def test_a_member_that_is_down_is_unknown() -> None:
    """It is not sick, and nobody can say that it is well."""
    judged = judged_at(0, makers.member(ready=False, incarnation=None), None)
    assert (None, True, None) == (judged.worst, judged.unknown, judged.quiet_for(at(9)))


def test_traffic_is_progress_that_was_seen() -> None:
    """Unknown with one look, no with a queue that stands, yes when somebody was accepted."""
    one = makers.look(0, waiting=makers.queued({1: 1}))
    assert [None, False, True] == [
        judged_at(9, makers.member(), None, *looks).traffic
        for looks in ([one], stalled(9), [one, makers.look(1)])
    ]


def test_quiet_is_the_shortest_of_all_triggers() -> None:
    """None as long as one of them is raised or cannot be told."""
    quiet = makers.verdict(CLEAR, raised=False, since=-5)
    assert seconds(5) == makers.judged(stands=[makers.QUIET, quiet]).quiet_for(at(0))
    assert makers.judged(stands=[makers.QUIET, makers.FIRING]).quiet_for(at(0)) is None
    assert makers.judged(stands=[makers.QUIET, makers.UNTOLD]).quiet_for(at(0)) is None
