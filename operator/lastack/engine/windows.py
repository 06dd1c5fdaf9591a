"""Windows of looks, kept just long enough to judge by, with trends that reach further back. Called by watches.

Extended with each sample; flat in memory, however long they are.
"""

import datetime as dt
from collections.abc import Mapping

from lastack.engine import gauges, samples, thresholds

Key = tuple[int, int, int]
"""Network namespace, cookie of the LISTEN socket, owning pid: another value of any is another listener or life."""

Windows = Mapping[Key, samples.Window]

ClientKey = tuple[samples.Pid, dt.timedelta]
"""Pid of a process with connections that it made itself, and when it started: another value is another process."""

ClientWindows = Mapping[ClientKey, samples.OutboundWindow]


def extend(before: Windows, looks: tuple[samples.Look, ...]) -> dict[Key, samples.Window]:
    """The windows with these looks at their ends; a listener that was not seen this time has no window any more."""
    after = {}
    for look in looks:
        key = (look.namespace.inode, look.listener.cookie, look.owner.pid or 0)
        earlier = before.get(key)
        trend_of = gauges.extend(earlier.trend_of if earlier else {}, look.at.steady, gauges.of_look(look))
        kept = (*(earlier.looks if earlier else ()), look)
        after[key] = samples.Window(kept[_needed_from([each.at.steady for each in kept]) :], trend_of)
    return after


def extend_clients(
    before: ClientWindows, looks: tuple[samples.OutboundLook, ...]
) -> dict[ClientKey, samples.OutboundWindow]:
    """The same for processes with connections of their own; one that has none any more has no window."""
    after = {}
    for look in looks:
        key = (look.process.pid, look.process.started)
        earlier = before.get(key)
        trend_of = gauges.extend(earlier.trend_of if earlier else {}, look.at.steady, gauges.of_client(look))
        kept = (*(earlier.looks if earlier else ()), look)
        after[key] = samples.OutboundWindow(kept[_needed_from([each.at.steady for each in kept]) :], trend_of)
    return after


def _needed_from(instants: list[dt.timedelta]) -> int:
    """The index of the first look that is needed: enough looks, over enough time, and no more."""
    index = 0
    while (
        len(instants) - index > thresholds.WINDOW_SAMPLES
        and instants[-1] - instants[index + 1] >= thresholds.WINDOW_SPAN
    ):
        index += 1
    return index
