"""Watch for as long as one likes, and hand every look on at once: nothing is kept. Called by `lastack record`.

Deep looks at the beginning, at the end and every few seconds before the end, so that any part of it can be judged as
`lastack diagnose` judges; the others are cheap.
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Sequence

from lastack import ports
from lastack.engine import samples

DEEP_EVERY = dt.timedelta(seconds=5)
"""The usual window of a diagnosis, whose first and last looks are deep."""
_SHARE_OF_TIME = 10
"""A round of looks that cost much processor time is followed by at least so many times as long without one."""
_GLANCE_EVERY_SECONDS = 1.0
"""Between looks that are further apart, so that no burst stays unseen."""

Keep = Callable[[int, samples.Sample, bool], None]
"""Takes the number of the selection, what was seen of it, and whether the look was deep."""


def watch(
    sampler: ports.Sampler,
    selections: Sequence[ports.Selection],
    *,
    span: dt.timedelta,
    every: dt.timedelta,
    keep: Keep,
    progress: Callable[[dt.timedelta], None],
) -> bool:
    """Look at every selection, then for `span` again and again. Blocks for that long; what `keep` raises ends it.

    False when it ended before, because nothing that was selected could be seen any more.
    """
    if not _round(sampler, selections, keep, deep=True):
        return False
    # From the first look on: to find the owners takes its time once, and the time is what lies between two looks.
    first = due = time.monotonic()
    end, step = first + span.total_seconds(), every.total_seconds()
    deep_next = end - (span // DEEP_EVERY) * DEEP_EVERY.total_seconds()
    cost = 0.0
    while due < end:
        # A look shortly before the last one would tell nothing new.
        due = max(due + step, time.monotonic() + cost * _SHARE_OF_TIME)
        due = end if due > end - step / 2 else due
        while (left := due - time.monotonic()) > 0:
            progress(dt.timedelta(seconds=time.monotonic() - first))
            time.sleep(min(left, _GLANCE_EVERY_SECONDS))
            if time.monotonic() < due:
                for selection in selections:
                    sampler.glance(selection)
        deep = due >= min(deep_next, end) - step / 2
        while deep_next <= due + step / 2:
            deep_next += DEEP_EVERY.total_seconds()
        # Not by the clock: on a busy machine a look takes longer without costing more.
        before = time.process_time()
        if not _round(sampler, selections, keep, deep=deep):
            return False
        cost = time.process_time() - before
    return True


def _round(sampler: ports.Sampler, selections: Sequence[ports.Selection], keep: Keep, *, deep: bool) -> bool:
    """One look at each; whether any of them could be seen."""
    seen = False
    for number, selection in enumerate(selections):
        sample = sampler.look(dataclasses.replace(selection, deep=deep))
        keep(number, sample, deep)
        seen = seen or not sample.unseen or bool(sample.looks)
    return seen
