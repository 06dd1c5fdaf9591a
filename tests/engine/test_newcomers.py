"""A service that listens and has not taken anybody yet: it may be starting, and a restart would begin it anew."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import diagnoses, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.makers import Code, look, queued, window

MASTER, WORKER = samples.Pid(7), samples.Pid(8)
UNTOLD = samples.Missing("not counted")
NOTHING = makers.close_waits()
LONG_AGO = 3600.0


def owner(*ages: float, at: float, state: str) -> samples.Owner:
    """A process of the first age; those after it are workers that it forked."""
    processes = tuple(
        samples.ProcessSample(
            samples.Pid(MASTER + number),
            MASTER if number else samples.Pid(1),
            "server",
            makers.UP + makers.seconds(at - age),
            20,
            1024,
            1,
            state=state,
        )
        for number, age in enumerate(ages)
    )
    return samples.Owner(MASTER if ages else None, processes)


def starting(
    *ages: float,
    established: int | samples.Missing = 0,
    held: samples.CloseWaitRows = NOTHING,
    dead: samples.DeadSockets | None = None,
    at: tuple[float, ...] = (0, 5),
    waits: float = 15,
    state: str = "S",
) -> samples.Window:
    """One has waited for so long at the last look, in the queue of processes of these ages."""
    end = at[-1]
    made = []
    for second in at:
        seen = look(
            second,
            waiting=queued({1: waits - end + second}),
            held=held,
            owner=owner(*(age - end + second for age in ages), at=second, state=state),
        )
        counted = dataclasses.replace(seen.listener, established=established)
        made.append(looks.seen(dataclasses.replace(seen, listener=counted), dead=dead))
    return window(*made)


CASES = [
    ("a process of 20 s that has not taken anybody may be starting", starting(20), True),
    ("after two minutes it should be ready", starting(121), False),
    ("a worker that was forked just now imports what its old master did not", starting(LONG_AGO, 20), True),
    ("while one of the workers is old the others are no excuse", starting(LONG_AGO, 20, LONG_AGO), False),
    ("who holds a connection took it", starting(20, established=1), False),
    ("also when its client has left", starting(20, held=makers.close_waits([5.0])), False),
    ("or when it was reset", starting(20, dead=makers.dead([5.0])), False),
    ("where nobody counts connections it is not known", starting(20, established=UNTOLD), False),
    ("nor where no process can be seen", starting(), False),
    ("who was stopped does not start", starting(20, state="T"), False),
    ("one look sees it as well", starting(20, at=(0,)), True),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "seen", "young"), CASES)
def test_a_service_that_never_took_anybody_is_said_to_be_young(
    claim: str, seen: samples.Window, young: bool
) -> None:
    """The age of those who serve decides, and whether any connection shows that somebody was taken."""
    finding = diagnoses.diagnose(seen)
    assert (Code.ACCEPT_STALL, young) == (finding.code, "may still be starting" in finding.summary), claim


def test_it_says_since_when_nobody_was_taken_and_what_a_restart_would_do() -> None:
    """A stall or a start: both readings are told, and the numbers."""
    finding = diagnoses.diagnose(starting(20))
    assert (
        "the application does not accept: 1 connection waits, the first for 15 s, and none was taken; it began 20 s "
        "ago and holds no connection: it may still be starting" == finding.summary
    )
    whys = {remedy.remedy: remedy.why for remedy in finding.can_help}
    assert "begins its start anew: wait for it first" in whys[vocabulary.ActionKind.ROLLING_RESTART]
