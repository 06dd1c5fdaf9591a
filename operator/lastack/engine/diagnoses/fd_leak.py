"""fd-leak: the application read the end of its connections and never closes them.

Held sockets are also what a server shows whose handlers are merely slow and whose event loop reads ahead, so age and
spread decide, and a young pile is never more than a suspicion.
"""

from lastack.engine import close_waits, findings, gauges, samples, signals, stands, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when 20 or more sockets are held, none was closed while we looked, and they joined one by one.

    A leaking application reads. Where others stand unread for long, and threads may be waiting on behalf of all of
    them, it is stuck: a FIN that came with the request is read together with it.
    """
    ages = close_waits.held_ages(window, window.last)
    if len(ages) < thresholds.LEAK_HELD or len(window.looks) < 2:
        return None
    spread = max(ages) - min(ages)
    if spread < thresholds.LEAK_SPREAD.total_seconds() or close_waits.closed(window) > 0:
        return None
    oldest, held = max(ages), len(ages)
    stands_unread = len(close_waits.follow(window).unread) >= thresholds.HANDLER_ROWS
    if stands_unread and _threads_may_wait(window, measured, held):
        return None
    process = window.last.owner.fullest
    pieces = (
        findings.Evidence(
            _Name.CLOSE_WAIT_HELD,
            held,
            thresholds.LEAK_HELD,
            f"{held} connections whose end was read are still open, and none was closed in "
            f"{window.length.total_seconds():.1f} s",
        ),
        findings.Evidence(
            _Name.CLOSE_WAIT_OLDEST,
            round(oldest, 3),
            thresholds.LEAK_OLD.total_seconds(),
            f"their ages spread over {spread:.0f} s, the oldest is {oldest:.0f} s",
        ),
        evidence.files(process) if process else None,
        _vanished(window),
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.FD_LEAK,
        severity=vocabulary.Severity.WARNING,
        confidence=_confidence(window, measured, oldest, held),
        summary=(
            f"the application does not close its connections: {held} are held whose clients have left, "
            f"the oldest for {oldest:.0f} s"
        ),
        evidence=evidence.known(pieces),
        signals=measured,
    )


def _vanished(window: samples.Window) -> findings.Evidence | None:
    """Rows that keep-alive has removed although nobody closed them."""
    count = close_waits.vanished_open(window)
    text = f"{count} more vanished from the kernel's table while their files stayed open"
    return findings.Evidence(_Name.OPEN_FILES_COUNT, count, 0, text) if count else None


def _confidence(
    window: samples.Window, measured: findings.Signals, oldest: float, held: int
) -> vocabulary.Confidence:
    """High: old, and still growing. Medium: old. Low: young, or so many threads that each could be waiting for one.

    Where keep-alive takes the rows away after a minute, none ever grows old, and the files stay: then open files that
    have been rising for long, while rows vanish from them, are as good as age.
    """
    rises = (
        gauges.is_rising(window.trend_of, _Name.OPEN_FILES_COUNT) and close_waits.vanished_open(window) > 0
    )
    young = oldest < thresholds.LEAK_OLD.total_seconds() and not rises
    if young or window.length < thresholds.FULL_WINDOW:
        return _Confidence.LOW
    if _threads_may_wait(window, measured, held):
        return _Confidence.LOW
    grew = held + close_waits.vanished_open(window) > len(close_waits.held_ages(window, window.first))
    return _Confidence.HIGH if grew else _Confidence.MEDIUM


def _threads_may_wait(window: samples.Window, measured: findings.Signals, held: int) -> bool:
    """Whether there are so many threads that each held connection could have one waiting on its behalf.

    Those that stand still, where it was looked at; else all there are. A lock and an idle pool look the same.
    """
    standing = stands.standing(window)
    if isinstance(standing, samples.Missing):
        threads = signals.known(measured[_Name.THREADS])
        return threads is None or threads > held
    return stands.may_wait(standing.threads) > held
