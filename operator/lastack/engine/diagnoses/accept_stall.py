"""accept-stall: connections wait in the queue and the application takes none of them.

The size of the queue says nothing: a blocked event loop has 5 of 511 waiting, a full one 51 of 50.
"""

from lastack.engine import close_waits, findings, newcomers, queues, samples, signals, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when the queue held somebody in every look, nobody was accepted, and the head has waited 10 s or more.

    And nobody who had been accepted was finished: an event loop that blocks for a second in each of 260 handlers
    accepts nobody for minutes, and is at work all the time. That is overload.
    """
    if queues.shallowest(window) < 1 or close_waits.finished(window):
        return None
    progress = measured[_Name.ACCEPT_PROGRESS]
    if signals.known(progress):
        return None
    age = signals.known(measured[_Name.ACCEPT_QUEUE_HEAD_AGE])
    if age is not None and age < thresholds.STALL_HEAD_AGE.total_seconds():
        return None
    if age is None and not queues.never_falls(window):
        return None
    confidence = _confidence(window, progress, age)
    if age is None and confidence is vocabulary.Confidence.LOW:
        return None
    return _finding(window, measured, age, confidence)


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
    seconds = window.length.total_seconds()
    waited = f"the first for {age:.0f} s" if age is not None else f"for at least {seconds:.0f} s"
    lasting = f", never empty in {seconds:.1f} s" if seconds else ""
    overflowed = queues.deepest(window) > listener.limit
    depth = findings.Evidence(
        _Name.ACCEPT_QUEUE_DEPTH,
        listener.depth,
        listener.limit,
        f"accept queue {listener.depth} of {listener.limit}{lasting}",
    )
    pieces = (
        depth,
        evidence.head(measured),
        evidence.progress(window, measured),
        evidence.drops(measured, ", since the queue is full" if overflowed else ""),
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.ACCEPT_STALL,
        severity=evidence.severity(measured),
        confidence=confidence,
        summary=_summary(window, f"{evidence.connections(listener.depth)}, {waited}"),
        evidence=evidence.known(pieces),
        signals=measured,
    )


def _summary(window: samples.Window, waiting: str) -> str:
    """Of a young service that holds no connection it is not known whether it ever accepted."""
    age = newcomers.starting_for(window)
    if age is None:
        return f"the application has stopped accepting: {waiting}, and none was taken"
    return (
        f"the application does not accept: {waiting}, and none was taken; it began {age.total_seconds():.0f} s ago and "
        "holds no connection: it may still be starting"
    )
