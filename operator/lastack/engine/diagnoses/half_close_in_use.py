"""half-close-in-use: clients that have finished sending are still being answered. Nothing is wrong."""

from lastack.engine import close_waits, findings, samples, thresholds
from lastack.policy import vocabulary


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when the application sends on a connection whose client has shut down its sending half."""
    sending = len(close_waits.still_sending(window))
    if not sending:
        return None
    within = thresholds.STILL_SENDS.total_seconds()
    many, are = (f"{sending} connections", "are") if sending > 1 else ("1 connection", "is")
    watched = len(window.looks) >= thresholds.WINDOW_SAMPLES and window.length >= thresholds.FULL_WINDOW
    return findings.Finding(
        code=vocabulary.DiagnosisCode.HALF_CLOSE_IN_USE,
        severity=vocabulary.Severity.NONE,
        confidence=vocabulary.Confidence.HIGH if watched else vocabulary.Confidence.MEDIUM,
        summary=f"{many} in CLOSE_WAIT {are} still in use: the clients have finished sending and are being answered",
        evidence=(
            findings.Evidence(
                vocabulary.SignalName.CLOSE_WAIT_TOTAL,
                sending,
                None,
                f"on {many} data was sent after the client's FIN, within the last {within:.0f} s",
            ),
        ),
        signals=measured,
    )
