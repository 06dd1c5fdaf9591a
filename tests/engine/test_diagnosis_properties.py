"""What holds for any window: an answer, silence at health under any jitter, and no restart of what is at work."""

from __future__ import annotations

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from lastack.engine import diagnoses, findings, remedies, samples
from lastack.policy import vocabulary
from tests.engine import looks, makers
from tests.engine.looks import DATABASE
from tests.engine.makers import Code, look, queued, window

BLIND = samples.Missing("not permitted")
RESTART = vocabulary.ActionKind.ROLLING_RESTART
SETTINGS = st.sampled_from(
    [
        {},
        {"net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_max_syn_backlog": "128"},
        {"net.ipv4.tcp_syncookies": "0", "net.ipv4.tcp_max_syn_backlog": "128"},
        {"net.ipv4.tcp_syncookies": "0"},
        {"net.ipv4.tcp_syncookies": "what", "net.ipv4.tcp_max_syn_backlog": ""},
    ]
)
counts = st.integers(0, 200)


def maybe(strategy: st.SearchStrategy[int]) -> st.SearchStrategy[int | samples.Missing]:
    """A number, or that it could not be read."""
    return st.one_of(strategy, st.just(BLIND))


@st.composite
def rows(draw: st.DrawFn) -> samples.CloseWaitRows:
    """Accepted CLOSE_WAIT rows of any age, read or not, sent on or not; cookies from a small set, so that they stay."""
    cookies = draw(st.lists(st.integers(1, 60), unique=True, max_size=40))
    size = len(cookies)
    ages = draw(st.lists(st.integers(0, 900_000), min_size=size, max_size=size))
    sent = draw(st.lists(st.integers(0, 900_000), min_size=size, max_size=size))
    unread = draw(st.lists(st.sampled_from([0, 0, 1, 78]), min_size=size, max_size=size))
    return samples.CloseWaitRows(*map(makers.numbers, (cookies, cookies, unread, ages, sent)))


@st.composite
def waiting(draw: st.DrawFn) -> samples.QueuedRows | samples.Missing:
    """Rows that nobody accepted, or that they cannot be tied to this socket."""
    if draw(st.integers(0, 9)) == 0:
        return BLIND
    return queued(draw(st.dictionaries(st.integers(1, 40), st.floats(0, 400), max_size=30)))


def a_stand() -> st.SearchStrategy[samples.ThreadStand]:
    """A thread anywhere."""
    return st.builds(
        samples.ThreadStand,
        pid=st.just(samples.Pid(7)),
        thread=st.integers(1, 12),
        running=st.booleans(),
        call=st.sampled_from([None, "read", "recvfrom", "sendto", "futex", "epoll_wait"]),
        inode=st.integers(0, 4),
        side=st.sampled_from(["inbound", "outbound", "listening", "other"]),
        peer=st.sampled_from([None, DATABASE]),
    )


def reading() -> st.SearchStrategy[looks.Stands | samples.Missing]:
    """Where threads stand, or why that is not known."""
    return st.one_of(
        st.lists(a_stand(), max_size=12, unique_by=lambda stand: stand.thread).map(tuple),
        st.sampled_from([BLIND, samples.NOTHING_WAITS]),
    )


@st.composite
def any_window(draw: st.DrawFn) -> samples.Window:
    """One to four looks at a listener in any state, with counters that may stand, grow or go backwards."""
    limit, settings = draw(st.sampled_from([0, 1, 5, 16, 128, 4096])), draw(SETTINGS)
    seconds = sorted(draw(st.lists(st.floats(0, 90), min_size=1, max_size=4)))
    seen = []
    for second in seconds:
        queue = draw(waiting())
        slots = 0 if isinstance(queue, samples.Missing) else len(queue.cookies)
        names = ("ListenDrops", "ListenOverflows", "TCPReqQFullDrop", "TCPReqQFullDoCookies")
        made = look(
            second,
            depth=slots + draw(st.integers(0, 3)),
            waiting=queue,
            limit=limit,
            drops=draw(maybe(counts)),
            counters=draw(st.one_of(st.just(BLIND), st.fixed_dictionaries(dict.fromkeys(names, counts)))),
            held=draw(rows()),
            vanished_open=draw(maybe(st.integers(0, 3))),
            threads=draw(maybe(st.integers(1, 300))),
            files=draw(maybe(st.integers(0, 70))),
            files_limit=draw(maybe(st.sampled_from([0, 64, 1024]))),
            owner=draw(st.sampled_from([None, samples.Owner(None, (), BLIND)])),
        )
        seen.append(
            looks.seen(
                made,
                peak=draw(st.one_of(st.none(), counts)),
                handshakes=draw(maybe(counts)),
                stands=draw(reading()),
                sysctls=settings,
            )
        )
    return window(*seen)


@hypothesis.given(any_window())
def test_every_window_has_one_answer_that_can_be_shown(seen: samples.Window) -> None:
    """No exception, words everywhere, signals that are missing named, and severity and advice that fit the code."""
    finding = diagnoses.diagnose(seen)
    sick = finding.code not in {Code.HEALTHY, Code.UNKNOWN, Code.HALF_CLOSE_IN_USE}
    assert sick == (finding.severity is not vocabulary.Severity.NONE)
    assert sick == bool(finding.can_help or finding.cannot_help)
    assert (finding.code is Code.UNKNOWN) == bool(finding.needs)
    assert finding.summary
    assert all(piece.text for piece in finding.evidence)
    assert "  " not in finding.summary


@hypothesis.given(any_window())
def test_one_look_is_never_more_than_low(seen: samples.Window) -> None:
    """An instant proves nothing, and starts nothing."""
    assert vocabulary.Confidence.LOW is diagnoses.diagnose(window(seen.last)).confidence


@hypothesis.given(any_window())
def test_high_confidence_needs_the_full_window(seen: samples.Window) -> None:
    """Two looks in a second are a glance, whatever they show."""
    first, last = seen.first, seen.last
    last = dataclasses.replace(
        last, at=makers.at(first.at.steady.total_seconds() - makers.UP.total_seconds() + 3.9)
    )
    finding = diagnoses.diagnose(window(first, last))
    healthy = finding.code is Code.HEALTHY
    assert healthy or finding.confidence is not vocabulary.Confidence.HIGH


@st.composite
def healthy_windows(draw: st.DrawFn) -> samples.Window:
    """A service at work: a queue that is taken within two seconds, closes on their way, some who stay connected.

    Any jitter: looks at any distance, any limit, depths below half of it, counters that others make grow, stray
    segments that only the listener counts, handshakes on their way, threads anywhere.
    """
    limit = draw(st.sampled_from([5, 16, 128, 511, 4096]))
    others = draw(st.integers(0, 500))
    strays = draw(st.integers(0, 20))
    seen, second, cookie = [], 0.0, 0
    for at in range(draw(st.integers(2, 8))):
        second += draw(st.floats(0.2, 10))
        depth = draw(st.integers(0, (limit - 1) // 2))
        ages = draw(st.lists(st.floats(0, 2), min_size=depth, max_size=depth))
        queue = {cookie + row: age for row, age in enumerate(ages)}
        cookie += depth  # everybody who waited is taken before the next look
        closing = draw(st.lists(st.floats(0, 1.9), max_size=10))
        made = look(
            second,
            waiting=queued(queue),
            limit=limit,
            drops=0 if others else strays * at,
            counters={"ListenDrops": others * at, "ListenOverflows": others * at},
            held=makers.close_waits(closing, unread=draw(st.integers(0, len(closing))), first=1000 * at + 1),
            threads=draw(st.integers(1, 300)),
            files=draw(st.integers(0, 1000)),
        )
        seen.append(
            looks.seen(
                made,
                handshakes=draw(st.integers(0, 7)),
                stands=draw(reading()),
                sysctls=draw(SETTINGS),
                unread=[draw(st.floats(0, 1.9))] * draw(st.integers(0, 20)),
            )
        )
    return window(*seen)


@hypothesis.given(healthy_windows())
def test_healthy_services_are_left_alone(seen: samples.Window) -> None:
    """Nothing above severity none."""
    finding = diagnoses.diagnose(seen)
    assert vocabulary.Severity.NONE is finding.severity, finding.summary


@st.composite
def abandoned_polls(draw: st.DrawFn) -> samples.Window:
    """Long polls whose clients gave up, of up to two minutes, read or not; some end in the window, or none does yet.

    The threads that serve them wait in a futex or rest; beside them are readers of a message bus, one per broker,
    and whatever runs.
    """
    time_out = draw(st.floats(30, 120))
    begun = draw(st.lists(st.floats(-110, 0), min_size=1, max_size=120))
    unread = draw(st.booleans())
    seconds = draw(
        st.sampled_from([(0.0, 5.0), (0.0, 2.5, 5.0), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), (0.0, 5.0, 10.0)])
    )
    brokers = looks.waiting_for([f"10.9.1.{at}:9092" for at in range(draw(st.integers(0, 9)))])
    serving = draw(st.sampled_from([looks.locked(len(begun)), looks.resting(4)]))
    seen = []
    for at, second in enumerate(seconds):
        polls = [(1 + row, second - start) for row, start in enumerate(begun) if second - start < time_out]
        closing = [(5000 + 10 * at, 0.5)] if draw(st.booleans()) else []
        ages = makers.numbers([int(age * 1000) for _, age in polls + closing])
        cookies = makers.numbers([cookie for cookie, _ in polls + closing])
        sizes = makers.numbers([int(unread)] * len(polls) + [0] * len(closing))
        made = look(
            second,
            held=samples.CloseWaitRows(cookies, cookies, sizes, ages, ages),
            threads=len(begun) + 20,
        )
        busy = looks.running(draw(st.integers(0, 2)))
        seen.append(looks.seen(made, stands=(*brokers, *serving, *busy)))
    return window(*seen)


@hypothesis.given(abandoned_polls())
def test_abandoned_long_polls_start_nothing(seen: samples.Window) -> None:
    """Healthy or unknown, a leak at low confidence at most: twenty that are held look like one for five minutes."""
    finding = diagnoses.diagnose(seen)
    told = finding.severity is vocabulary.Severity.NONE
    assert told or (finding.code, finding.confidence) == (Code.FD_LEAK, vocabulary.Confidence.LOW)
    unread = any(seen.last.listener.close_wait.unread)
    assert told or not unread


def _at_work(seen: samples.Look, position: int) -> samples.Look:
    """The look as of a listener whose queue has moved since the look before, with files to spare and nothing old."""
    rows = seen.listener.close_wait
    young = dataclasses.replace(rows, ages_ms=makers.numbers([age % 30_000 for age in rows.ages_ms]))
    depth = min(seen.listener.depth, 40)
    fresh = queued({1000 * position + row: 9.9 for row in range(depth)})
    listener = dataclasses.replace(seen.listener, queued=fresh, depth=depth, close_wait=young)
    spare = look(files=20).owner
    return dataclasses.replace(seen, listener=listener, owner=spare)


@hypothesis.given(any_window())
def test_no_restart_of_what_is_at_work(seen: samples.Window) -> None:
    """With progress, a short queue age, files to spare and nothing old, no restart is advised above low confidence.

    But for drops: there a restart is one way to a longer backlog, after the limit was raised.
    """
    finding = diagnoses.diagnose(window(*(_at_work(each, at) for at, each in enumerate(seen.looks, 1))))
    assert not _is_disruptive(finding) or finding.code is Code.BACKLOG_TOO_SMALL, finding.summary


def _is_disruptive(finding: findings.Finding) -> bool:
    sure = finding.confidence is not vocabulary.Confidence.LOW
    return sure and RESTART in {remedy.remedy for remedy in finding.can_help}


@pytest.mark.parametrize("code", [Code.OVERLOAD, Code.SYN_PRESSURE, Code.NOT_LISTENING])
def test_against_some_diseases_a_restart_is_never_advised(code: Code) -> None:
    """It throws away what waits, or has nothing to do with it."""
    seen = window(look(0), look(5))
    advised = remedies.advise(makers.finding(code), seen)
    assert RESTART in {remedy.remedy for remedy in advised.cannot_help}
