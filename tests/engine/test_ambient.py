"""Rates of a whole network namespace, and when one of them can be tied to a listener."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import findings, samples, signals
from tests.engine import makers
from tests.engine.makers import Name, look, queued

BLIND = samples.Missing("not permitted")


def measured(
    first: dict[str, int] | samples.Missing,
    last: dict[str, int] | samples.Missing,
    *,
    listeners: int | samples.Missing = 1,
    waiting: tuple[int, int] = (0, 0),
    seconds: float = 5,
) -> findings.Signals:
    """The signals of a window in which the namespace counted from the first to the last."""
    looks = []
    for second, counters, count in ((0.0, first, waiting[0]), (seconds, last, waiting[1])):
        seen = look(second, counters=counters, waiting=queued(dict.fromkeys(range(count), 1.0)))
        namespace = dataclasses.replace(seen.namespace, listeners=listeners)
        looks.append(dataclasses.replace(seen, namespace=namespace))
    return signals.measure(makers.window(*looks))


def test_overflows_and_cookies_are_rates_of_the_namespace() -> None:
    """Per second, whoever of its listeners they are of."""
    found = measured(
        {"ListenOverflows": 100, "SyncookiesSent": 7},
        {"ListenOverflows": 150, "SyncookiesSent": 17},
        listeners=9,
    )
    assert (10.0, 2.0) == (found[Name.LISTEN_OVERFLOW_RATE], found[Name.SYN_COOKIES_RATE])


@pytest.mark.parametrize(
    ("claim", "finished", "waiting", "expected"),
    [
        ("all that finished were taken", 50, (0, 0), 10.0),
        ("those that wait now were not", 50, (0, 10), 8.0),
        ("those that waited before were", 50, (10, 0), 12.0),
        ("a connection that is counted before its row is there is no negative rate", 0, (0, 1), 0.0),
    ],
)
def test_a_listener_that_is_alone_has_an_accept_rate(
    claim: str, finished: int, waiting: tuple[int, int], expected: float
) -> None:
    """Finished handshakes, less the growth of the queue."""
    found = measured({"PassiveOpens": 1000}, {"PassiveOpens": 1000 + finished}, waiting=waiting)
    assert expected == found[Name.ACCEPT_RATE], claim


@pytest.mark.parametrize(
    ("listeners", "counters", "missing"),
    [
        (
            2,
            {"PassiveOpens": 1},
            samples.Missing("2 listeners share the counters of this network namespace", inherent=True),
        ),
        (BLIND, {"PassiveOpens": 1}, BLIND),
        (1, BLIND, BLIND),
        (1, {}, samples.Missing("this kernel does not count PassiveOpens")),
    ],
)
def test_otherwise_it_is_missing_with_the_reason(
    listeners: int | samples.Missing, counters: dict[str, int] | samples.Missing, missing: samples.Missing
) -> None:
    """200 connections to one port would hide that another accepts none."""
    assert missing == measured(counters, counters, listeners=listeners)[Name.ACCEPT_RATE]


def test_no_time_has_no_rate() -> None:
    """Nothing is divided by it."""
    found = measured({"ListenOverflows": 1}, {"ListenOverflows": 2}, seconds=0)
    rate = found[Name.LISTEN_OVERFLOW_RATE]
    assert isinstance(rate, samples.Missing)
    assert "one look has no rate" == rate.why
