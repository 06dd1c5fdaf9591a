"""handler-stall: connections without an answer, and the second signal without which they may be long polls."""

from __future__ import annotations

import pytest

from lastack.engine import diagnoses, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.looks import DATABASE
from tests.engine.makers import Code, look, queued, window

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not permitted: needs CAP_SYS_PTRACE")
UNTOLD = (Code.UNKNOWN, Severity.NONE, Confidence.LOW)
WELL = (Code.HEALTHY, Severity.NONE, Confidence.HIGH)
HIGH, MEDIUM, LOW = (
    (Code.HANDLER_STALL, Severity.WARNING, confidence)
    for confidence in (Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW)
)
EIGHT = [40.0 + at for at in range(8)]


def stalled(
    ages: list[float],
    at: tuple[float, ...] = (0, 2, 5),
    *,
    unread: int | None = None,
    stands: looks.Stands | samples.Missing | None = None,
    threads: int = 200,
    waiting: samples.QueuedRows = makers.EMPTY,
) -> list[samples.Look]:
    """The same rows at each look, as old as given at the first; all unread unless said otherwise."""
    return [
        looks.seen(
            look(
                second,
                held=makers.close_waits(
                    [age + second for age in ages], unread=len(ages) if unread is None else unread
                ),
                threads=threads,
                waiting=waiting,
            ),
            stands=stands,
        )
        for second in at
    ]


def ending(ages: list[float], *, gone: float, many: int = 1) -> list[samples.Look]:
    """The same, and others of that age that are not there any more at the last look."""
    rows = makers.close_waits([*ages, *[gone] * many], unread=len(ages) + many)
    return [look(0, held=rows), stalled(ages, (5,))[0]]


DOWN = [DATABASE] * 8
POLLS = [31.0 + at / 10 for at in range(100)]
FORGOTTEN = [600.0 + at / 2 for at in range(700)]
CASES = [
    ("a thread for each, all in one call to one peer", stalled(EIGHT, stands=looks.waiting_for(DOWN)), HIGH),
    ("a thread for each, all sending to clients that do not read", stalled(EIGHT, stands=looks.sending(8)), HIGH),
    ("held counts as well when threads stand on its behalf",
     stalled(EIGHT, unread=0, stands=looks.waiting_for(DOWN)), HIGH),
    ("half of the process is enough: the other connections wait inside for a worker",
     stalled([40.0 + at for at in range(900)], stands=looks.waiting_for([DATABASE] * 200) + looks.locked(30)), HIGH),
    ("three of many threads are the readers of a message bus as well",
     stalled(EIGHT, stands=looks.waiting_for(DOWN[:3]) + looks.locked(60)), LOW),
    ("and they may be as many as the polls that clients gave up a minute ago",
     stalled(EIGHT[:3], stands=looks.waiting_for(DOWN[:4]) + looks.locked(7)), LOW),
    ("so may threads that compute in the background",
     stalled(EIGHT[:3], (0, 1, 2, 3, 5), stands=looks.running(3) + looks.locked(7)), LOW),
    ("for longer than polls last it is one thread for each",
     stalled([121.0] * 3, stands=looks.waiting_for(DOWN[:4]) + looks.locked(7)), HIGH),
    ("a thread for each on a peer of its own is no group", stalled(EIGHT, stands=looks.waiting_for(
        [f"10.9.0.{at}:9092" for at in range(8)])), UNTOLD),
    ("two threads are none", stalled(EIGHT, stands=looks.waiting_for(DOWN[:2])), UNTOLD),
    ("a lock looks like an idle pool", stalled(EIGHT, stands=looks.locked(60)), UNTOLD),
    ("who waits for clients to say something waits for nobody's sake",
     stalled(EIGHT, stands=tuple(samples.ThreadStand(samples.Pid(7), at, False, "recvfrom", 9, "inbound", "::1:1")
                                 for at in range(8))), UNTOLD),
    ("a short look at threads is low", stalled(EIGHT, (0, 1, 2), stands=looks.waiting_for(DOWN)), LOW),
    ("two readings are low", stalled(EIGHT, (0, 5), stands=looks.waiting_for(DOWN)), LOW),
    ("one for each that never leaves the processor, seen five times, is medium",
     stalled(EIGHT, (0, 1, 2, 3, 5), stands=looks.running(8)), MEDIUM),
    ("seen four times it may be a busy service", stalled(EIGHT, (0, 1, 2, 5), stands=looks.running(8)), LOW),
    ("threads that cannot be seen leave it untold", stalled(EIGHT, stands=BLIND), UNTOLD),
    ("two connections are a slow page", stalled(EIGHT[:2], stands=looks.waiting_for(DOWN)), WELL),
    ("below 30 s most handlers still end",
     stalled([float(at) for at in range(8)], stands=looks.waiting_for(DOWN)), WELL),
    ("what was younger than 30 s at the last look does not count",
     stalled([*EIGHT[:2], *[1.0] * 6], stands=looks.waiting_for(DOWN)), WELL),
    ("one of them ended: the others will", ending(EIGHT, gone=35.0), WELL),
    ("700 for more than 10 min, and none ended: some should have", stalled(FORGOTTEN, (0, 5)), MEDIUM),
    ("a short look at that is low", stalled(FORGOTTEN, (0, 3)), (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("ten times as many suffice for a short one, which is low", stalled(FORGOTTEN * 10, (0, 3)), LOW),
    ("100 polls that began together do not end for a while", stalled(POLLS, (0, 5)), UNTOLD),
    ("not even while others end", ending(POLLS, gone=3.0), UNTOLD),
    ("for longer than polls last, while others end: a suspicion", ending([121.0] * 100, gone=3.0, many=2), LOW),
    ("while none end it may be a quiet hour", stalled([121.0] * 100, (0, 5)), UNTOLD),
    ("few and old: that none of them ended may be chance", ending([700.0] * 20, gone=3.0), UNTOLD),
    ("held without a thread is not a handler", stalled(FORGOTTEN, (0, 5), unread=0),
     (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("a queue that stands is for the other rows",
     stalled(EIGHT, stands=looks.waiting_for(DOWN), waiting=queued({1: 1.0})), UNTOLD),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "seen", "expected"), CASES)
def test_unanswered_connections_need_a_second_signal(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """Threads on their behalf, or so many and so old that some should have ended."""
    finding = diagnoses.diagnose(window(*seen))
    assert expected == (finding.code, finding.severity, finding.confidence), claim


def test_a_queue_in_progress_is_a_queue_that_moves() -> None:
    """Others are accepted, and never answered either."""
    first, second, third = stalled(EIGHT, stands=looks.waiting_for(DOWN))
    rows = {0: {1: 1.0}, 1: {2: 1.0}, 2: {3: 1.0}}
    seen = [
        looks.seen(
            look(
                float(each.at.since(first.at).total_seconds()),
                held=each.listener.close_wait,
                waiting=queued(rows[at]),
            ),
            stands=looks.waiting_for(DOWN),
        )
        for at, each in enumerate((first, second, third))
    ]
    assert Code.HANDLER_STALL is diagnoses.diagnose(window(*seen)).code


def test_drops_make_it_critical() -> None:
    """Requests fail now."""
    seen = stalled(EIGHT, stands=looks.waiting_for(DOWN))
    dropping = look(
        5, held=seen[-1].listener.close_wait, drops=50, counters={"ListenDrops": 50, "ListenOverflows": 0}
    )
    finding = diagnoses.diagnose(window(*seen[:-1], looks.seen(dropping, stands=looks.waiting_for(DOWN))))
    assert (Code.HANDLER_STALL, Severity.CRITICAL) == (finding.code, finding.severity)


def test_a_connection_that_was_read_meanwhile_is_a_handler_at_work() -> None:
    """Its bytes went from 1 to 0: somebody has come to it."""
    first, last = stalled(EIGHT, (0, 5))
    read = look(5, held=makers.close_waits([age + 5 for age in EIGHT], unread=7))
    assert Code.HEALTHY is diagnoses.diagnose(window(first, read)).code
    assert Code.UNKNOWN is diagnoses.diagnose(window(first, last)).code


@pytest.mark.parametrize(
    ("stands", "says"),
    [
        (looks.waiting_for(DOWN), "8 threads stood in the same call to 10.9.0.7:7000 for 5.0 s"),
        (looks.sending(8), "8 threads stood in the same send to a client that does not read for 5.0 s"),
        (looks.running(8), "8 threads never left the processor for 5.0 s"),
    ],
)
def test_it_says_what_holds_the_threads(stands: looks.Stands, says: str) -> None:
    """In the summary, for a tired person, and as evidence."""
    finding = diagnoses.diagnose(window(*stalled(EIGHT, (0, 1, 2, 3, 5), stands=stands)))
    assert (
        f"8 accepted connections get no answer, and their clients have left, the first 52 s ago; {says}"
        == finding.summary
    )
    assert ("workers.stuck", 8, says) == (
        finding.evidence[1].signal,
        finding.evidence[1].value,
        finding.evidence[1].text,
    )


def test_untold_names_the_signal_that_is_missing() -> None:
    """And what else it may be, and what tells."""
    finding = diagnoses.diagnose(window(*stalled(EIGHT)))
    assert ("workers.stuck",) == finding.needs
    assert finding.summary.startswith(
        "8 connections have had no answer since their clients left, the first 52 s ago"
    )


def test_what_helps_is_by_cause() -> None:
    """A restart frees the workers, and so does the end of what they wait on; time-outs keep them free."""
    finding = diagnoses.diagnose(window(*stalled(EIGHT, stands=looks.waiting_for(DOWN))))
    assert ["rollingRestart", "socketDestroy", "timeouts"] == [one.remedy for one in finding.can_help]
    (unhooked,) = [one.why for one in finding.can_help if one.remedy == "socketDestroy"]
    assert unhooked.startswith(f"stuckOutbound: the threads that wait for {DATABASE} get an error at once")
    assert "net.core.somaxconn" in {one.remedy for one in finding.cannot_help}


def test_destroying_the_rows_helps_nobody_whose_cause_is_not_known() -> None:
    """The handlers stand as before."""
    finding = diagnoses.diagnose(window(*stalled(EIGHT, stands=looks.sending(8))))
    assert "socketDestroy" in {one.remedy for one in finding.cannot_help}
