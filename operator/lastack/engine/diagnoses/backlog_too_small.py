"""backlog-too-small: bursts overflow the accept queue although the application empties it again and again."""

import itertools

from lastack.engine import findings, queues, samples, signals, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Confidence = vocabulary.Confidence


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when attempts are dropped because the queue overflowed, and the queue drains between bursts.

    A queue that is filling up for the first time also starts below half of its limit: draining is only what falls
    again, or what stands low after drops.
    """
    drops = signals.known(measured[vocabulary.SignalName.LISTEN_DROP_RATE])
    overflows = signals.counter_growth(window, "ListenOverflows")
    if not drops or overflows == 0 or not _drains(window) or not _is_its_own(window):
        return None
    watched = window.length >= thresholds.FULL_WINDOW
    if isinstance(overflows, samples.Missing):
        confidence = _Confidence.LOW
    else:
        confidence = _Confidence.HIGH if watched else _Confidence.MEDIUM
    return findings.Finding(
        code=vocabulary.DiagnosisCode.BACKLOG_TOO_SMALL,
        severity=vocabulary.Severity.CRITICAL,
        confidence=confidence,
        summary=(
            f"bursts overflow the accept queue of {window.last.listener.limit}: {drops:.1f} connection attempts a "
            "second are dropped, although the application keeps up between the bursts"
        ),
        evidence=evidence.known((evidence.drops(measured), evidence.depth_range(window, ": it drains"))),
        signals=measured,
    )


def _drains(window: samples.Window) -> bool:
    half = max(1, window.last.listener.limit * thresholds.DRAINED_SHARE)
    filled = window.first.listener.depth >= half
    for earlier, look in itertools.pairwise(window.looks):
        listener = look.listener
        trough = listener.depth if listener.trough is None else listener.trough
        if filled and trough < half:
            return True
        # What filled it, or was dropped, since the look before came before this look.
        filled = filled or max(listener.depth, listener.peak or 0) >= half or _dropped(earlier, look)
        if filled and listener.depth < half:
            return True
    return window.last.listener.depth < half


def _dropped(earlier: samples.Look, later: samples.Look) -> bool:
    before, after = earlier.listener.drops, later.listener.drops
    return (
        not isinstance(before, samples.Missing) and not isinstance(after, samples.Missing) and after > before
    )


def _is_its_own(window: samples.Window) -> bool:
    """Whether it was this queue that overflowed: seen half full, or alone, or all drops of the namespace are its own.

    Overflows are counted for the namespace. A listener that only gets stray segments, which it counts as drops of
    its own, must not be blamed for the overflow of another one. Where it is alone the counts need not
    agree: some segments that do not fit count twice in sk_drops (345 against 317 ListenDrops were seen).
    """
    if all(look.namespace.listeners == 1 for look in (window.first, window.last)):
        return True
    if queues.deepest(window) >= max(1, window.last.listener.limit * thresholds.DRAINED_SHARE):
        return True
    own = signals.growth(window, lambda look: look.listener.drops)
    ambient = signals.counter_growth(window, "ListenDrops")
    if isinstance(own, samples.Missing) or isinstance(ambient, samples.Missing):
        return False
    return abs(own - ambient) <= ambient * thresholds.DROPS_AGREE
