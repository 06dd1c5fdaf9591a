"""Triggers of several conditions, of what is worse when smaller, and of processes that are clients."""

from __future__ import annotations

import dataclasses
import math

import pytest

from lastack.engine import findings, judgements, samples, verdicts
from lastack.policy import valid
from tests.engine import clients, makers
from tests.engine.clients import DATABASE
from tests.engine.makers import Code, Name, at, seconds

CLEAR, PENDING, FIRING, UNKNOWN = verdicts.VerdictState
HOUR = 3600.0
LEAKING = valid.AllTrigger(
    valid.TriggerName("leaking"),
    (
        valid.Below(Name.OPEN_FILES_EXHAUSTS_IN, 36 * HOUR, 72 * HOUR),
        valid.Above(Name.CLOSE_WAIT_HELD, 100, 20),
    ),
    seconds(4),
    seconds(6),
)
SOON = valid.AllTrigger(
    valid.TriggerName("soon"), LEAKING.conditions[:1], LEAKING.sustained_for, LEAKING.clear_for
)
YOUNG = samples.Missing("watched for 3m; a slope needs 10m", quiet=True)
BLIND = samples.Missing("not permitted")


def leak(hours: float | samples.Missing, held: float | samples.Missing = 150) -> tuple[findings.Finding, ...]:
    """A listener whose files last so many hours, with so many held connections."""
    left = hours if isinstance(hours, samples.Missing) else hours * HOUR
    signals = {Name.OPEN_FILES_EXHAUSTS_IN: left, Name.CLOSE_WAIT_HELD: held}
    return (makers.finding(Code.FD_LEAK, signals=signals),)


def told(trigger: valid.Trigger, *story: tuple[findings.Finding, ...]) -> list[verdicts.VerdictState]:
    """How the verdict stands after each finding, 5 s apart."""
    stands: list[verdicts.VerdictState] = []
    before = None
    for number, found in enumerate(story):
        before = verdicts.assess(trigger, found, before, at(5 * number))
        stands.append(before.state)
    return stands


STORIES = [
    ("both hold, and go on holding between their thresholds", [leak(30), leak(50, 50), leak(30)],
     [PENDING, FIRING, FIRING]),
    ("one that ends ends both", [leak(30), leak(30), leak(30, 10), leak(30, 10), leak(30, 10)],
     [PENDING, FIRING, FIRING, FIRING, CLEAR]),
    ("one alone raises nothing", [leak(30, 50), leak(80, 500)], [CLEAR, CLEAR]),
    ("they have to begin together", [leak(30, 50), leak(50, 150)], [CLEAR, CLEAR]),
    ("what never happens is not soon", [leak(math.inf)], [CLEAR]),
    ("one that does not hold settles it, whatever is unknown", [leak(BLIND, 10)], [CLEAR]),
    ("one that holds does not", [leak(BLIND, 150)], [UNKNOWN]),
    ("too short a trend raises nothing and is no riddle", [leak(YOUNG)], [CLEAR]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "story", "expected"), STORIES)
def test_all_conditions_hold_together(
    claim: str, story: list[tuple[findings.Finding, ...]], expected: list[verdicts.VerdictState]
) -> None:
    """Raised when each is beyond its threshold at once; cleared when one is back."""
    assert expected == told(LEAKING, *story), claim


TEXTS = [
    (LEAKING, leak(30), "openFiles.exhaustsIn is 108000, below 129600; closeWait.held is 150, above 100"),
    (LEAKING, leak(math.inf, 10), "openFiles.exhaustsIn is never, above 259200; closeWait.held is 10, below 20"),
    (LEAKING, leak(math.inf), "openFiles.exhaustsIn is never, above 259200"),
    (LEAKING, leak(BLIND), "openFiles.exhaustsIn is unknown: not permitted"),
    (SOON, leak(YOUNG), "openFiles.exhaustsIn is not known yet: watched for 3m; a slope needs 10m"),
    (SOON, leak(50), "openFiles.exhaustsIn is 180000, between 129600 and 259200"),
    (SOON, (*leak(50), *leak(30)), "openFiles.exhaustsIn is 108000, below 129600"),
]  # fmt: skip


@pytest.mark.parametrize(("trigger", "found", "text"), TEXTS)
def test_a_verdict_says_which_condition_decided(
    trigger: valid.Trigger, found: tuple[findings.Finding, ...], text: str
) -> None:
    """All of them while they hold, else those that do not; the smallest forecast is the worst."""
    assert text == verdicts.assess(trigger, found, None, at()).text


def test_a_diagnosis_can_be_one_of_the_conditions() -> None:
    """A leak that is near its end."""
    trigger = dataclasses.replace(
        LEAKING, conditions=(valid.Diagnosed(frozenset({Code.FD_LEAK})), *SOON.conditions)
    )
    assert [PENDING, CLEAR] == told(trigger, leak(30), leak(80))


def client(count: int | samples.Missing, code: Code = Code.OUTBOUND_LEAK) -> findings.Finding:
    """A process that did not close so many connections of its own."""
    signals = {Name.CLOSE_WAIT_OUTBOUND: count, Name.CLOSE_WAIT_OLDEST: 9000.0}
    return dataclasses.replace(makers.finding(code, signals=signals), outbound=True)


def listener(outbound: int | samples.Missing) -> findings.Finding:
    """A healthy listener whose owner has so many connections of its own."""
    signals = {Name.CLOSE_WAIT_OUTBOUND: outbound, Name.CLOSE_WAIT_OLDEST: 1.0}
    return dataclasses.replace(makers.HEALTHY, signals=signals)


FEW = samples.Missing("not looked at: few sockets of the namespace are in CLOSE_WAIT", quiet=True)


def above(signal: Name, high: float) -> valid.SignalTrigger:
    """A trigger on one signal."""
    return valid.SignalTrigger(valid.TriggerName("many"), signal, high, high / 2, seconds(4), seconds(6))


CLIENTS = [
    ("the process itself knows", above(Name.CLOSE_WAIT_OUTBOUND, 50), (client(90), listener(FEW)), PENDING),
    ("few are not many", above(Name.CLOSE_WAIT_OUTBOUND, 50), (listener(FEW),), CLEAR),
    ("what may not be seen is unknown", above(Name.CLOSE_WAIT_OUTBOUND, 50), (listener(BLIND),), UNKNOWN),
    ("its old connections are not those of the listener",
     above(Name.CLOSE_WAIT_OLDEST, 300), (client(90), listener(0)), CLEAR),
    ("nor is there a listener, because it is a client", above(Name.CLOSE_WAIT_OLDEST, 300), (client(90),), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "trigger", "found", "expected"), CLIENTS)
def test_a_client_tells_what_is_of_clients(
    claim: str,
    trigger: valid.Trigger,
    found: tuple[findings.Finding, ...],
    expected: verdicts.VerdictState,
) -> None:
    """Its own connections, and nothing of any listener."""
    assert [expected] == told(trigger, found), claim


def test_a_leaking_client_fires_by_its_diagnosis() -> None:
    """Also when no listener could be seen; without one nothing is said about other diagnoses."""
    leaking = dataclasses.replace(makers.STALLED, diagnoses=frozenset({Code.OUTBOUND_LEAK}))
    assert [PENDING] == told(leaking, (client(90),))
    assert [UNKNOWN] == told(makers.STALLED, (client(90),))
    healthy = dataclasses.replace(makers.STALLED, diagnoses=frozenset({Code.FD_LEAK}))
    assert makers.HEALTHY.summary == verdicts.assess(healthy, (client(9), makers.HEALTHY), None, at()).text


def test_a_judgement_has_the_clients_among_its_listeners_the_worst_first() -> None:
    """A leak comes before a listener that is well; a member that listens nowhere says that first."""
    ages = clients.spread(200, 3600, 400)
    leaking = clients.window(
        clients.look(0, {DATABASE: ages}), clients.look(5, {DATABASE: [age + 5 for age in ages]})
    )
    well = makers.window(makers.look(0), makers.look(5))
    judged = judgements.judge(makers.member(), [well], makers.policy(), None, at(5), clients=[leaking])
    assert [Code.OUTBOUND_LEAK, Code.HEALTHY] == [finding.code for finding in judged.found]
    nowhere = judgements.judge(makers.member(), [], makers.policy(), None, at(5), clients=[leaking])
    assert [Code.NOT_LISTENING, Code.OUTBOUND_LEAK] == [finding.code for finding in nowhere.found]
