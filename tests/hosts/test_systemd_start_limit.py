"""What may be concluded about a unit's start limit from systemd's time stamps, as a table."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack.hosts.systemd import start_limit

DEFAULT = start_limit.Limit(burst=5, interval=dt.timedelta(seconds=10))
TWICE_AN_HOUR = start_limit.Limit(burst=2, interval=dt.timedelta(hours=1))
ONCE = start_limit.Limit(burst=1, interval=dt.timedelta(minutes=1))
TWICE_FOR_EVER = start_limit.Limit(burst=2, interval=None)


def starts(latest_seconds: float | None, stopped_seconds: float | None) -> start_limit.Starts:
    """Ages of the latest start and the latest stop; None is never."""
    latest, stopped = (
        None if age is None else dt.timedelta(seconds=age) for age in (latest_seconds, stopped_seconds)
    )
    return start_limit.Starts(latest, stopped)


@pytest.mark.parametrize(
    ("limit", "seen", "most"),
    [
        pytest.param(DEFAULT, starts(11, 12), 0, id="an old life: every earlier start is older still"),
        pytest.param(DEFAULT, starts(3, None), 1, id="the first life: it never stopped"),
        pytest.param(DEFAULT, starts(3, 500), 1, id="started after a long stop"),
        pytest.param(DEFAULT, starts(3, 3.1), 5, id="restarted just now: nobody knows how often"),
        pytest.param(DEFAULT, starts(10, 10), 5, id="the edge belongs to the interval"),
        pytest.param(TWICE_FOR_EVER, starts(10**8, None), 1, id="no end of the interval, first life"),
        pytest.param(TWICE_FOR_EVER, starts(10**8, 10**8), 2, id="no end of the interval, restarted once"),
        pytest.param(DEFAULT, starts(None, None), 0, id="never started"),
    ],
)
def test_the_count_is_the_largest_that_the_stamps_allow(
    limit: start_limit.Limit, seen: start_limit.Starts, most: int
) -> None:
    """systemd does not tell its count; what cannot be excluded is assumed."""
    assert most == start_limit.most_starts(limit, seen)


@pytest.mark.parametrize(
    ("limit", "seen"),
    [
        pytest.param(DEFAULT, starts(3, None), id="four starts left"),
        pytest.param(DEFAULT, starts(11, 11), id="the interval is over"),
        pytest.param(TWICE_AN_HOUR, starts(60, None), id="the second of two"),
        pytest.param(start_limit.Limit(0, dt.timedelta(seconds=10)), starts(1, 1), id="burst 0 is no limit"),
        pytest.param(start_limit.Limit(5, dt.timedelta(0)), starts(1, 1), id="interval 0 is no limit"),
    ],
)
def test_a_start_that_is_safe_is_not_refused(limit: start_limit.Limit, seen: start_limit.Starts) -> None:
    """A restart is held back only when it could fail the unit."""
    assert start_limit.refusal(limit, seen) is None


@pytest.mark.parametrize(
    ("limit", "seen", "words"),
    [
        (TWICE_AN_HOUR, starts(60, 61), ["2 times within 1h", "1m ago", "Safe in 59m"]),
        (ONCE, starts(12, None), ["1 times within 1m", "12s ago", "Safe in 48s"]),
        (TWICE_FOR_EVER, starts(60, 61), ["2 times in all", "infinity", "failed and stopped"]),
    ],
)
def test_a_refusal_says_the_numbers_and_when_it_will_be_safe(
    limit: start_limit.Limit, seen: start_limit.Starts, words: list[str]
) -> None:
    """Whoever reads it knows how long to wait, or that no wait will do."""
    text = start_limit.refusal(limit, seen) or ""
    assert [] == [word for word in words if word not in text]
