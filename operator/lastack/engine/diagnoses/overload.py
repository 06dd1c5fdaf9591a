"""overload: the application goes on accepting, and more arrives than it does.

A longer queue only makes everybody wait longer, and a restart throws the waiting away: the same work comes again.
"""

from lastack.engine import close_waits, findings, queues, samples, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when the application works, and yet the queue never falls below half or its head is always 10 s old.

    It works when somebody is taken, or somebody who had been taken is finished: event loops accept in batches. One
    in a window is no recovery: gunicorn kills a stuck worker every 30 s, and the next takes one more.
    """
    taken = queues.progresses(window, measured)
    if not taken and not close_waits.finished(window):
        return None
    listener = window.last.listener
    smallest = queues.shallowest(window)
    dropping = evidence.is_dropping(measured)
    long = _lasts(window, dropping=dropping) and smallest >= max(1, listener.limit * thresholds.DRAINED_SHARE)
    age = queues.youngest_head(window)
    old = age is not None and age >= thresholds.STALL_HEAD_AGE.total_seconds()
    if not long and not old:
        return None
    why = "it never fell below half" if long else "it is never empty"
    waited = f", the first always for {age:.0f} s or longer" if old and age is not None else ""
    works = (
        "it goes on accepting"
        if taken
        else "it goes on with those it has accepted, and takes others in batches"
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.OVERLOAD,
        severity=evidence.severity(measured),
        confidence=_confidence(window, (long, old, dropping)),
        summary=(
            f"more work arrives than the application does: {works}; {smallest} or more of {listener.limit} wait all "
            f"the time{waited}"
        ),
        evidence=evidence.known(
            (
                evidence.depth_range(window, f": {why}"),
                evidence.head(measured),
                evidence.progress(window, measured),
                evidence.drops(measured),
            )
        ),
        signals=measured,
    )


def _lasts(window: samples.Window, *, dropping: bool) -> bool:
    """Whether a queue that was long at every look is long all the time.

    A short queue is half full by chance at two instants; at three, or when it overflows, that is no chance. But a
    burst comes again each second, as dropped handshakes are tried again, and few looks may meet it every time.
    """
    if len(window.looks) < thresholds.WINDOW_SAMPLES and not dropping:
        return False
    many = len(window.looks) >= thresholds.STEADY_LOOKS
    return many or queues.was_glanced_at(window) or not queues.turns_over(window)


def _confidence(window: samples.Window, signs: tuple[bool, bool, bool]) -> vocabulary.Confidence:
    """High: two of a long queue, an old head and drops. Medium: one. Low: the window is too short for a state."""
    if window.length < thresholds.FULL_WINDOW:
        return _Confidence.LOW
    return _Confidence.HIGH if sum(signs) >= 2 else _Confidence.MEDIUM
