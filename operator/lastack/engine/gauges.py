"""The gauges whose course over hours is kept, and the signals that come of it: slopes, and when a limit is met.

Called by windows, which extends the trends, and by signals, which reads them.
"""

import datetime as dt
from collections.abc import Mapping

from lastack import quantities
from lastack.engine import findings, samples, thresholds, trends
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_SLOPES: Mapping[_Name, _Name] = {
    _Name.CLOSE_WAIT_TOTAL: _Name.CLOSE_WAIT_TOTAL_SLOPE,
    _Name.CLOSE_WAIT_HELD: _Name.CLOSE_WAIT_HELD_SLOPE,
    _Name.CLOSE_WAIT_OUTBOUND: _Name.CLOSE_WAIT_OUTBOUND_SLOPE,
    _Name.OPEN_FILES_COUNT: _Name.OPEN_FILES_SLOPE,
    _Name.THREADS: _Name.THREADS_SLOPE,
}


def of_look(look: samples.Look) -> dict[_Name, int]:
    """The gauges of a listener and its owner that could be read."""
    rows, queued, process = look.listener.close_wait, look.listener.queued, look.owner.fullest
    waiting = 0 if isinstance(queued, samples.Missing) else queued.close_wait
    found: dict[_Name, int | samples.Missing | None] = {
        _Name.CLOSE_WAIT_TOTAL: len(rows.cookies) + waiting,
        _Name.CLOSE_WAIT_HELD: rows.unread.count(0),
        _Name.CLOSE_WAIT_OUTBOUND: _sum([each.outbound for each in look.owner.processes]),
        _Name.OPEN_FILES_COUNT: process.open_files if process else None,
        _Name.THREADS: _sum([each.threads for each in look.owner.processes]),
    }
    return {name: value for name, value in found.items() if isinstance(value, int)}


def of_client(look: samples.OutboundLook) -> dict[_Name, int]:
    """The gauges of a process with connections that it made itself."""
    found = {_Name.CLOSE_WAIT_OUTBOUND: len(look.rows.cookies)}
    files = look.process.open_files
    return found if isinstance(files, samples.Missing) else {**found, _Name.OPEN_FILES_COUNT: files}


def extend(before: trends.Trends, at: dt.timedelta, gauges: Mapping[_Name, int]) -> trends.Trends:
    """The trends with these values at their ends; `at` is of the steady clock. What could not be read has a gap."""
    return {**before, **{name: trends.extend(before.get(name), at, value) for name, value in gauges.items()}}


def forecasts(trend_of: trends.Trends, measured: findings.Signals) -> dict[_Name, findings.SignalValue]:
    """Slopes per hour and the seconds until the file limit is met, of the gauges among `measured`.

    Nothing where nobody has kept trends, as in `lastack diagnose`, whose few seconds have no slope.
    """
    if not trend_of:
        return {}
    found: dict[_Name, findings.SignalValue] = {
        slope: _slope(trend_of.get(gauge), measured[gauge])
        for gauge, slope in _SLOPES.items()
        if gauge in measured
    }
    found[_Name.OPEN_FILES_EXHAUSTS_IN] = _exhausts_in(trend_of, measured)
    return found


def is_rising(trend_of: trends.Trends, gauge: _Name) -> bool:
    """Whether the gauge has been growing for as long as its trend needs to tell."""
    trend = trend_of.get(gauge)
    return trend is not None and trend.growth is not None and trend.growth.rising


def _slope(trend: trends.Trend | None, value: findings.SignalValue) -> float | samples.Missing:
    if trend is None:
        return value if isinstance(value, samples.Missing) else samples.Missing("not measured")
    return _too_short(trend) if trend.growth is None else trend.growth.per_hour


def _exhausts_in(trend_of: trends.Trends, measured: findings.Signals) -> float | samples.Missing:
    trend = trend_of.get(_Name.OPEN_FILES_COUNT)
    files, limit = measured[_Name.OPEN_FILES_COUNT], measured[_Name.OPEN_FILES_LIMIT]
    if isinstance(files, samples.Missing):
        return files
    if isinstance(limit, samples.Missing):
        return limit
    if trend is None:
        return samples.Missing("not measured")
    return (
        _too_short(trend) if trend.growth is None else trends.exhausts_in_seconds(trend.growth, files, limit)
    )


def _too_short(trend: trends.Trend) -> samples.Missing:
    watched = dt.timedelta(seconds=int(trend.span.total_seconds()))
    needed = quantities.short(thresholds.TREND_SPAN)
    return samples.Missing(f"watched for {quantities.short(watched)}; a slope needs {needed}", quiet=True)


def _sum(values: list[int | samples.Missing]) -> int | None:
    known = [value for value in values if not isinstance(value, samples.Missing)]
    return sum(known) if known and len(known) == len(values) else None
