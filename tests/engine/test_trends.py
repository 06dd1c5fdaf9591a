"""The course of a gauge over hours: which series grow, how fast, when they meet a limit, and what is kept of them."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastack.engine import thresholds, trends

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
Series = Callable[[float], float]


def followed(series: Series, hours: float, *, every_seconds: float = 30) -> trends.Trend:
    """The trend of a series that was sampled for so long."""
    trend = None
    for number in range(int(hours * HOUR_SECONDS / every_seconds) + 1):
        second = number * every_seconds
        trend = trends.extend(trend, dt.timedelta(seconds=second), series(second))
    assert trend is not None
    return trend


def grown(trend: trends.Trend) -> trends.Growth:
    """Its growth, which must be there."""
    assert trend.growth is not None
    return trend.growth


def noise(size: float) -> Series:
    """The same noise for every run of a test."""
    chance = random.Random(7)
    return lambda _: chance.gauss(0, size)


def plus(*parts: Series) -> Series:
    """A sum of series."""
    return lambda second: sum(part(second) for part in parts)


def level(value: float) -> Series:
    """Always the same."""
    return lambda _: value


def leak(per_hour: float, *, since_hours: float = 0) -> Series:
    """Grows for ever from some time on."""
    return lambda second: max(0.0, second / HOUR_SECONDS - since_hours) * per_hour


def collected(size: float, every_hours: float) -> Series:
    """Grows and falls back, as files do that a garbage collector closes."""
    return lambda second: size * (second / HOUR_SECONDS % every_hours) / every_hours


def steps(size: float, every_hours: float) -> Series:
    """Grows in steps."""
    return lambda second: size * math.floor(second / HOUR_SECONDS / every_hours)


def daily(size: float, *, shift_hours: float = 0) -> Series:
    """Follows the traffic of a day."""
    return lambda second: size * math.sin(2 * math.pi * (second / DAY_SECONDS + shift_hours / 24))


GROWING = [
    ("a straight line", plus(level(100), leak(10)), 6, 10),
    ("a slow leak under noise", plus(level(100), leak(5), noise(10)), 24, 5),
    ("a leak under a garbage collector", plus(level(100), leak(20), collected(100, 1)), 24, 20),
    ("a leak that began hours ago in a process that was well for days",
     plus(level(100), leak(20, since_hours=70), noise(1)), 74, 20),
    ("a leak by steps", plus(level(100), steps(10, 0.5)), 24, 20),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "series", "hours", "per_hour"), GROWING)
def test_what_leaks_grows_at_its_own_rate(claim: str, series: Series, hours: float, per_hour: float) -> None:
    """Within a sixth of the truth, whatever lies over it."""
    growth = grown(followed(series, hours))
    assert growth.rising, claim
    assert growth.per_hour == pytest.approx(per_hour, rel=1 / 6), claim


STEADY = [
    ("the same value for ever", level(100), 24),
    ("noise", plus(level(100), noise(5)), 24),
    ("a fall", lambda second: 1000 - second / 100, 6),
    ("a garbage collector every ten minutes", collected(100, 1 / 6), 3),
    ("a garbage collector every hour", collected(100, 1), 3.9),
    ("a garbage collector every six hours", collected(100, 6), 24),
    ("one step: a pool that was made larger", lambda second: 100 if second < 3 * HOUR_SECONDS else 500, 4),
    ("the same, just now", lambda second: 100 if second < 3 * HOUR_SECONDS else 500, 3.2),
    ("a start that fills its caches", lambda second: 500 * (1 - math.exp(-second / 900)), 24),
    ("the traffic of three days, in the morning", plus(level(300), daily(200), noise(5)), 72),
    ("in the afternoon", plus(level(300), daily(200, shift_hours=8), noise(5)), 72),
    ("in the night", plus(level(300), daily(200, shift_hours=16), noise(5)), 72),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "series", "hours"), STEADY)
def test_what_does_not_leak_does_not_grow(claim: str, series: Series, hours: float) -> None:
    """And never meets a limit."""
    growth = grown(followed(series, hours))
    assert not growth.rising, claim
    assert math.inf == trends.exhausts_in_seconds(growth, 100, 1024), claim


def test_a_peak_does_not_bend_the_slope() -> None:
    """Ten minutes at ten times the level, in the middle of a leak."""
    quiet = plus(level(100), leak(10))
    peak: Series = lambda second: 9000 if 2 * HOUR_SECONDS < second < 2 * HOUR_SECONDS + 600 else 0  # noqa: E731 # a series, as its neighbours
    growth = grown(followed(plus(quiet, peak), 6))
    assert growth.rising
    assert growth.per_hour == pytest.approx(10, rel=0.1)


def test_the_limit_is_met_when_what_is_left_has_grown_full() -> None:
    """900 left at 100 an hour are 9 hours; at the limit it is now; what does not grow meets it never."""
    rising, steady = trends.Growth(100, rising=True), trends.Growth(100, rising=False)
    assert [9 * HOUR_SECONDS, 0, 0, math.inf] == [
        trends.exhausts_in_seconds(rising, 124, 1024),
        trends.exhausts_in_seconds(rising, 1024, 1024),
        trends.exhausts_in_seconds(steady, 1025, 1024),
        trends.exhausts_in_seconds(steady, 124, 1024),
    ]


def test_ten_minutes_and_eight_points_are_needed() -> None:
    """Below, nothing is said: a start looks like a leak, and so does chance."""
    assert followed(leak(10), 9.9 / 60, every_seconds=5).growth is None
    assert followed(leak(10), 11 / 60, every_seconds=5).growth is not None
    assert followed(leak(10), 30 / 60, every_seconds=300).growth is None
    assert followed(leak(10), 45 / 60, every_seconds=300).growth is not None


def test_a_point_is_the_mean_of_its_samples() -> None:
    """Every sample counts as much, also after points were joined."""
    trend = followed(lambda second: second, 10, every_seconds=5)
    samples = 10 * HOUR_SECONDS / 5 + 1
    mean = sum(m * c for m, c in zip(trend.means, trend.counts, strict=True)) / sum(trend.counts)
    assert samples == sum(trend.counts)
    assert mean == pytest.approx(10 * HOUR_SECONDS / 2)


def test_what_is_older_than_a_day_is_forgotten() -> None:
    """A week of leaking that was mended is over a day later."""
    mended: Series = lambda second: min(second, 5 * DAY_SECONDS) / HOUR_SECONDS  # noqa: E731 # a series
    trend = followed(mended, 6.5 * 24, every_seconds=300)
    assert trend.span <= thresholds.TREND_HORIZON + dt.timedelta(seconds=2 * trend.spacing_seconds)
    assert not grown(trend).rising


def test_a_gap_is_no_growth() -> None:
    """Nobody looked for half a day; the points before and after it stand for themselves."""
    before = followed(level(100), 2)
    after = before
    for minute in range(120):
        after = trends.extend(after, dt.timedelta(hours=14, minutes=minute), 100)
    assert trends.Growth(0, rising=False) == after.growth
    assert len(after.means) <= thresholds.TREND_POINTS


def test_a_gap_longer_than_the_horizon_begins_anew() -> None:
    """Nothing of before is left but what came after."""
    trend = trends.extend(followed(leak(10), 2), dt.timedelta(days=3), 5)
    assert ([5.0], None) == (list(trend.means), trend.growth)


def copied(trend: trends.Trend | None) -> list[list[float]]:
    """The columns as they are now."""
    return [] if trend is None else [list(trend.begun_seconds), list(trend.means), list(trend.counts)]


GAPS = st.lists(st.tuples(st.floats(0, 7200), st.floats(0, 1e6)), min_size=1, max_size=400)


@given(GAPS)
def test_a_trend_is_bounded_and_ordered_whatever_comes(samples: list[tuple[float, float]]) -> None:
    """At most 120 points, oldest first, within the values that were seen; the value before is never changed."""
    trend: trends.Trend | None = None
    second = 0.0
    for passed, value in samples:
        second += passed
        earlier, copy = trend, copied(trend)
        trend = trends.extend(trend, dt.timedelta(seconds=second), value)
        assert copy == copied(earlier)
    assert trend is not None
    values = [value for _, value in samples]
    assert len(trend.means) <= thresholds.TREND_POINTS
    assert len(trend.means) == len(trend.begun_seconds) == len(trend.counts)
    assert list(trend.begun_seconds) == sorted(trend.begun_seconds)
    assert all(min(values) - 1e-6 <= mean <= max(values) + 1e-6 for mean in trend.means)
    if trend.growth is not None and trend.growth.rising:
        assert trend.growth.per_hour >= 0


@settings(max_examples=settings().max_examples // 4)
@given(st.floats(0.1, 1000), st.floats(0, 1000), st.integers(3, 30))
def test_a_straight_line_has_its_own_slope(per_hour: float, start: float, hours: int) -> None:
    """Whatever the slope, the level and the time."""
    growth = grown(followed(plus(level(start), leak(per_hour)), hours, every_seconds=600))
    assert growth.rising
    assert growth.per_hour == pytest.approx(per_hour, rel=0.01)
