"""Whether a service may still be starting: it listens already, and has not taken anybody yet. Pure.

Many listen before they are ready: gunicorn while its workers import the application, Tomcat while it deploys, whatever
a socket activates. A restart would begin all of it anew. Called by accept-stall and by what can help.
"""

import datetime as dt

from lastack.engine import dead_sockets, samples, thresholds


def starting_for(window: samples.Window) -> dt.timedelta | None:
    """How old the oldest of its workers is, while all are young, run, and hold nobody whom they took; else None.

    Whoever was taken shows: a stuck worker holds the connection on which it is stuck. Where no look counts those that
    are open, nothing is known.
    """
    workers = window.last.owner.workers
    if any(worker.state in samples.STOPPED for worker in workers):
        return None
    ages = [window.last.at.steady - worker.started for worker in workers]
    if not ages or max(ages) >= thresholds.STARTING:
        return None
    counted = [
        look.listener.established
        for look in window.looks
        if not isinstance(look.listener.established, samples.Missing)
    ]
    if not counted or any(counted) or any(map(_holds, window.looks)):
        return None
    return max(ages)


def _holds(look: samples.Look) -> bool:
    """Whether it has taken connections that are over, or half so."""
    return bool(look.listener.close_wait.cookies) or dead_sockets.amount(look.listener.dead) > 0
