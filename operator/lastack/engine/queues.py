"""What the accept queue did over a window. Pure; called by the diagnoses that ask who waits and who is taken."""

import datetime as dt
import itertools

from lastack.engine import findings, samples, signals
from lastack.policy import vocabulary


def depths(window: samples.Window) -> list[int]:
    """The depth at each look, oldest first."""
    return [look.listener.depth for look in window.looks]


def deepest(window: samples.Window) -> int:
    """The largest depth that was seen, between the looks as well where somebody glanced."""
    between = [look.listener.peak or 0 for look in window.looks[1:]]
    return max(*depths(window), *between, window.last.listener.depth)


def shallowest(window: samples.Window) -> int:
    """The smallest depth that was seen, between the looks as well where somebody glanced."""
    between = [look.listener.trough for look in window.looks[1:] if look.listener.trough is not None]
    return min(*depths(window), *between, window.last.listener.depth)


def was_glanced_at(window: samples.Window) -> bool:
    """Whether the queue is known between all looks, and not only at them."""
    return len(window.looks) >= 2 and all(look.listener.trough is not None for look in window.looks[1:])


def never_falls(window: samples.Window) -> bool:
    """Whether fewer waited at no look, and at no glance before it, than at the look before."""
    return all(
        later.listener.depth >= earlier.listener.depth
        and (later.listener.trough is None or later.listener.trough >= earlier.listener.depth)
        for earlier, later in itertools.pairwise(window.looks)
    )


def turns_over(window: samples.Window) -> bool:
    """Whether nobody who waited at one look was seen to wait at the next: it may have been empty between.

    Not where rows cannot be tied to the socket (SO_REUSEPORT): then it is not known to.
    """
    for earlier, later in itertools.pairwise(window.looks):
        before, after = earlier.listener.queued, later.listener.queued
        if isinstance(before, samples.Missing) or isinstance(after, samples.Missing):
            return False
        if not set(before.cookies).isdisjoint(after.cookies):
            return False
    return True


def progresses(window: samples.Window, measured: findings.Signals) -> bool:
    """Whether the application took anybody out of the queue.

    Where rows cannot be tied to the socket (SO_REUSEPORT) a depth that falls proves it: only accept() frees a slot.
    """
    progress = measured[vocabulary.SignalName.ACCEPT_PROGRESS]
    if isinstance(progress, samples.Missing):
        return not never_falls(window)
    return progress > 0


def stood(window: samples.Window) -> dt.timedelta:
    """How long somebody who waits at the last look was seen to wait, look after look.

    Less than the age of the head, which also counts a handshake whose end came late.
    """
    last = window.last.listener.queued
    if isinstance(last, samples.Missing):
        return dt.timedelta(0)
    for look in window.looks:
        before = look.listener.queued
        if not isinstance(before, samples.Missing) and not set(before.cookies).isdisjoint(last.cookies):
            return window.last.at.steady - look.at.steady
    return dt.timedelta(0)


def oldest_head(window: samples.Window) -> float:
    """The largest age of the head of the queue that was seen, in seconds; 0 where none was."""
    ages = [signals.known(signals.head_age(look.listener)) for look in window.looks]
    return max((age for age in ages if age is not None), default=0.0)


def youngest_head(window: samples.Window) -> float | None:
    """The smallest age of the head of the queue over all looks, in seconds; None where a look could not tell."""
    ages = [signals.known(signals.head_age(look.listener)) for look in window.looks]
    known = [age for age in ages if age is not None]
    return min(known) if len(known) == len(ages) else None
