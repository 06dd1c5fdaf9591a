"""fd-exhaustion: which full file table is a disease, whose it is, and how it came."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import diagnoses, findings, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.makers import Code, look, queued, window

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not permitted")
DEAD = [float(20 + 2 * at) for at in range(40)]
ROWS = dict.fromkeys(range(139), 3.0)


def waits(second: float, files: int, *, limit: int = 1024, drops: int = 0) -> samples.Look:
    """139 of 4096 wait, a few seconds old."""
    counters = {"ListenDrops": drops, "ListenOverflows": drops}
    return look(
        second,
        waiting=queued(ROWS),
        limit=4096,
        files=files,
        files_limit=limit,
        drops=drops,
        counters=counters,
    )


def idle(second: float, files: int | samples.Missing, *, limit: int = 64, dead: bool = False) -> samples.Look:
    """Nobody waits."""
    held = makers.close_waits(DEAD) if dead else None
    return look(second, files=files, files_limit=limit, held=held)


def taken(second: float, files: int, *, dead: bool = True) -> samples.Look:
    """Two rows that no other look has: everybody is taken at once."""
    held = makers.close_waits(DEAD) if dead else None
    rows = {int(second * 10) + 500: 0.1, int(second * 10) + 501: 0.1}
    return look(second, waiting=queued(rows), files=files, files_limit=64, held=held)


def slowly(*, established: int | samples.Missing) -> list[samples.Look]:
    """One of three is taken in the window; the head is always 20 s old."""
    seen = [look(0, waiting=queued({1: 20, 2: 19}), files=1023), look(5, waiting=queued({2: 24}), files=1023)]
    return [
        dataclasses.replace(each, listener=dataclasses.replace(each.listener, established=established))
        for each in seen
    ]


WELL = (Code.HEALTHY, Severity.NONE, Confidence.HIGH)
CASES = [
    ("at the limit with a queue that stands", [waits(0, 1024), waits(5, 1024)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.HIGH)),
    ("two below the limit is at the limit: servers keep one or two back", [waits(0, 1022), waits(5, 1022)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.HIGH)),
    ("three below is not, and why nobody is taken is not known yet", [waits(0, 1021), waits(5, 1021)],
     (Code.UNKNOWN, Severity.NONE, Confidence.LOW)),
    ("a window under 4 s is medium", [waits(0, 1024), waits(1, 1024)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.MEDIUM)),
    ("one look is low: the queue may be about to move", [waits(0, 1024)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.LOW)),
    ("behind SO_REUSEPORT a depth that stands is medium",
     [look(at, depth=9, waiting=BLIND, files=1024) for at in (0, 5)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.MEDIUM)),
    ("one that falls is progress: they wait for the few that it frees",
     [look(0, depth=9, waiting=BLIND, files=1024), look(5, depth=4, waiting=BLIND, files=1024)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.MEDIUM)),
    ("so do those whose queue is always old", slowly(established=3),
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.MEDIUM)),
    ("but living connections that fill the table are served: a restart is for what is sure", slowly(established=512),
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.LOW)),
    ("and so may they be when nobody counted them", slowly(established=BLIND),
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.LOW)),
    ("a queue that moves is served by what it frees, and what a handler opens may fail",
     [taken(0, 64, dead=False), taken(5, 64, dead=False)], (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.LOW)),
    ("of that a short look says nothing", [taken(0, 64, dead=False), taken(1, 64, dead=False)], WELL),
    ("a queue that moves while the dead fill the table: who is taken is turned away", [taken(0, 64), taken(5, 64)],
     (Code.FD_EXHAUSTION, Severity.CRITICAL, Confidence.MEDIUM)),
    ("with one or two files left he may be served", [taken(0, 62), taken(5, 62)],
     (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.MEDIUM)),
    ("idle, and the dead fill the table: the next cannot be served", [idle(0, 64, dead=True), idle(5, 64, dead=True)],
     (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.MEDIUM)),
    ("a short look at that says no more than that it leaks", [idle(0, 64, dead=True), idle(1, 64, dead=True)],
     (Code.FD_LEAK, Severity.WARNING, Confidence.LOW)),
    ("idle at its limit: a warning that starts nothing", [idle(0, 64), idle(5, 64)],
     (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.LOW)),
    ("idle with one file left: the next may be accepted, and its handler opens nothing", [idle(0, 63), idle(5, 63)],
     (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.LOW)),
    ("with three left it is not full", [idle(0, 61), idle(5, 61)], WELL),
    ("idle, and it was not at the limit all the time", [idle(0, 40), idle(5, 64)], WELL),
    ("idle in one look tells nothing", [idle(0, 64)], (Code.HEALTHY, Severity.NONE, Confidence.LOW)),
    ("what cannot be counted is not full", [idle(0, BLIND), idle(5, BLIND)], WELL),
    ("a count that was missing once is judged by the others", [idle(0, BLIND), idle(1, 64), idle(5, 64)],
     (Code.FD_EXHAUSTION, Severity.WARNING, Confidence.LOW)),
]  # fmt: skip


def said(*seen: samples.Look) -> findings.Finding:
    """The finding of a window of these looks."""
    return diagnoses.diagnose(window(*seen))


@pytest.mark.parametrize(("claim", "seen", "expected"), CASES)
def test_a_full_file_table_is_judged_by_who_waits_and_by_what_fills_it(
    claim: str, seen: list[samples.Look], expected: tuple[Code, vocabulary.Severity, vocabulary.Confidence]
) -> None:
    """Critical when somebody is refused, a warning while nobody is; restarts are for what is sure."""
    finding = said(*seen)
    assert expected == (finding.code, finding.severity, finding.confidence), claim


def test_any_process_of_the_owner_may_be_the_full_one_and_is_named() -> None:
    """The master has room, its second worker has none."""
    seen = [looks.seen(waits(at, 10), files=[(10, 1024), (40, 1024), (1024, 1024)]) for at in (0, 5)]
    finding = said(*seen)
    assert (
        "process 9 has 1024 of 1024 files open; accept() fails, 139 connections wait and none was taken"
        == (finding.summary)
    )
    assert "1024 of 1024 files of process 9 are open" == finding.evidence[0].text


def test_a_count_that_is_missing_for_one_process_leaves_the_others() -> None:
    """One worker is another user's."""
    seen = [looks.seen(waits(at, 10), files=[(1024, 1024), (9, 1024)]) for at in (0, 5)]
    assert Code.FD_EXHAUSTION is said(*seen).code


def test_the_end_of_a_leak_is_told_as_one() -> None:
    """The connections that fill the table are those whose clients have left."""
    seen = [
        look(at, waiting=queued(ROWS), files=64, files_limit=64, held=makers.close_waits(DEAD))
        for at in (0, 5)
    ]
    finding = said(*seen)
    assert "40 of them are connections whose clients have left: this is the end of a leak" in finding.summary
    assert {"closeWait.held"} < {piece.signal.value for piece in finding.evidence}


def test_rows_that_vanished_while_their_files_stayed_are_the_end_of_a_leak_too() -> None:
    """Keep-alive removes the rows of a leak, never its files."""
    seen = [look(at, waiting=queued(ROWS), files=64, files_limit=64, vanished_open=20) for at in (0, 5)]
    assert "this is the end of a leak" in said(*seen).summary


def test_what_helps_is_a_restart_a_larger_limit_or_the_code_and_no_sysctl() -> None:
    """A longer queue only buys room."""
    finding = said(waits(0, 1024), waits(5, 1024))
    assert ["rollingRestart", "openFilesLimit", "closeConnections"] == [
        one.remedy for one in finding.can_help
    ]
    cannot = {one.remedy: one.why for one in finding.cannot_help}
    assert {"socketDestroy", "net.core.somaxconn", "net.ipv4.tcp_fin_timeout"} <= set(cannot)
    assert cannot["net.core.somaxconn"].startswith("a longer accept queue only buys room")


@pytest.mark.parametrize(
    ("claim", "established", "said_so"),
    [
        ("clients that are still there come again", 512, True),
        ("a few of them are no table full", 511, False),
        ("and where nobody counts them it is not known", BLIND, False),
    ],
)
def test_a_restart_is_doubted_where_living_connections_fill_the_table(
    claim: str, established: int | samples.Missing, said_so: bool
) -> None:
    """The diagnosis is as sure as ever; what a restart would do is told."""
    seen = [
        dataclasses.replace(each, listener=dataclasses.replace(each.listener, established=established))
        for each in (waits(0, 1024), waits(5, 1024))
    ]
    finding = said(*seen)
    assert (Code.FD_EXHAUSTION, Confidence.HIGH) == (finding.code, finding.confidence)
    whys = {remedy.remedy: remedy.why for remedy in finding.can_help}
    assert said_so == ("living connections fill the table" in whys[vocabulary.ActionKind.ROLLING_RESTART]), (
        claim
    )
