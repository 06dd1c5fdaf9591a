"""Connections that are over and that nobody closes: in no table any more, and known by their descriptors. Pure.

Called by the diagnoses of what is not closed. One that is found dead once may be a close on its way; so only those
count that were dead, or half-closed, at the first look already.
"""

import itertools
from collections.abc import Collection, Sequence

from lastack.engine import samples, thresholds


def standing_ages(window: samples.Window) -> list[float] | samples.Missing:
    """The ages in seconds of what came through the listener, was read to its end, is over and stood all the time.

    Missing where the last look does not tell.
    """
    last, before = window.last.listener.dead, window.first.listener
    if isinstance(last, samples.Missing):
        return last
    stood = standing(before.dead, before.close_wait.inodes, last)
    return [last.ages_ms[row] / 1000 for row in stood if not last.unread[row]]


def closed(window: samples.Window) -> int:
    """How many were closed that were dead in two looks before: a single one may have been on its way."""
    told = [
        set(look.listener.dead.inodes)
        for look in window.looks
        if not isinstance(look.listener.dead, samples.Missing)
    ]
    stood = {inode for earlier, later in itertools.pairwise(told) for inode in earlier & later}
    return len(stood - told[-1]) if told else 0


def silence(window: samples.Window, kept: int) -> samples.Silence | None:
    """The server that handlers may be waiting for on behalf of so many connections, half of them or more."""
    silences = [process.silence for process in window.last.owner.processes if process.silence is not None]
    most = max(silences, key=lambda each: each.connections, default=None)
    return most if most is not None and most.connections >= kept * thresholds.CAUSE_SHARE else None


def standing(
    first: samples.DeadSockets | samples.Missing,
    half_closed: Collection[int],
    last: samples.DeadSockets | samples.Missing,
) -> Sequence[int]:
    """The numbers of those of the last look that were dead at the first one, or whose inodes were half-closed then."""
    known = {*half_closed, *_inodes(first)}
    return [row for row, inode in enumerate(_inodes(last)) if inode in known]


def amount(found: samples.DeadSockets | samples.Missing) -> int:
    """How many there are; 0 where a look does not tell."""
    return len(_inodes(found))


def ages_ms(found: samples.DeadSockets | samples.Missing) -> Sequence[int]:
    """Their ages in milliseconds; none where a look does not tell."""
    return () if isinstance(found, samples.Missing) else found.ages_ms


def _inodes(found: samples.DeadSockets | samples.Missing) -> Sequence[int]:
    return () if isinstance(found, samples.Missing) else found.inodes
