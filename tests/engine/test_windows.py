"""What is kept of the looks of listeners and clients: enough to judge by, trends of hours, and no more than that."""

from __future__ import annotations

import dataclasses
import math
import sys

import pytest

from lastack.engine import findings, samples, signals, thresholds, windows
from lastack.policy import vocabulary
from tests.engine import clients, makers
from tests.engine.clients import DATABASE
from tests.engine.makers import Name, look

WEEK_SECONDS = 7 * 24 * 3600
SLOPES = vocabulary.SLOPE_SIGNALS | vocabulary.FORECAST_SIGNALS
KEY = (9, 1, 7)
CLIENT = (samples.Pid(7), makers.seconds(5))


def watched(hours: float, *, every_seconds: int = 60, files_per_hour: float = 10) -> samples.Window:
    """The window of a listener that holds more connections and files from hour to hour."""
    kept: windows.Windows = {}
    for second in range(0, int(hours * 3600) + 1, every_seconds):
        grown = int(second / 3600 * files_per_hour)
        held = makers.close_waits([60.0] * grown)
        kept = windows.extend(kept, (look(second, files=100 + grown, held=held),))
    return kept[KEY]


def test_a_window_keeps_three_looks_and_five_seconds() -> None:
    """Two instants make a rate, the third shows that it lasts; slower sampling keeps three looks all the same."""
    for every, expected in ((1, 6), (2, 4), (5, 3), (60, 3)):
        kept: windows.Windows = {}
        for number in range(20):
            kept = windows.extend(kept, (look(number * every),))
        assert expected == len(kept[KEY].looks), every
        assert thresholds.WINDOW_SPAN <= kept[KEY].length


def test_what_is_not_seen_any_more_is_forgotten() -> None:
    """A listener that is gone, and a process that has closed everything."""
    kept = windows.extend({}, (look(0),))
    assert {} == windows.extend(kept, ())
    of_clients = windows.extend_clients({}, (clients.look(0, {DATABASE: [1]}),))
    assert {} == windows.extend_clients(of_clients, ())


def test_another_socket_owner_or_process_begins_anew() -> None:
    """Its counters and its trend are those of another life."""
    first = look(0)
    kept = windows.extend({}, (first,))
    other = dataclasses.replace(first.listener, cookie=2)
    after = windows.extend(kept, (dataclasses.replace(look(1), listener=other),))
    assert [1] == [len(window.looks) for window in after.values()]
    of_clients = windows.extend_clients({}, (clients.look(0, {DATABASE: [1]}),))
    of_clients = windows.extend_clients(of_clients, (clients.look(1, {DATABASE: [1]}, started=6),))
    assert [1] == [len(window.looks) for window in of_clients.values()]


def test_a_listener_has_slopes_once_it_was_watched_for_ten_minutes() -> None:
    """Per hour, of what is held and of files; and the seconds until the limit of 1024 files."""
    measured = signals.measure(watched(6))
    slopes = {
        name: measured[name]
        for name in (
            Name.CLOSE_WAIT_TOTAL_SLOPE,
            Name.CLOSE_WAIT_HELD_SLOPE,
            Name.OPEN_FILES_SLOPE,
            Name.THREADS_SLOPE,
        )
    }
    assert dict(zip(slopes, (10, 10, 10, 0), strict=True)) == pytest.approx(slopes, abs=0.5)
    left = (1024 - 160) / 10 * 3600
    assert left == pytest.approx(signals.known(measured[Name.OPEN_FILES_EXHAUSTS_IN]), rel=0.05)


def test_what_does_not_grow_never_meets_its_limit() -> None:
    """In documents that is a word, not a number."""
    measured = signals.measure(watched(6, files_per_hour=0))
    assert "never" == findings.shown(measured[Name.OPEN_FILES_EXHAUSTS_IN])
    assert 0 == measured[Name.OPEN_FILES_SLOPE]


def test_before_that_a_slope_is_quietly_missing() -> None:
    """It is a matter of time, and no reason to hold anything."""
    measured = signals.measure(watched(5 / 60))
    for name in SLOPES:
        missing = measured[name]
        assert isinstance(missing, samples.Missing)
        assert ("watched for 5m; a slope needs 10m", True) == (missing.why, missing.quiet)


def test_a_short_watch_without_trends_has_no_slope_signals_at_all() -> None:
    """`diagnose` looks for seconds: a missing row would make each of its answers incomplete."""
    assert set() == SLOPES & signals.measure(makers.window(look(0), look(5))).keys()


BLIND = samples.Missing("not permitted")


def test_what_cannot_be_read_has_no_slope_and_says_why() -> None:
    """With the reason of the gauge itself."""
    kept: windows.Windows = {}
    for minute in range(30):
        kept = windows.extend(kept, (look(60 * minute, files=BLIND, threads=BLIND),))
    measured = signals.measure(kept[KEY])
    assert (BLIND, BLIND, BLIND) == (
        measured[Name.OPEN_FILES_SLOPE],
        measured[Name.OPEN_FILES_EXHAUSTS_IN],
        measured[Name.THREADS_SLOPE],
    )
    assert 0 == measured[Name.CLOSE_WAIT_TOTAL_SLOPE]


def test_without_a_limit_there_is_a_slope_and_no_forecast() -> None:
    """With the reason of the limit."""
    kept: windows.Windows = {}
    for minute in range(30):
        kept = windows.extend(kept, (look(60 * minute, files_limit=BLIND),))
    measured = signals.measure(kept[KEY])
    assert (0, BLIND) == (measured[Name.OPEN_FILES_SLOPE], measured[Name.OPEN_FILES_EXHAUSTS_IN])


def test_a_gauge_that_shows_for_the_first_time_is_not_measured_before() -> None:
    """The look that judges has it, the trend has not."""
    window = watched(1)
    trend_of = {Name.CLOSE_WAIT_TOTAL: window.trend_of[Name.CLOSE_WAIT_TOTAL]}
    measured = signals.measure(dataclasses.replace(window, trend_of=trend_of))
    for name in (Name.OPEN_FILES_SLOPE, Name.OPEN_FILES_EXHAUSTS_IN):
        assert samples.Missing("not measured") == measured[name]


def test_an_owner_that_cannot_be_seen_has_only_the_trends_of_its_listener() -> None:
    """Files and threads are of processes."""
    nobody = samples.Owner(None, ())
    kept = windows.extend({}, (look(0, owner=nobody),))
    (window,) = kept.values()
    assert {Name.CLOSE_WAIT_TOTAL, Name.CLOSE_WAIT_HELD} == window.trend_of.keys()


def test_a_queue_that_cannot_be_told_apart_leaves_the_accepted_ones() -> None:
    """Behind SO_REUSEPORT what is queued belongs to nobody in particular."""
    seen = look(0, waiting=BLIND, depth=0, held=makers.close_waits([9.0, 8.0]))
    (window,) = windows.extend({}, (seen,)).values()
    assert [2.0] == list(window.trend_of[Name.CLOSE_WAIT_TOTAL].means)


def test_a_client_has_slopes_of_its_connections_and_files() -> None:
    """And no others."""
    kept: windows.ClientWindows = {}
    for minute in range(90):
        ages = [60.0] * (minute // 3)
        kept = windows.extend_clients(kept, (clients.look(60 * minute, {DATABASE: ages}, files=minute),))
    measured = signals.measure_outbound(kept[CLIENT])
    slopes = {name: measured[name] for name in (Name.CLOSE_WAIT_OUTBOUND_SLOPE, Name.OPEN_FILES_SLOPE)}
    assert dict(zip(slopes, (20, 60), strict=True)) == pytest.approx(slopes, abs=2)
    assert {Name.CLOSE_WAIT_OUTBOUND_SLOPE, Name.OPEN_FILES_SLOPE, Name.OPEN_FILES_EXHAUSTS_IN} == (
        SLOPES & measured.keys()
    )
    blind = windows.extend_clients({}, (clients.look(0, {DATABASE: [1]}, files=BLIND),))
    assert {Name.CLOSE_WAIT_OUTBOUND} == blind[CLIENT].trend_of.keys()


def kept_bytes(window: samples.Window) -> int:
    """What the columns of its trends and its looks take."""
    columns = [
        column
        for trend in window.trend_of.values()
        for column in (trend.begun_seconds, trend.means, trend.counts)
    ]
    return sum(len(column) * column.itemsize for column in columns) + sys.getsizeof(window.looks)


def test_a_week_costs_no_more_memory_than_two_days() -> None:
    """Windows and trends are flat, however much is sampled; here every 15 minutes for a week, and growing."""
    kept: windows.Windows = {}
    sizes = []
    for second in range(0, WEEK_SECONDS, 900):
        kept = windows.extend(kept, (look(second, files=100 + second // 3600),))
        sizes.append(kept_bytes(kept[KEY]))
    two_days = 2 * 24 * 4
    assert max(sizes[two_days:]) <= max(sizes[:two_days])
    assert all(len(trend.means) <= thresholds.TREND_POINTS for trend in kept[KEY].trend_of.values())


def test_an_hour_at_five_samples_a_second_costs_no_more_either() -> None:
    """Points are means then, and never more than 120."""
    kept: windows.Windows = {}
    for number in range(5 * 3600):
        kept = windows.extend(kept, (look(number / 5),))
    assert all(len(trend.means) <= thresholds.TREND_POINTS for trend in kept[KEY].trend_of.values())
    assert kept_bytes(kept[KEY]) <= 5 * 3 * (thresholds.TREND_POINTS * 8 * 2) + 1024


def test_values_are_shown_as_documents_have_them() -> None:
    """What is missing is nothing, a fraction has three places, a count is whole, infinity is never."""
    values: list[findings.SignalValue] = [BLIND, 1 / 3, 7, math.inf]
    assert [None, 0.333, 7, "never"] == [findings.shown(value) for value in values]
