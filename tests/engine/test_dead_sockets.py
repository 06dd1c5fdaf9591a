"""Connections that are over and in no table, and whose files stay open: they are part of a leak as their rows were."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import diagnoses, findings, samples, signals, verdicts
from lastack.policy import valid, vocabulary
from tests.engine import clients, makers
from tests.engine.clients import DATABASE, spread
from tests.engine.looks import seen
from tests.engine.makers import Code, Name, look, window

Confidence = vocabulary.Confidence
BARRED = samples.Missing("25 TCP sockets of it are in no table of the kernel: not permitted", "run as root")
ROWS = spread(30, 70, 12)
"""What keep-alive leaves of the rows of a leak."""
NONE: list[float] = []
OLD = spread(100, 400, 80)
OVER = "are over, reset and in no table of the kernel, and their files are still open"


def kept(
    second: float,
    dead: list[float] | samples.Missing,
    rows: list[float] = ROWS,
    *,
    unread: int = 0,
    first: int = 1000,
    threads: int = 4,
    **more: object,
) -> samples.Look:
    """A look at so many dead sockets, numbered from `first`, beside so many rows, numbered from 1."""
    found = dead if isinstance(dead, samples.Missing) else makers.dead(dead, unread=unread, first=first)
    at = look(second, held=makers.close_waits(rows), threads=threads, **more)  # type: ignore[arg-type] # by name
    return seen(at, dead=found)


def said(*looks: samples.Look) -> tuple[Code, vocabulary.Confidence]:
    """What is said about these looks."""
    found = diagnoses.diagnose(window(*looks))
    return found.code, found.confidence


def older(ages: list[float], seconds: float = 5) -> list[float]:
    """The same some seconds later."""
    return [age + seconds for age in ages]


LEAK_HIGH, LEAK_LOW = (Code.FD_LEAK, Confidence.HIGH), (Code.FD_LEAK, Confidence.LOW)
LEAK_MEDIUM, WELL = (Code.FD_LEAK, Confidence.MEDIUM), (Code.HEALTHY, Confidence.HIGH)
LEAKS = [
    ("what is old and dead, and more with each row that dies, is certain",
     [kept(0, OLD, first=31), kept(5, [75.0, 76.0, *older(OLD)], first=29)], LEAK_HIGH),
    ("what is old and dead and does not grow is a leak on one signal", [kept(0, OLD), kept(5, older(OLD))],
     LEAK_MEDIUM),
    ("it needs no row beside it", [kept(0, OLD, NONE), kept(5, older(OLD), NONE)], LEAK_MEDIUM),
    ("rows that were held and are dead now have stood all the time, and nothing grew",
     [kept(0, NONE, OLD), kept(5, older(OLD), NONE, first=1, vanished_open=100)], LEAK_MEDIUM),
    ("young ones are a suspicion", [kept(0, spread(40, 200)), kept(5, older(spread(40, 200)))], LEAK_LOW),
    ("so is what was watched for a moment", [kept(0, OLD), kept(1, older(OLD, 1))], LEAK_LOW),
    ("with as many threads each may have one that works for it",
     [kept(at, older(OLD, at), threads=200) for at in (0, 5)], LEAK_LOW),
    ("found at the last look only they may be closes on their way", [kept(0, NONE, NONE), kept(5, OLD, NONE)], WELL),
    ("nineteen are none", [kept(at, spread(19, 400), NONE) for at in (0, 5)], WELL),
    ("clients that were cut off together are no leak", [kept(at, [400.0 + at] * 90, NONE) for at in (0, 5)], WELL),
    ("one look proves nothing", [kept(0, OLD, NONE)], (Code.HEALTHY, Confidence.LOW)),
    ("what the application has not read is not what it forgot to close",
     [kept(at, older(OLD, at), NONE, unread=90) for at in (0, 5)], WELL),
    ("an application that closes one which was dead twice does close",
     [kept(0, [*OLD, 90.0], NONE), kept(2, [*OLD, 92.0], NONE), kept(5, OLD, NONE)], WELL),
    ("one that was dead once may have been on its way",
     [kept(0, [*OLD, 90.0], NONE), kept(2, OLD, NONE), kept(5, OLD, NONE)], LEAK_MEDIUM),
    ("where the first look does not tell, rows that vanished from their files are the growth",
     [kept(0, samples.NOT_WALKED, OLD), kept(5, NONE, older(OLD), vanished_open=1)], LEAK_HIGH),
    ("where the last look does not tell, rows alone are judged",
     [kept(0, OLD, NONE), kept(5, samples.NOT_WALKED, NONE)], WELL),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected"), LEAKS)
def test_dead_sockets_that_stay_are_a_leak_as_their_rows_were(
    claim: str, looks: list[samples.Look], expected: tuple[Code, vocabulary.Confidence]
) -> None:
    """By number, spread, age and growth; only what stood all the time counts."""
    assert expected == said(*looks), claim


HANGING = [
    ("half of them", 50, [(Code.UNKNOWN, (Name.WORKERS_STUCK,))]),
    ("fewer are an idle pool", 49, [(Code.FD_LEAK, ())]),
]


@pytest.mark.parametrize(("claim", "silent", "expected"), HANGING)
def test_handlers_may_wait_for_a_server_that_is_silent(
    claim: str, silent: int, expected: list[tuple[Code, tuple[Name, ...]]]
) -> None:
    """A goroutine that hangs on a dead server shows in no thread; a restart would not bring its answer."""
    found = diagnoses.diagnose(window(*(hanging(kept(at, older(OLD, at), NONE), silent) for at in (0, 5))))
    assert expected == [(found.code, found.needs)], claim
    assert (DATABASE in found.summary) == (found.code is Code.UNKNOWN)


def test_a_few_that_are_kept_are_no_doubt() -> None:
    """Whatever is silent beside them; nor is anything that one look has."""
    few = [hanging(kept(at, spread(19, 400), NONE), 50) for at in (0, 5)]
    once = hanging(kept(0, OLD, NONE), 50)
    untold = [hanging(kept(at, samples.NOT_WALKED, NONE), 50) for at in (0, 5)]
    assert [Code.HEALTHY] * 3 == [diagnoses.diagnose(window(*looks)).code for looks in (few, [once], untold)]


def hanging(at: samples.Look, silent: int) -> samples.Look:
    """The look with so many silent connections to one server, and fewer to another from a worker."""
    (main,) = at.owner.processes
    worker = dataclasses.replace(
        main, pid=samples.Pid(8), open_files=1, silence=samples.Silence("10.0.0.1:80", 3)
    )
    main = dataclasses.replace(main, silence=samples.Silence(DATABASE, silent))
    return dataclasses.replace(at, owner=dataclasses.replace(at.owner, processes=(worker, main)))


def test_a_leak_says_what_has_a_row_and_what_has_none() -> None:
    """Two piles, each with its own number and age."""
    found = diagnoses.diagnose(window(kept(0, OLD), kept(5, older(OLD))))
    assert [
        "30 connections whose end was read are still open, and none was closed in 5.0 s",
        "their ages spread over 58 s, the oldest is 70 s",
        f"100 more connections {OVER}; nothing came or went on the oldest for 405 s",
        "20 of 1024 files of process 7 are open",
    ] == [each.text for each in found.evidence]
    assert (
        "the application does not close its connections: 130 are held whose clients have left, the oldest for 405 s"
    ) == found.summary
    alone = diagnoses.diagnose(window(kept(0, OLD, NONE), kept(5, older(OLD), NONE)))
    assert f"100 connections {OVER}; nothing came or went on the oldest for 405 s" == alone.evidence[0].text


def test_what_is_dead_fills_a_table_of_files() -> None:
    """Half of the limit or more: it does not empty by itself."""
    looks = [kept(at, older(OLD, at), NONE, files=128, files_limit=128) for at in (0, 5)]
    found = diagnoses.diagnose(window(*looks))
    assert (Code.FD_EXHAUSTION, Confidence.MEDIUM) == (found.code, found.confidence)
    assert "100 of them are connections whose clients have left: this is the end of a leak" in found.summary


UNTOLD = [
    ("all the time", [BARRED, BARRED], (Code.UNKNOWN, (Name.OPEN_FILES_DEAD,))),
    ("not at the first look", [samples.NOT_WALKED, BARRED], (Code.HEALTHY, ())),
    ("when nobody asked, nothing is doubted", [samples.NOT_WALKED, samples.NOT_WALKED], (Code.HEALTHY, ())),
    ("not at the last look", [BARRED, samples.NOT_WALKED], (Code.HEALTHY, ())),
    ("there were none at first", [makers.dead(), BARRED], (Code.HEALTHY, ())),
]


@pytest.mark.parametrize(("claim", "dead", "expected"), UNTOLD)
def test_many_sockets_that_may_not_be_asked_are_no_health(
    claim: str,
    dead: list[samples.DeadSockets | samples.Missing],
    expected: tuple[Code, tuple[vocabulary.SignalName, ...]],
) -> None:
    """20 or more are in no table, and the right to ask them is missing: unknown, which names the signal."""
    found = diagnoses.diagnose(
        window(*(seen(look(5 * number), dead=each) for number, each in enumerate(dead)))
    )
    assert expected == (found.code, found.needs), claim


def test_an_owner_that_was_hidden_at_first_raises_no_doubt() -> None:
    """Then nothing stood for the whole window."""
    hidden = look(0, owner=samples.Owner(None, (), samples.Missing("hidden")))
    assert Code.HEALTHY is diagnoses.diagnose(window(hidden, seen(look(5), dead=BARRED))).code


@pytest.mark.parametrize(
    ("dead", "expected"), [(makers.dead(OLD), 100), (BARRED, BARRED), (samples.NOT_WALKED, None)]
)
def test_the_signal_is_there_where_somebody_asked(
    dead: samples.DeadSockets | samples.Missing, expected: findings.SignalValue | None
) -> None:
    """Where there cannot be many nobody asks, and nothing is missing."""
    measured = signals.measure(window(seen(look(), dead=dead)))
    assert expected == measured.get(Name.OPEN_FILES_DEAD)


@pytest.mark.parametrize(
    ("dead", "state"),
    [
        (makers.dead(OLD), verdicts.VerdictState.FIRING),
        (samples.NOT_WALKED, verdicts.VerdictState.CLEAR),
        (BARRED, verdicts.VerdictState.UNKNOWN),
    ],
)
def test_a_trigger_on_it_is_clear_where_nobody_asked(
    dead: samples.DeadSockets | samples.Missing, state: verdicts.VerdictState
) -> None:
    """An unknown one would keep its member from every act."""
    soon, later = makers.seconds(0), makers.seconds(6)
    trigger = valid.SignalTrigger(valid.TriggerName("dying"), Name.OPEN_FILES_DEAD, 50, 10, soon, later)
    found = diagnoses.diagnose(window(seen(look(), dead=dead)))
    assert state is verdicts.assess(trigger, [found], None, makers.at(0)).state


FEW = spread(10, 60, 31)
PEER_OLD = {DATABASE: OLD}
CLIENTS = [
    ("one whose row died in the window is growth where it had not settled at the first look",
     [clients.look(0, {DATABASE: [*FEW, 29.0]}, files_limit=2000, dead=PEER_OLD, first_dead=12),
      clients.look(5, {DATABASE: FEW}, files_limit=2000, dead={DATABASE: [34.0, *older(OLD)]}, first_dead=11)],
     (Code.OUTBOUND_LEAK, Confidence.MEDIUM)),
    ("one that is dead at the last look only is none: it may be a close on its way",
     [clients.look(0, {DATABASE: FEW}, files_limit=2000, dead=PEER_OLD),
      clients.look(5, {DATABASE: FEW}, files_limit=2000, dead={DATABASE: [*older(OLD), 33.0]})],
     (Code.HEALTHY, Confidence.HIGH)),
    ("old ones that do not grow and are little of the limit are a large pool",
     [clients.look(at, {}, dead={DATABASE: older(OLD, at)}) for at in (0, 5)], (Code.HEALTHY, Confidence.HIGH)),
    ("a tenth of the limit is a leak",
     [clients.look(at, {}, files_limit=900, dead={DATABASE: older(OLD, at)}) for at in (0, 5)],
     (Code.OUTBOUND_LEAK, Confidence.MEDIUM)),
    ("where the first look does not tell, what is dead is no growth, and no pile",
     [clients.look(0, {}, files_limit=900), clients.look(5, {}, files_limit=900, dead={DATABASE: older(OLD)})],
     (Code.HEALTHY, Confidence.HIGH)),
    ("where the last look does not tell, what was dead before is not taken for closed: rows may have grown",
     [clients.look(0, {DATABASE: OLD[:30]}, files_limit=2000, dead={DATABASE: [400.0]}),
      clients.look(5, {DATABASE: [*older(OLD[:30]), 31.0]}, files_limit=2000)],
     (Code.OUTBOUND_LEAK, Confidence.MEDIUM)),
    ("where the last look does not tell, only rows count",
     [clients.look(0, {}, files_limit=900, dead=PEER_OLD), clients.look(5, {}, files_limit=900)],
     (Code.HEALTHY, Confidence.HIGH)),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected"), CLIENTS)
def test_dead_connections_of_its_own_are_told_as_their_rows_were(
    claim: str, looks: list[samples.OutboundLook], expected: tuple[Code, vocabulary.Confidence]
) -> None:
    """For each server by itself: old, many, and growing or a large part of what may be open."""
    found = diagnoses.diagnose_outbound(clients.window(*looks))
    assert expected == (found.code, found.confidence), claim


def test_a_leak_of_its_own_says_what_the_kernel_lists_no_more() -> None:
    """With the server, how many, and how long nothing came or went."""
    pile = spread(60, 400, 80)
    looks = [
        clients.look(at, {DATABASE: older(FEW, at)}, files_limit=600, dead={DATABASE: older(pile, at)})
        for at in (0, 5)
    ]
    found = diagnoses.diagnose_outbound(clients.window(*looks))
    assert [
        "10 connections of worker to 10.9.0.7:7000 are open although that side has closed",
        "the oldest for 65 s, none of them for longer than 300 s",
        f"60 more to 10.9.0.7:7000 {OVER}; nothing came or went for up to 405 s, on 20 of them for longer than 300 s",
        "60 of 600 files are open",
    ] == [each.text for each in found.evidence]
    assert (
        "the process does not close connections that it made itself: 70 to 10.9.0.7:7000, which has closed them, the "
        "oldest 405 s ago"
    ) == found.summary
    assert 60 == found.signals[Name.OPEN_FILES_DEAD]


def test_a_leak_that_left_no_row_names_its_process() -> None:
    """There is nothing that it could be more than."""
    looks = [clients.look(at, {}, files_limit=900, dead={DATABASE: older(OLD, at)}) for at in (0, 5)]
    (first, *_) = diagnoses.diagnose_outbound(clients.window(*looks)).evidence
    assert (Name.OPEN_FILES_DEAD, "100 connections of worker to 10.9.0.7:7000 are over") == (
        first.signal,
        first.text[:51],
    )
