"""backlog-too-small: bursts overflow the accept queue although the application empties it again and again."""

import itertools

from lastack.engine import findings, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when attempts are dropped because the queue overflowed, and the queue drains between bursts.

    A queue that is filling up for the first time also starts below half of its limit: draining is only what falls
    again, or what stands low after drops.
    """
    drops = signals.known(measured[_Name.LISTEN_DROP_RATE])
    if not drops:
        return None
    overflows = signals.counter_growth(window, "ListenOverflows")
    if overflows == 0 or not _drains(window):
        return None
    listener = window.last.listener
    depths = [look.listener.depth for look in window.looks]
    watched = window.length >= thresholds.FULL_WINDOW
    if isinstance(overflows, samples.Missing):
        confidence = vocabulary.Confidence.LOW
    else:
        confidence = vocabulary.Confidence.HIGH if watched else vocabulary.Confidence.MEDIUM
    return findings.Finding(
        code=vocabulary.DiagnosisCode.BACKLOG_TOO_SMALL,
        severity=vocabulary.Severity.CRITICAL,
        confidence=confidence,
        summary=(
            f"bursts overflow the accept queue of {listener.limit}: {drops:.1f} connection attempts a second are "
            "dropped, although the application keeps up between the bursts"
        ),
        evidence=(
            findings.Evidence(
                _Name.LISTEN_DROP_RATE,
                round(drops, 3),
                0,
                f"{drops:.1f} connection attempts a second are dropped",
            ),
            findings.Evidence(
                _Name.ACCEPT_QUEUE_DEPTH,
                min(depths),
                listener.limit,
                f"accept queue between {min(depths)} and {max(depths)} of {listener.limit}: it drains",
            ),
        ),
        signals=measured,
    )


def _drains(window: samples.Window) -> bool:
    half = window.last.listener.limit * thresholds.DRAINED_SHARE
    depths = [look.listener.depth for look in window.looks]
    fell = any(later < earlier and later < half for earlier, later in itertools.pairwise(depths))
    return fell or depths[-1] < half
