"""accept-stall: connections wait in the queue and the application takes none of them.

The size of the queue says nothing: a blocked event loop has 5 of 511 waiting, a full one 51 of 50.
"""

import itertools

from lastack.engine import findings, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when the queue held somebody in every look, nobody was accepted, and the head has waited 10 s or more."""
    depths = [look.listener.depth for look in window.looks]
    if min(depths) < 1:
        return None
    progress = measured[_Name.ACCEPT_PROGRESS]
    if signals.known(progress):
        return None
    age = signals.known(measured[_Name.ACCEPT_QUEUE_HEAD_AGE])
    if age is not None and age < thresholds.STALL_HEAD_AGE.total_seconds():
        return None
    if age is None and not _stands(depths):
        return None
    confidence = _confidence(window, progress, age)
    if age is None and confidence is vocabulary.Confidence.LOW:
        return None
    return _finding(window, measured, age, confidence)


def _stands(depths: list[int]) -> bool:
    return all(later >= earlier for earlier, later in itertools.pairwise(depths))


def _confidence(
    window: samples.Window, progress: findings.SignalValue, age: float | None
) -> vocabulary.Confidence:
    """High: the same rows wait, and their head is old. Medium: one of the two. Low: one look, or too short."""
    watched = window.length
    if age is None:
        standing = len(window.looks) >= 2 and watched >= thresholds.STALL_HEAD_AGE
        return vocabulary.Confidence.MEDIUM if standing else vocabulary.Confidence.LOW
    if isinstance(progress, samples.Missing):
        return vocabulary.Confidence.LOW
    return vocabulary.Confidence.HIGH if watched >= thresholds.FULL_WINDOW else vocabulary.Confidence.MEDIUM


def _finding(
    window: samples.Window, measured: findings.Signals, age: float | None, confidence: vocabulary.Confidence
) -> findings.Finding:
    listener = window.last.listener
    drops = signals.known(measured[_Name.LISTEN_DROP_RATE]) or 0.0
    fails = drops > 0 or (age is not None and age >= thresholds.CRITICAL_HEAD_AGE.total_seconds())
    seconds = window.length.total_seconds()
    waited = f"the first for {age:.0f} s" if age is not None else f"for at least {seconds:.0f} s"
    evidence = [
        findings.Evidence(
            _Name.ACCEPT_QUEUE_DEPTH,
            listener.depth,
            listener.limit,
            f"accept queue {listener.depth} of {listener.limit}, never empty in {seconds:.1f} s",
        ),
    ]
    if age is not None:
        limit = thresholds.STALL_HEAD_AGE.total_seconds()
        evidence.append(
            findings.Evidence(
                _Name.ACCEPT_QUEUE_HEAD_AGE,
                round(age, 3),
                limit,
                f"the head of the queue has waited for {age:.1f} s",
            )
        )
    if not isinstance(measured[_Name.ACCEPT_PROGRESS], samples.Missing):
        text = f"none of the waiting connections was accepted in {seconds:.1f} s"
        evidence.append(findings.Evidence(_Name.ACCEPT_PROGRESS, 0, None, text))
    if drops > 0:
        text = f"{drops:.1f} connection attempts a second are dropped, since the queue is full"
        evidence.append(findings.Evidence(_Name.LISTEN_DROP_RATE, round(drops, 3), 0, text))
    return findings.Finding(
        code=vocabulary.DiagnosisCode.ACCEPT_STALL,
        severity=vocabulary.Severity.CRITICAL if fails else vocabulary.Severity.WARNING,
        confidence=confidence,
        summary=(
            f"the application has stopped accepting: {listener.depth} "
            f"connection{'s wait' if listener.depth != 1 else ' waits'}, {waited}, and none was taken"
        ),
        evidence=tuple(evidence),
        signals=measured,
        cause=findings.Cause(vocabulary.CauseKind.UNKNOWN, None, vocabulary.Confidence.LOW),
    )
