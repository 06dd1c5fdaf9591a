"""fd-leak: the application read the end of its connections and never closes them.

Held sockets are also what a server shows whose handlers are merely slow and whose event loop reads ahead, so age and
spread decide, and a young pile is never more than a suspicion.
"""

from lastack.engine import findings, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when 20 or more sockets are held, none was closed while we looked, and they joined one by one."""
    ages = _held_ages(window.last)
    if len(ages) < thresholds.LEAK_HELD or len(window.looks) < 2:
        return None
    spread = (max(ages) - min(ages)) / 1000
    if spread < thresholds.LEAK_SPREAD.total_seconds() or _closed(window) > 0:
        return None
    oldest = max(ages) / 1000
    held = len(ages)
    files, limit = (
        signals.known(measured[_Name.OPEN_FILES_COUNT]),
        signals.known(measured[_Name.OPEN_FILES_LIMIT]),
    )
    evidence = [
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
    ]
    if files is not None and limit is not None:
        text = f"{files:.0f} of {limit:.0f} files are open"
        evidence.append(findings.Evidence(_Name.OPEN_FILES_COUNT, int(files), int(limit), text))
    return findings.Finding(
        code=vocabulary.DiagnosisCode.FD_LEAK,
        severity=vocabulary.Severity.WARNING,
        confidence=_confidence(window, measured, oldest, held),
        summary=(
            f"the application does not close its connections: {held} are held whose clients have left, "
            f"the oldest for {oldest:.0f} s"
        ),
        evidence=tuple(evidence),
        signals=measured,
    )


def _held_ages(look: samples.Look) -> list[int]:
    rows = look.listener.close_wait
    return [age for age, unread in zip(rows.ages_ms, rows.unread, strict=True) if unread == 0]


def _closed(window: samples.Window) -> int:
    """How many held sockets the application closed: rows that are gone and whose descriptor is gone too."""
    first, last = window.first.listener.close_wait, window.last.listener.close_wait
    held = {cookie for cookie, unread in zip(first.cookies, first.unread, strict=True) if unread == 0}
    gone = len(held.difference(last.cookies))
    still_open = [look.listener.vanished_open for look in window.looks[1:]]
    return max(0, gone - sum(count for count in still_open if not isinstance(count, samples.Missing)))


def _confidence(
    window: samples.Window, measured: findings.Signals, oldest: float, held: int
) -> vocabulary.Confidence:
    """High: old, and still growing. Medium: old. Low: young, or so many threads that each could be waiting for one."""
    if oldest < thresholds.LEAK_OLD.total_seconds() or window.length < thresholds.FULL_WINDOW:
        return vocabulary.Confidence.LOW
    threads = signals.known(measured[_Name.THREADS])
    if threads is None or threads > held:
        return vocabulary.Confidence.LOW
    grew = held > len(_held_ages(window.first))
    return vocabulary.Confidence.HIGH if grew else vocabulary.Confidence.MEDIUM
