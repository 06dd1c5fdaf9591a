"""Series of dumps as policies take them; no claims here."""

from __future__ import annotations

import datetime as dt

from lastack.executors.thread_dump import readers, series
from lastack.policy import valid
from tests import waiting
from tests.executors import worlds


def taken(*pids: int, native_stacks: bool = False, max_pause_ms: int = 500) -> series.Series:
    """Two dumps of each; raises what ends the series."""
    settings = valid.ThreadDump(
        count=2,
        every=dt.timedelta(milliseconds=200),
        max_pause=dt.timedelta(milliseconds=max_pause_ms),
        wait_at_most=dt.timedelta(0),
        native_stacks=native_stacks,
    )
    found = series.Series(pids, settings, lambda _one, _number: None, readers.all_readers())
    try:
        waiting.wait_until(
            lambda: found.advance(worlds.RealClock().now()), within=2 * worlds.WITHIN, what="the series"
        )
    finally:
        found.close()
    return found
