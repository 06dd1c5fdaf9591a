"""Which disease a window shows, at what severity and confidence: the blueprint's table, row by row."""

from __future__ import annotations

import dataclasses
from array import array

import pytest

from lastack.engine import diagnoses, findings, samples, trends
from lastack.policy import sysctls, vocabulary
from tests.engine import looks, makers
from tests.engine.makers import Code, look, queued, window

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not permitted")
NO_OVERFLOW = {"ListenDrops": 0, "ListenOverflows": 0}


def diagnose(*looks: samples.Look) -> findings.Finding:
    """The finding of a window of these looks."""
    return diagnoses.diagnose(window(*looks))


def said(finding: findings.Finding) -> tuple[Code, vocabulary.Severity, vocabulary.Confidence]:
    """What is wrong, how bad, how sure."""
    return finding.code, finding.severity, finding.confidence


def waits(age: float, second: float, *, limit: int = 128, drops: int = 0) -> samples.Look:
    """One connection has waited for that long."""
    counters = {"ListenDrops": drops, "ListenOverflows": drops}
    return look(second, waiting=queued({1: age}), limit=limit, drops=drops, counters=counters)


def full(second: float, drops: int) -> samples.Look:
    """The same 129 of 128 wait since a second before the first look."""
    counters = {"ListenDrops": drops, "ListenOverflows": drops}
    rows = dict.fromkeys(range(129), second + 1)
    return look(second, waiting=queued(rows), drops=drops, counters=counters)


STALLS = [
    ("one of 4096 for 12 s is a stall, however large the limit", [waits(8, 0, limit=4096), waits(12, 4, limit=4096)],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.HIGH)),
    ("nobody waits so long for a healthy server: 30 s are critical", [waits(27, 0), waits(31, 4)],
     (Code.ACCEPT_STALL, Severity.CRITICAL, Confidence.HIGH)),
    ("drops are critical at any age", [waits(8, 0), waits(12, 4, drops=50)],
     (Code.ACCEPT_STALL, Severity.CRITICAL, Confidence.HIGH)),
    ("a window under 4 s is medium", [waits(11, 0), waits(12, 1)],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.MEDIUM)),
    ("one look is low: nobody knows whether it was accepted since", [waits(40, 0)],
     (Code.ACCEPT_STALL, Severity.CRITICAL, Confidence.LOW)),
    ("a head younger than 10 s may still be accepted, but whom nobody took for 2 s is not well served",
     [waits(1, 0), waits(9, 8)], (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("that holds from the first look that saw it", [look(0), waits(1, 2), waits(3, 4)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("for less than 2 s it is busy for a moment", [look(0), waits(0.5, 3), waits(1.5, 4)],
     (Code.HEALTHY, Severity.NONE, Confidence.HIGH)),
    ("progress of one in the window is no stall, and while the head is old no recovery",
     [look(0, waiting=queued({1: 20, 2: 19})), look(4, waiting=queued({2: 23}))],
     (Code.OVERLOAD, Severity.WARNING, Confidence.MEDIUM)),
    ("a queue that was empty once drains: the age is that of a slow handshake", [look(0), waits(12, 4)],
     (Code.HEALTHY, Severity.NONE, Confidence.HIGH)),
    ("slots of reset connections that stand for 10 s are a stall at medium, as two signals are missing",
     [look(0, depth=3), look(10, depth=3)], (Code.ACCEPT_STALL, Severity.WARNING, Confidence.MEDIUM)),
    ("for less than 10 s they say nothing", [look(0, depth=3), look(9, depth=3)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("nor when they become fewer", [look(0, depth=3), look(10, depth=2)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("behind SO_REUSEPORT a depth that stands for 10 s is a stall at medium",
     [look(0, depth=5, waiting=BLIND), look(10, depth=5, waiting=BLIND)],
     (Code.ACCEPT_STALL, Severity.WARNING, Confidence.MEDIUM)),
    ("behind SO_REUSEPORT one look is not even low", [look(0, depth=5, waiting=BLIND)],
     (Code.HEALTHY, Severity.NONE, Confidence.LOW)),
    ("overflowing, and too early to tell a stall from a burst",
     [full(0, 0), full(4, 50)], (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected"), STALLS)
def test_a_stall_is_judged_by_progress_and_age_not_by_fill(
    claim: str,
    looks: list[samples.Look],
    expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence],
) -> None:
    """Somebody in every look, nobody accepted, and the head older than clients wait."""
    assert expected == said(diagnose(*looks)), claim


def test_a_stall_says_its_numbers_in_words() -> None:
    """One sentence for a tired person, and the evidence with what it was held against."""
    finding = diagnose(waits(8, 0), waits(12, 4, drops=50))
    assert (
        "the application has stopped accepting: 1 connection waits, the first for 12 s, and none was taken"
        == (finding.summary)
    )
    assert [
        ("acceptQueue.depth", 1, 128),
        ("acceptQueue.headAge", 12.0, 10.0),
        ("acceptProgress", 0, None),
        ("listen.dropRate", 12.5, 0),
    ] == [(e.signal, e.value, e.limit) for e in finding.evidence]
    assert finding.cause is not None
    assert vocabulary.CauseKind.UNKNOWN is finding.cause.kind


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (diagnose(waits(8, 0), waits(12, 4, drops=50)), "12.5 connection attempts a second are dropped"),
        (
            diagnose(full(9, 0), full(13, 50)),
            "12.5 connection attempts a second are dropped, since the queue is full",
        ),
    ],
)
def test_a_stall_says_why_attempts_are_dropped_where_it_was_seen(
    finding: findings.Finding, said: str
) -> None:
    """A SYN queue that is full drops them as well, while the accept queue has room."""
    assert Code.ACCEPT_STALL is finding.code
    assert said == finding.evidence[-1].text


def test_a_stall_of_ghosts_says_how_long_it_was_watched() -> None:
    """There is no head to tell the age of."""
    finding = diagnose(look(0, depth=3), look(10, depth=3))
    assert "3 connections wait, for at least 10 s" in finding.summary
    assert "acceptQueue.headAge" not in {e.signal for e in finding.evidence}


def burst(
    second: float, depth: int, drops: int, counters: dict[str, int] | samples.Missing | None = None
) -> samples.Look:
    """A queue of that depth with fresh rows, after so many drops."""
    rows = {int(second * 1000) + at: 0.1 for at in range(depth)}
    grown = {"ListenDrops": drops, "ListenOverflows": drops}
    return look(second, waiting=queued(rows), drops=drops, counters=grown if counters is None else counters)


DROPPING = [
    ("a queue that drains between bursts is too small", [burst(0, 129, 0), burst(4, 2, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("a queue for one, which a backlog of 0 is, drains when it is empty",
     [dataclasses.replace(each, listener=dataclasses.replace(each.listener, limit=0))
      for each in (burst(0, 1, 0), burst(4, 0, 50))],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("under 4 s that is medium", [burst(0, 129, 0), burst(1, 2, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.MEDIUM)),
    ("it fell and filled again", [burst(0, 129, 0), burst(2, 3, 20), burst(4, 129, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("a queue that fills for the first time does not drain", [burst(0, 0, 0), burst(4, 129, 50)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("a queue that is long at five looks is overload", [burst(at, 120, at * 12) for at in (0, 1, 2, 3, 4)],
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.HIGH)),
    ("at two looks it may be two bursts", [burst(0, 129, 0), burst(4, 120, 50)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("a glance between them saw it empty: they are two bursts",
     [burst(0, 129, 0), looks.seen(burst(4, 129, 50), peak=129, trough=0)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("a glance between them saw it long: it is overload",
     [burst(0, 129, 0), looks.seen(burst(4, 120, 50), peak=129, trough=100)],
     (Code.OVERLOAD, Severity.CRITICAL, Confidence.HIGH)),
    ("it was glimpsed full and then empty: the next burst is here",
     [burst(0, 0, 0), looks.seen(burst(2, 0, 30), peak=129, trough=0),
      looks.seen(burst(4, 129, 50), peak=129, trough=64)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("it had dropped before, and was empty once since",
     [burst(0, 0, 0), burst(2, 70, 30), burst(3, 3, 30), burst(4, 129, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("what was dropped before it was empty",
     [burst(0, 0, 0), burst(2, 9, 30), burst(3, 3, 30), burst(4, 129, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("unread drops say nothing of before",
     [burst(0, 0, 0), look(2, waiting=queued({7: 0.1}), drops=BLIND), burst(4, 129, 50)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("one that has filled while others were accepted may become either", [burst(0, 9, 0), burst(4, 120, 50)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("between two looks too, when all drops of the namespace are its own", [burst(0, 0, 0), burst(4, 0, 50)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("whatever the counters say when it is the only listener",
     [looks.seen(burst(0, 0, 0), listeners=1),
      looks.seen(burst(4, 0, 90, {"ListenDrops": 50, "ListenOverflows": 50}), listeners=1)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("not when there is another one",
     [looks.seen(burst(0, 0, 0), listeners=2),
      looks.seen(burst(4, 0, 90, {"ListenDrops": 50, "ListenOverflows": 50}), listeners=2)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("stray segments while another listener overflows are not its own",
     [burst(0, 0, 0), burst(4, 0, 90, {"ListenDrops": 50, "ListenOverflows": 50})],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("nor are they when its queue was never seen and the counters are unknown",
     [burst(0, 0, 0, BLIND), burst(4, 0, 50, BLIND)], (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("a glance between two looks saw its queue full",
     [burst(0, 0, 0), looks.seen(burst(4, 0, 90, {"ListenDrops": 50, "ListenOverflows": 50}), peak=129)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.HIGH)),
    ("drops without an overflow are not of this queue",
     [burst(0, 9, 0, NO_OVERFLOW), burst(4, 2, 50, {**NO_OVERFLOW, "ListenDrops": 50})],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("without the counter of overflows it is low", [burst(0, 129, 0, BLIND), burst(4, 2, 50, BLIND)],
     (Code.BACKLOG_TOO_SMALL, Severity.CRITICAL, Confidence.LOW)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected"), DROPPING)
def test_a_backlog_is_too_small_when_drops_come_with_a_queue_that_drains(
    claim: str,
    looks: list[samples.Look],
    expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence],
) -> None:
    """Too short is not too slow."""
    assert expected == said(diagnose(*looks)), claim


def held(
    second: float, ages: list[float], *, threads: int | samples.Missing = 4, **more: object
) -> samples.Look:
    """A look at so many held connections."""
    return look(second, held=makers.close_waits(ages), threads=threads, **more)  # type: ignore[arg-type] # by name


def partly_read(second: float, *, threads: int) -> samples.Look:
    """25 are held and 3 unread, all of them for long."""
    return look(second, held=makers.close_waits([400.0] * 3 + OLD, unread=3), threads=threads)


OLD = [300.0 + 2 * at for at in range(25)]
YOUNG = [10.0 + 2 * at for at in range(25)]
LEAKS = [
    ("old and growing is high", [held(0, OLD[:-1]), held(5, OLD)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.HIGH)),
    ("old and standing is medium", [held(0, OLD), held(5, OLD)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("young is low: handlers may still close them", [held(0, YOUNG), held(5, YOUNG)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("a short window is low", [held(0, OLD), held(1, OLD)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("more threads than held connections is low: each could be waiting for one",
     [held(0, OLD, threads=200), held(5, OLD, threads=200)], (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("unknown threads are low", [held(0, OLD, threads=BLIND), held(5, OLD, threads=BLIND)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("19 may also be handlers or long polls: not told", [held(0, OLD[:19]), held(5, OLD[:19])],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("so may clients that left together", [held(0, [400.0] * 25), held(5, [400.0] * 25)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("two are nothing", [held(0, OLD[:2]), held(5, OLD[:2])], (Code.HEALTHY, Severity.NONE, Confidence.HIGH)),
    ("one look tells nothing of what was closed", [held(0, OLD)], (Code.HEALTHY, Severity.NONE, Confidence.LOW)),
    ("one that the application closed: it does close", [held(0, [*OLD, 9.0]), held(5, OLD)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("an old one that it closed: others will follow", [held(0, [*OLD, 90.0]), held(5, OLD)],
     (Code.HEALTHY, Severity.NONE, Confidence.HIGH)),
    ("a close on its way says nothing about those that stay", [held(0, [*OLD, 0.5]), held(5, OLD)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("one whose row went and whose file stayed was not closed",
     [held(0, [*OLD, 12.0]), held(5, OLD, vanished_open=1)], (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("where that cannot be seen, a row that went counts as closed",
     [held(0, [*OLD, 90.0]), held(5, OLD, vanished_open=BLIND)], (Code.HEALTHY, Severity.NONE, Confidence.HIGH)),
    ("those whose row goes and whose file stays are growth as well",
     [held(0, OLD), held(5, OLD, vanished_open=1)], (Code.FD_LEAK, Severity.WARNING, Confidence.HIGH)),
    ("of 200 threads that rest none can be waiting for one",
     [looks.seen(held(at, OLD, threads=200), stands=looks.resting(200)) for at in (0, 5)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("of 30 in a lock each could be, or could be idle",
     [looks.seen(held(at, OLD, threads=200), stands=looks.locked(30)) for at in (0, 5)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("beside others that stand unread, with threads for all of them, it is stuck",
     [partly_read(at, threads=200) for at in (0, 5)], (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("without so many threads it reads some and leaks others",
     [partly_read(at, threads=4) for at in (0, 5)], (Code.FD_LEAK, Severity.WARNING, Confidence.MEDIUM)),
    ("those on which data is still sent are no leak",
     [looks.seen(held(at, OLD), sent=1) for at in (0, 5)], (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("those that were answered just before their FIN are",
     [looks.seen(held(at, YOUNG), sent=4.5) for at in (0, 5)], (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected"), LEAKS)
def test_a_leak_is_old_joined_one_by_one_and_never_closed(
    claim: str,
    looks: list[samples.Look],
    expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence],
) -> None:
    """20 or more, their ages spread over half a minute, none closed while we looked."""
    assert expected == said(diagnose(*looks)), claim


ONE = array("d", [1.0])
RISING = trends.Trend(1.0, ONE, ONE, ONE, trends.Growth(100.0, rising=True))
STANDING = trends.Trend(1.0, ONE, ONE, ONE, trends.Growth(0.0, rising=False))
RATHER_YOUNG = [10.0 + 2 * at for at in range(25)]


@pytest.mark.parametrize(
    ("trend", "vanished", "expected"),
    [
        (RISING, 1, Confidence.HIGH),
        (RISING, 0, Confidence.LOW),
        (STANDING, 1, Confidence.LOW),
        (None, 1, Confidence.LOW),
    ],
)
def test_where_keep_alive_takes_the_rows_rising_files_are_as_good_as_age(
    trend: trends.Trend | None, vanished: int, expected: vocabulary.Confidence
) -> None:
    """No row of a leak in Go lives longer than a minute; the files stay, and become more all day."""
    seen = window(held(0, RATHER_YOUNG), held(5, RATHER_YOUNG, vanished_open=vanished))
    trend_of = {} if trend is None else {makers.Name.OPEN_FILES_COUNT: trend}
    finding = diagnoses.diagnose(dataclasses.replace(seen, trend_of=trend_of))
    assert (Code.FD_LEAK, expected) == (finding.code, finding.confidence)


@pytest.mark.parametrize(("files", "told"), [(45, True), (BLIND, False)])
def test_a_leak_tells_the_open_files_where_they_are_known(files: int | samples.Missing, told: bool) -> None:
    """45 of 1024 is no hurry."""
    finding = diagnose(held(0, OLD, files=files), held(5, OLD, files=files))
    assert told == ("45 of 1024 files of process 7 are open" in {e.text for e in finding.evidence})


def test_unknown_names_the_signals_that_would_have_decided() -> None:
    """Somebody waits, and it cannot be told whether they are taken."""
    finding = diagnose(look(0, depth=5, waiting=BLIND), look(2, depth=5, waiting=BLIND))
    assert ("acceptQueue.headAge", "acceptProgress") == finding.needs
    assert () == finding.can_help + finding.cannot_help


def test_healthy_says_the_queue() -> None:
    """With one look it says no more than that instant."""
    assert ("accept queue 0 of 128, nothing dropped", "accept queue 0 of 128 at this instant") == (
        diagnose(look(0), look(1)).summary,
        diagnose(look(0)).summary,
    )


@pytest.mark.parametrize(
    ("ports", "summary"),
    [
        ({8080, 80}, "nobody listens on port 80, 8080"),
        (set(), "the service runs and listens on no port"),
    ],
)
def test_nobody_listens(ports: set[int], summary: str) -> None:
    """Critical, and certain; starting the service is what can help."""
    finding = diagnoses.not_listening(ports)
    assert (Code.NOT_LISTENING, Severity.CRITICAL, Confidence.HIGH) == said(finding)
    assert summary == finding.summary
    assert ["startService"] == [remedy.remedy for remedy in finding.can_help]


SICK = {
    Code.ACCEPT_STALL: [waits(8, 0), waits(12, 4)],
    Code.BACKLOG_TOO_SMALL: [burst(0, 129, 0), burst(4, 2, 50)],
    Code.FD_LEAK: [held(0, OLD), held(5, OLD)],
}


@pytest.mark.parametrize("code", SICK)
def test_the_nine_settings_of_the_origin_are_always_answered(code: Code) -> None:
    """Each of them by name, with the reason why it cannot help (or how it can)."""
    finding = diagnose(*SICK[code])
    answered = {remedy.remedy: remedy.why for remedy in (*finding.can_help, *finding.cannot_help)}
    assert code is finding.code
    assert {setting.name for setting in sysctls.ORIGIN_SETTINGS} <= set(answered)
    assert "net.core.somaxconn" in answered
    assert all(answered.values())


@pytest.mark.parametrize("code", [Code.ACCEPT_STALL, Code.FD_LEAK])
def test_destroying_close_wait_sockets_is_said_to_heal_nothing(code: Code) -> None:
    """The symptom goes, the files and the queue stay."""
    assert "socketDestroy" in {remedy.remedy for remedy in diagnose(*SICK[code]).cannot_help}


def test_the_worst_listener_comes_first() -> None:
    """By severity, then by the order in which diagnoses precede each other."""
    stall, leak = diagnose(*SICK[Code.ACCEPT_STALL]), diagnose(*SICK[Code.FD_LEAK])
    well, bursts = diagnose(look(0), look(1)), diagnose(*SICK[Code.BACKLOG_TOO_SMALL])
    assert [bursts, stall, leak, well] == sorted([well, leak, bursts, stall], key=diagnoses.rank)


def test_one_look_is_not_said_to_have_lasted() -> None:
    """What was seen once was seen at one instant."""
    assert "accept queue 1 of 128" == diagnose(waits(12, 0)).evidence[0].text
