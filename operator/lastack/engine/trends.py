"""How a gauge moves over hours: a bounded number of points, and a slope that neither peaks nor restarts can bend.

Points are means over `spacing_seconds`, which doubles whenever there are too many, so that a week costs as much memory
as ten minutes. Kept with windows, which extend a trend with each sample; read by signals. Pure.
"""

from __future__ import annotations  # array.array takes no [] at run time before 3.12

import bisect
import dataclasses
import datetime as dt
import itertools
import math
import statistics
from array import array
from collections.abc import Mapping, Sequence

from lastack.engine import thresholds
from lastack.policy import vocabulary

_HOUR_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """The slope per hour (Theil-Sen: the median over all pairs of points), and whether the gauge really grows."""

    per_hour: float
    rising: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Trend:
    """One gauge over time: equal columns, oldest first, on the steady clock.

    `begun_seconds` is when a point's first sample was taken, `means` and `counts` are of all samples in it. The last
    point still takes samples. `growth` rests on the points before it, and is None while there are too few of them.
    """

    spacing_seconds: float
    begun_seconds: array[float]
    means: array[float]
    counts: array[float]
    growth: Growth | None = None

    @property
    def span(self) -> dt.timedelta:
        """Time from the first point to the last."""
        return dt.timedelta(seconds=self.begun_seconds[-1] - self.begun_seconds[0])


Trends = Mapping[vocabulary.SignalName, Trend]
"""The trend of each gauge, by the gauge's name."""


def extend(trend: Trend | None, at: dt.timedelta, value: float) -> Trend:
    """The trend with one more sample; `at` is of the steady clock and not before the sample before."""
    now_seconds = at.total_seconds()
    if trend is None:
        spacing = thresholds.TREND_SPACING.total_seconds()
        return Trend(spacing, array("d", [now_seconds]), array("d", [value]), array("d", [1.0]))
    if now_seconds - trend.begun_seconds[-1] < trend.spacing_seconds:
        return _joined(trend, value)
    return _appended(trend, now_seconds, value)


def exhausts_in_seconds(growth: Growth, value: float, limit: float) -> float:
    """When the gauge meets its limit if it goes on like that; infinity when it does not grow."""
    if value >= limit:
        return 0.0
    return (limit - value) / growth.per_hour * _HOUR_SECONDS if growth.rising else math.inf


def _joined(trend: Trend, value: float) -> Trend:
    """One more sample in the last point."""
    means, counts = trend.means[:], trend.counts[:]
    counts[-1] += 1
    means[-1] += (value - means[-1]) / counts[-1]
    return dataclasses.replace(trend, means=means, counts=counts)


def _appended(trend: Trend, now_seconds: float, value: float) -> Trend:
    """A new point; the one before it is whole now, which is when a slope may have changed."""
    oldest = now_seconds - thresholds.TREND_HORIZON.total_seconds()
    kept = next(
        (index for index, begun in enumerate(trend.begun_seconds) if begun >= oldest),
        len(trend.begun_seconds),
    )
    begun = trend.begun_seconds[kept:]
    growth = _growth(begun, trend.means[kept:])
    begun.append(now_seconds)
    means, counts = trend.means[kept:], trend.counts[kept:]
    means.append(value)
    counts.append(1.0)
    longer = Trend(trend.spacing_seconds, begun, means, counts, growth)
    while len(longer.begun_seconds) > thresholds.TREND_POINTS:
        longer = _thinned(longer)
    return longer


def _thinned(trend: Trend) -> Trend:
    """The same with twice the spacing: neighbours become one point."""
    spacing = 2 * trend.spacing_seconds
    begun, means, counts = array("d"), array("d"), array("d")
    for at, mean, count in zip(trend.begun_seconds, trend.means, trend.counts, strict=True):
        if begun and at - begun[-1] < spacing:
            counts[-1] += count
            means[-1] += (mean - means[-1]) * count / counts[-1]
        else:
            begun.append(at)
            means.append(mean)
            counts.append(count)
    return Trend(spacing, begun, means, counts, trend.growth)


def _growth(begun: Sequence[float], means: Sequence[float]) -> Growth | None:
    if len(begun) < thresholds.TREND_LEAST_POINTS:
        return None
    if begun[-1] - begun[0] < thresholds.TREND_SPAN.total_seconds():
        return None
    whole = _slope(begun, means)
    count = thresholds.TREND_RECENT_POINTS
    before, recent = means[:-count], means[-count:]
    if whole.rising or not before or statistics.median(recent) <= max(before):
        return whole
    lately = _slope(begun[-count:], recent)
    return lately if lately.rising else whole


def _slope(begun: Sequence[float], means: Sequence[float]) -> Growth:
    if min(means) == max(means):
        return Growth(0.0, rising=False)
    steps = sorted(
        (later - earlier) / (to - since)
        for (since, earlier), (to, later) in itertools.combinations(zip(begun, means, strict=True), 2)
    )
    up = len(steps) - bisect.bisect_right(steps, 0)
    rising = up >= len(steps) * thresholds.TREND_AGREEMENT
    return Growth(statistics.median(steps) * _HOUR_SECONDS, rising=rising)
