"""Connections that a process made itself and does not close: which of them are a leak, and how sure that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.engine import diagnoses, findings, samples, windows
from lastack.policy import vocabulary
from tests.engine.clients import CACHE, DATABASE, look, spread, window
from tests.engine.makers import Code, Name

Confidence, Severity = vocabulary.Confidence, vocabulary.Severity
BLIND = samples.Missing("not permitted")
LEAK, WELL = (Code.OUTBOUND_LEAK, Severity.WARNING), (Code.HEALTHY, Severity.NONE)


def later(ages: list[float], passed: float = 5) -> list[float]:
    """The same connections some seconds later."""
    return [age + passed for age in ages]


OLD = spread(30, 3600, 400)
HEAVY = spread(110, 3600, 400)
ONE_MORE_SETTLED = [*OLD, 27.0]

CASES = [
    ("a few idle ones are a pool", [look(0, {DATABASE: [900, 800]}), look(5, {DATABASE: [905, 805]})],
     WELL, Confidence.HIGH),
    ("nineteen are still a pool", [look(0, {DATABASE: spread(19, 900)}), look(5, {DATABASE: later(spread(19, 900))})],
     WELL, Confidence.HIGH),
    ("many old ones that do not grow and are little of the limit are a large pool",
     [look(0, {DATABASE: OLD}), look(5, {DATABASE: later(OLD)})], WELL, Confidence.HIGH),
    ("old and growing is a leak, on one signal",
     [look(0, {DATABASE: ONE_MORE_SETTLED}), look(5, {DATABASE: later(ONE_MORE_SETTLED)})], LEAK, Confidence.MEDIUM),
    ("old and a tenth of the file limit is a leak, on one signal",
     [look(0, {DATABASE: HEAVY}), look(5, {DATABASE: later(HEAVY)})], LEAK, Confidence.MEDIUM),
    ("old, growing and a tenth of the limit is certain",
     [look(0, {DATABASE: [*HEAVY, 27]}), look(5, {DATABASE: later([*HEAVY, 27])})], LEAK, Confidence.HIGH),
    ("a short window makes it doubtful",
     [look(0, {DATABASE: HEAVY}), look(1, {DATABASE: later(HEAVY, 1)})], LEAK, Confidence.LOW),
    ("one look as well", [look(0, {DATABASE: HEAVY})], LEAK, Confidence.LOW),
    ("one look at a few is healthy, and little sure", [look(0, {DATABASE: [9]})], WELL, Confidence.LOW),
    ("young ones that joined one by one and still grow may become a leak",
     [look(0, {DATABASE: spread(40, 120)}), look(5, {DATABASE: [*later(spread(40, 120)), 1]})],
     LEAK, Confidence.LOW),
    ("a server that restarted closes a whole pool at once: young, of one age",
     [look(0, {DATABASE: [28] * 200}), look(5, {DATABASE: [33] * 200})], WELL, Confidence.HIGH),
    ("what a busy client passes through is not growth",
     [look(0, {DATABASE: OLD}), look(5, {DATABASE: [*later(OLD), 0.1, 0.2, 0.3]})], WELL, Confidence.HIGH),
    ("each server counts by itself: ten to each of four are four pools",
     [look(0, {f"10.0.0.{n}:80": spread(10, 900) for n in range(4)})], WELL, Confidence.LOW),
    ("the worst server decides",
     [look(0, {CACHE: [900], DATABASE: HEAVY}), look(5, {CACHE: [905], DATABASE: later(HEAVY)})],
     LEAK, Confidence.MEDIUM),
    ("without the file limit only growth tells",
     [look(0, {DATABASE: HEAVY}, files_limit=BLIND), look(5, {DATABASE: later(HEAVY)}, files_limit=BLIND)],
     WELL, Confidence.HIGH),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "looks", "expected", "confidence"), CASES)
def test_a_leak_of_own_connections_is_told_by_age_number_and_growth(
    claim: str,
    looks: list[samples.OutboundLook],
    expected: tuple[Code, vocabulary.Severity],
    confidence: vocabulary.Confidence,
) -> None:
    """For each server by itself: old, many, and growing or a large part of what may be open."""
    found = diagnoses.diagnose_outbound(window(*looks))
    assert (*expected, confidence) == (found.code, found.severity, found.confidence), claim
    assert found.outbound


def test_no_file_left_makes_it_critical() -> None:
    """The next connection of this process fails, whoever it is to."""
    looks = [look(second, {DATABASE: later(HEAVY, second)}, files=1023) for second in (0, 5)]
    assert Severity.CRITICAL == diagnoses.diagnose_outbound(window(*looks)).severity


def test_a_leak_says_who_keeps_what_of_whom() -> None:
    """The server with its port, how many, since when, what helps and what cannot."""
    found = diagnoses.diagnose_outbound(
        window(look(0, {DATABASE: [*HEAVY, 27]}), look(5, {DATABASE: later([*HEAVY, 27])}))
    )
    assert (
        "the process does not close connections that it made itself: 111 to 10.9.0.7:7000, which has closed them, "
        "the oldest 3605 s ago"
    ) == found.summary
    assert [
        "111 connections of worker to 10.9.0.7:7000 are open although that side has closed",
        "the oldest for 3605 s, 110 of them for longer than 300 s",
        "1 more than at the first look have stood for a while",
        "60 of 1024 files are open",
    ] == [each.text for each in found.evidence]
    assert ["poolSettings", "socketDestroy", "rollingRestart"] == [each.remedy for each in found.can_help]
    assert {"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_time"} < {
        each.remedy for each in found.cannot_help
    }


def test_a_slow_leak_shows_in_the_trend_and_not_in_the_window() -> None:
    """One connection every ten minutes: no window of seconds sees it grow."""
    kept: windows.ClientWindows = {}
    for minute in range(0, 600, 5):
        ages = [float(age) for age in range(600, 600 + 20 + minute // 10)]
        kept = windows.extend_clients(kept, (look(60 * minute, {DATABASE: ages}, files=BLIND),))
    (seen,) = kept.values()
    found = diagnoses.diagnose_outbound(seen)
    assert (Code.OUTBOUND_LEAK, Confidence.MEDIUM) == (found.code, found.confidence)
    assert [
        "79 connections of worker to 10.9.0.7:7000 are open although that side has closed",
        "the oldest for 678 s, 79 of them for longer than 300 s",
        "1 more than at the first look have stood for a while",
        "the process has 6.0 more of them every hour",
    ] == [each.text for each in found.evidence]


def test_a_pool_is_a_note_without_remedies() -> None:
    """Nothing has to be done; the note says what was seen."""
    one = diagnoses.diagnose_outbound(window(look(0, {DATABASE: [42]})))
    assert (
        "1 own connection to 10.9.0.7:7000 that the other side closed, the oldest 42 s ago: a pool that has not "
        "looked yet"
    ) == one.summary
    two = diagnoses.diagnose_outbound(window(look(0, {DATABASE: [42], CACHE: [1]})))
    assert "2 own connections to 10.9.0.7:7000 and 1 more that" in two.summary
    assert ((), ()) == (two.can_help, two.cannot_help)


def test_the_signals_are_those_of_the_process() -> None:
    """Its own connections, the oldest of them, and its files; nothing of any listener."""
    found = diagnoses.diagnose_outbound(window(look(0, {DATABASE: [42, 7]}, files=100, files_limit=400)))
    assert {
        Name.CLOSE_WAIT_OUTBOUND: 2,
        Name.CLOSE_WAIT_OLDEST: 42.0,
        Name.OPEN_FILES_COUNT: 100,
        Name.OPEN_FILES_LIMIT: 400,
        Name.OPEN_FILES_FILL: 0.25,
    } == found.signals


def test_peers_are_counted_with_their_ports_the_largest_first() -> None:
    """Two servers on one address are two peers."""
    seen = look(0, {"10.0.0.1:80": [1], "10.0.0.1:81": [1, 2], CACHE: [1]})
    assert [("10.0.0.1:81", 2), ("10.0.0.1:80", 1), (CACHE, 1)] == [
        (peer.address, peer.close_wait) for peer in seen.peer_counts
    ]


def test_a_look_whose_connections_are_all_gone_is_healthy() -> None:
    """Nothing is left to be said about any server."""
    found = diagnoses.diagnose_outbound(window(look(0, {DATABASE: HEAVY}), look(5, {})))
    assert (Code.HEALTHY, "0 own connections to nobody") == (found.code, found.summary[:27])


AGES = st.lists(st.floats(0, 7200), max_size=60)


@given(st.lists(st.dictionaries(st.sampled_from([DATABASE, CACHE]), AGES), min_size=1, max_size=4))
def test_fewer_than_twenty_to_each_server_are_never_a_leak(pools: list[dict[str, list[float]]]) -> None:
    """Whatever their ages and however they come and go; and nothing at all makes the judgement fail."""
    few = [{peer: ages[:19] for peer, ages in pool.items()} for pool in pools]
    for given_pools, may_leak in ((few, False), (pools, True)):
        looks = [look(5 * number, pool) for number, pool in enumerate(given_pools)]
        found: findings.Finding = diagnoses.diagnose_outbound(window(*looks))
        assert may_leak or found.code is Code.HEALTHY
        assert found.code is Code.HEALTHY or sum(map(len, given_pools[-1].values())) >= 20


def test_a_leak_is_never_sure_before_its_connections_are_old() -> None:
    """Low confidence starts nothing: most pools look within minutes."""
    for oldest in (31, 60, 299):
        ages = spread(500, oldest)
        found = diagnoses.diagnose_outbound(
            window(look(0, {DATABASE: ages}), look(5, {DATABASE: [*ages, 31]}))
        )
        assert Confidence.LOW is found.confidence or found.code is Code.HEALTHY
