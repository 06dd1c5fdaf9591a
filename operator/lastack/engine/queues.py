"""What the accept queue did over a window. Pure; called by the diagnoses that ask who waits and who is taken."""

import itertools

from lastack.engine import findings, samples, signals
from lastack.policy import vocabulary


def depths(window: samples.Window) -> list[int]:
    """The depth at each look, oldest first."""
    return [look.listener.depth for look in window.looks]


def deepest(window: samples.Window) -> int:
    """The largest depth that was seen, between the looks as well where somebody glanced."""
    return max(max(look.listener.depth, look.listener.peak or 0) for look in window.looks)


def never_falls(window: samples.Window) -> bool:
    """Whether no look found fewer waiting than the one before."""
    return all(later >= earlier for earlier, later in itertools.pairwise(depths(window)))


def progresses(window: samples.Window, measured: findings.Signals) -> bool:
    """Whether the application took anybody out of the queue.

    Where rows cannot be tied to the socket (SO_REUSEPORT) a depth that falls proves it: only accept() frees a slot.
    """
    progress = measured[vocabulary.SignalName.ACCEPT_PROGRESS]
    if isinstance(progress, samples.Missing):
        return not never_falls(window)
    return progress > 0


def youngest_head(window: samples.Window) -> float | None:
    """The smallest age of the head of the queue over all looks, in seconds; None where a look could not tell."""
    ages = [signals.known(signals.head_age(look.listener)) for look in window.looks]
    known = [age for age in ages if age is not None]
    return min(known) if len(known) == len(ages) else None
