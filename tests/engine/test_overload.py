"""overload: progress goes on, and the queue stays long or its head stays old."""

from __future__ import annotations

import pytest

from lastack.engine import diagnoses, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.makers import Code, look, queued, window

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not permitted")


def served(
    second: float, depth: int, *, age: float = 1, limit: int = 128, drops: int = 0, first: int | None = None
) -> samples.Look:
    """A queue of that depth whose head came so long ago; ten a second are taken out of it."""
    begin = int(second * 10) if first is None else first
    rows = {begin + at: age if at == 0 else age / 2 for at in range(depth)}
    counters = {"ListenDrops": drops, "ListenOverflows": drops}
    return look(second, waiting=queued(rows), limit=limit, drops=drops, counters=counters)


WELL = (Code.HEALTHY, Severity.NONE, Confidence.HIGH)
CASES = [
    ("half full at every look is medium", [served(at, 64) for at in (0, 2, 5)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("with drops it is high, and critical", [served(0, 129), served(2, 129, drops=9), served(5, 129, drops=50)],
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.HIGH)),
    ("with a head that is always old, high as well", [served(at, 64, age=12) for at in (0, 2, 5)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.HIGH)),
    ("a head that is always old is overload in a queue of any size",
     [served(at, 60, age=11, limit=4096) for at in (0, 5)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("above 30 s requests fail", [served(at, 60, age=31, limit=4096) for at in (0, 5)],
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("one that was taken in a minute is no recovery", [
        look(0, waiting=queued({1: 40, 2: 39, 3: 38})), look(30, waiting=queued({2: 69, 3: 68})),
        look(60, waiting=queued({2: 99, 3: 98}))],
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("a short look is low", [served(at, 64) for at in (0, 1, 2)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.LOW)),
    ("half full at two looks may be chance", [served(at, 64) for at in (0, 5)], WELL),
    ("at one of three looks it was below half", [served(0, 64), served(2, 63), served(5, 64)], WELL),
    ("a head that was young once", [served(0, 9, age=12), served(2, 9, age=9), served(5, 9, age=12)], WELL),
    ("a queue of 1 is half full with somebody in it, and not with nobody",
     [served(0, 1, limit=1), served(2, 0, limit=1), served(5, 1, limit=1)], WELL),
    ("listen(fd, 0) is not overloaded while it is empty", [served(at, 0, limit=0) for at in (0, 2, 5)], WELL),
    ("behind SO_REUSEPORT a depth that falls is progress",
     [look(at, depth=depth, waiting=BLIND) for at, depth in ((0, 100), (2, 90), (5, 100))],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
]  # fmt: skip


def batched(second: float, *, done: bool, age: float = 9) -> samples.Look:
    """An event loop that blocks in each handler: 20 wait and none is taken, of 8 accepted one is finished, or none."""
    ages = [age + second] * (7 if done else 8)
    rows = dict.fromkeys(range(20), 12 + second)
    return look(second, waiting=queued(rows), limit=2048, held=makers.close_waits(ages, unread=len(ages)))


BATCHES = [
    ("one that had been accepted is finished: it is at work", [batched(0, done=False), batched(5, done=True)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("none is: it is stuck", [batched(0, done=False), batched(5, done=False)],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.HIGH)),
    ("one was read on: it is at work",
     [look(at, waiting=queued({1: 12 + at}), held=makers.close_waits([9.0 + at], unread=unread))
      for at, unread in ((0, 1), (5, 0))], (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("one lost its row to a reset, and its file is still open: it was answered",
     [batched(0, done=False), looks.seen(batched(5, done=True), vanished=1)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("after a minute its client may have forgotten it: it is stuck",
     [batched(0, done=False, age=56), looks.seen(batched(5, done=True, age=56), vanished=1)],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.HIGH)),
    ("and when its file is closed as well it was closed",
     [batched(0, done=False, age=56), batched(5, done=True, age=56)],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("a close on its way may be the client's doing", [
        look(at, waiting=queued({1: 12 + at}), held=makers.close_waits(ages)) for at, ages in ((0, [1.9]), (5, []))],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.HIGH)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "seen", "expected"), BATCHES)
def test_who_finishes_what_it_has_accepted_is_at_work(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """Event loops accept in batches: for minutes nobody is taken, and a restart would throw all of it away."""
    finding = diagnoses.diagnose(window(*seen))
    assert expected == (finding.code, finding.severity, finding.confidence), claim


def gulped(
    unread: int, *, drops: int = 50, limit: int = 128, age: float = 1.5, size: int = 1, waited: float = 0.5
) -> list[samples.Look]:
    """A queue that overflowed and was taken at once; so many of those who were taken left before they were read."""
    rows = dict.fromkeys(range(limit + 1), waited)
    counters = {"ListenDrops": drops, "ListenOverflows": drops}
    held = makers.close_waits([age] * (unread + 2), unread=unread, size=size)
    return [
        look(0, waiting=queued(rows), limit=limit),
        look(5, waiting=queued({9000: 0.1}), limit=limit, drops=drops, counters=counters, held=held),
    ]


def patient(ages: list[float], *, lost: int = 0, waited: float = 2) -> list[samples.Look]:
    """Nothing is dropped; what clients that still wait have sent so long ago is unread, and of others who have left."""
    first, last = gulped(lost, drops=0, waited=waited, age=3, size=59)
    return [first, looks.seen(last, unread=ages)]


BUSY = (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)
GULPS = [
    ("half of a queue lost its clients unread: it does not keep up", gulped(64),
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("fewer are the impatient ones", gulped(63), (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("of a short queue ten", gulped(10, limit=16), (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("and no fewer", gulped(9, limit=16), (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("without drops nobody is refused", gulped(64, drops=0), WELL),
    ("ten requests unread for two seconds are enough, however long the queue", gulped(10, age=2, size=59),
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("nine are not", gulped(9, age=2, size=59), (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("nor ten that came just now", gulped(10, age=1.9, size=59),
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("nor ten of which only the end is unread: their handlers have the request", gulped(10, age=2),
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("somebody waited for two seconds in a queue that overflows: it is not too short", gulped(0, waited=2),
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
    ("not for less", gulped(0, waited=1.9), (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("nor in one that does not overflow", gulped(0, waited=2, drops=0), WELL),
    ("who is behind and lets somebody wait is overloaded before the queue is full",
     gulped(64, drops=0, waited=2, age=2, size=59), (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("so is one whose clients have waited for two seconds to be read", patient([2.0] * 10), BUSY),
    ("whether they have left or not", patient([2.0] * 5, lost=5), BUSY),
    ("not nine of them", patient([2.0] * 9), WELL),
    ("nor those who asked just now", patient([1.9] * 500), WELL),
    ("nor a few where everybody is taken at once: some handlers read nothing while they work",
     patient([9.0] * 63, waited=1.9), WELL),
    ("unless they are half as many as the queue holds", patient([2.0] * 64, waited=1.9), BUSY),
    ("not where those who left did so just now: they are closes on their way", gulped(64, drops=0, waited=2, age=0.1),
     WELL),
    ("they may have been read by the last look", [*gulped(10, age=2, size=59), look(6, limit=128, drops=60,
     counters={"ListenDrops": 60, "ListenOverflows": 60})], (Code.OVERLOAD, Severity.CRITICAL, Confidence.MEDIUM)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "seen", "expected"), GULPS)
def test_a_queue_that_is_emptied_in_gulps_is_overload_when_the_taken_are_not_read(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """Workers that are busy look at their sockets now and then, and take everything; a longer queue heals nothing."""
    finding = diagnoses.diagnose(window(*seen))
    assert expected == (finding.code, finding.severity, finding.confidence), claim


def test_overload_in_gulps_says_so() -> None:
    """And how many were taken for nothing."""
    finding = diagnoses.diagnose(window(*gulped(64)))
    assert finding.summary.endswith(
        "the queue overflows between gulps, and 64 that were taken lost their clients unread"
    )
    texts = [piece.text for piece in finding.evidence]
    assert "accept queue between 1 and 129 of 128: it is emptied in gulps" in texts
    assert "64 connections were accepted and lost their clients before anybody read them" in texts


def test_overload_says_how_long_somebody_waited() -> None:
    """What was taken in the gulp has not lost its clients yet."""
    finding = diagnoses.diagnose(window(*gulped(0, waited=4.4)))
    assert finding.summary.endswith(
        "the queue overflows between gulps, for which the first waited for up to 4 s"
    )


def test_overload_before_the_queue_is_full_says_that_it_fills() -> None:
    """Nothing was dropped yet."""
    finding = diagnoses.diagnose(window(*gulped(64, drops=0, waited=3, age=3, size=59)))
    assert "the queue fills between gulps, and 64 that were taken" in finding.summary


def test_overload_says_who_was_not_read() -> None:
    """Those who left, and those who still wait."""
    finding = diagnoses.diagnose(window(*patient([2.0] * 7, lost=5)))
    assert finding.summary.endswith(
        "the queue fills between gulps, and 5 that were taken lost their clients unread "
        "and 7 that were taken have not been read for 2 s or longer"
    )
    assert ("established", 7, 10, "what 7 accepted connections have sent was not read for 2 s or longer") in [
        (piece.signal, piece.value, piece.limit, piece.text) for piece in finding.evidence
    ]


def test_overload_in_batches_says_so() -> None:
    """Nobody is accepted, and yet it is not stuck."""
    finding = diagnoses.diagnose(window(batched(0, done=False), batched(5, done=True)))
    assert "it goes on with those it has accepted, and takes others in batches" in finding.summary


@pytest.mark.parametrize(("claim", "seen", "expected"), CASES)
def test_overload_is_a_long_or_old_queue_in_progress(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """Never below half of the limit, or a head that is never younger than 10 s."""
    finding = diagnoses.diagnose(window(*seen))
    assert expected == (finding.code, finding.severity, finding.confidence), claim


def test_overload_says_its_numbers_in_words() -> None:
    """How long the queue is, how old its head, and that somebody is taken."""
    finding = diagnoses.diagnose(window(*(served(at, 64 + int(at), age=12 + at) for at in (0, 2, 5))))
    assert (
        "more work arrives than the application does: it goes on accepting; 64 or more of 128 wait all the time, "
        "the first always for 12 s or longer" == finding.summary
    )
    assert [
        "accept queue between 64 and 69 of 128: it never fell below half",
        "the head of the queue has waited for 17.0 s",
        "50 of the waiting connections were accepted in 5.0 s",
    ] == [piece.text for piece in finding.evidence]


def test_against_overload_neither_a_restart_nor_a_longer_queue_helps() -> None:
    """Both are offered everywhere, and both make it worse."""
    finding = diagnoses.diagnose(window(*(served(at, 64) for at in (0, 2, 5))))
    assert ["capacity", "shedding", "fasterHandlers"] == [one.remedy for one in finding.can_help]
    assert {"rollingRestart", "net.core.somaxconn"} <= {one.remedy for one in finding.cannot_help}


def test_a_queue_that_did_not_move_has_one_depth() -> None:
    """Not between a number and itself."""
    finding = diagnoses.diagnose(window(*(served(at, 64) for at in (0, 2, 5))))
    assert "accept queue 64 of 128: it never fell below half" == finding.evidence[0].text
