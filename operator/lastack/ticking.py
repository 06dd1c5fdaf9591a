"""Keeps a loop ticking until it is told to stop: the pace, the checkpoints, and what if nothing can be written.

Called by bootstrap's host process, in the thread that owns the loop.
"""

import datetime as dt
import threading
from collections.abc import Callable

from lastack import errors, loop, ports

STOP_WITHIN = dt.timedelta(seconds=3)
"""`run` promises to end within 5 s."""

LONGEST_PAUSE = dt.timedelta(seconds=1)
SHORTEST_PAUSE = dt.timedelta(milliseconds=100)


def pace(fastest: dt.timedelta) -> dt.timedelta:
    """How long to pause between ticks: short enough for the most often sampled target, and for people who ask."""
    return max(SHORTEST_PAUSE, min(LONGEST_PAUSE, fastest / 2))


def run(
    ticker: loop.Loop,
    ledger: ports.Ledger,
    clock: ports.Clock,
    stop: threading.Event,
    *,
    actor: str,
    checkpoint_every: dt.timedelta,
    notice: Callable[[str], None],
) -> None:
    """Tick until `stop` is set. A state directory that cannot be written is said once, and tried again each tick."""
    ticker.start(actor)
    checkpointed = clock.now()
    unwritten: str | None = None
    while not stop.is_set():
        try:
            ticker.tick()
            now = clock.now()
            if now.since(checkpointed) >= checkpoint_every:
                ledger.checkpoint(now)
                checkpointed = now
            unwritten = None
        except errors.StateUnusable as problem:
            if problem.message != unwritten:
                notice(f"nothing can be recorded, so nothing new begins: {problem.message}")
            unwritten = problem.message
        stop.wait(pace(ticker.fastest()).total_seconds())
    ticker.stop(STOP_WITHIN)
