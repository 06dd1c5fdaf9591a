"""What is said when no disease fits: healthy, unknown (with the signals that are missing), or nobody listens."""

from collections.abc import Collection

from lastack.engine import findings, samples, signals
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match_unknown(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when somebody waits or is dropped and the signals that would tell why are missing or not conclusive."""
    depths = [look.listener.depth for look in window.looks]
    drops = signals.known(measured[_Name.LISTEN_DROP_RATE])
    age, progress = measured[_Name.ACCEPT_QUEUE_HEAD_AGE], measured[_Name.ACCEPT_PROGRESS]
    if min(depths) >= 1 and len(window.looks) >= 2 and not signals.known(progress):
        blind = [
            name
            for name in (_Name.ACCEPT_QUEUE_HEAD_AGE, _Name.ACCEPT_PROGRESS)
            if isinstance(measured[name], samples.Missing)
        ]
        if blind:
            text = f"{depths[-1]} connections wait, and it cannot be told whether they are taken"
            return _unknown(measured, tuple(blind), text)
        if drops:
            return _unknown(
                measured,
                (_Name.ACCEPT_QUEUE_HEAD_AGE,),
                f"the queue is overflowing and nothing was accepted yet; after {signals.known(age):.0f} s it is too "
                "early to tell a stall from a burst: look again",
            )
    if drops:
        return _unknown(
            measured,
            (_Name.ACCEPT_PROGRESS,),
            f"{drops:.1f} connection attempts a second are dropped while the queue stays long and the application "
            "goes on accepting: more work arrives than it does",
        )
    return None


def healthy(window: samples.Window, measured: findings.Signals) -> findings.Finding:
    """Nothing that this program knows is wrong."""
    listener = window.last.listener
    full = len(window.looks) >= 2 and not isinstance(measured[_Name.LISTEN_DROP_RATE], samples.Missing)
    queue = f"accept queue {listener.depth} of {listener.limit}"
    return findings.Finding(
        code=vocabulary.DiagnosisCode.HEALTHY,
        severity=vocabulary.Severity.NONE,
        confidence=vocabulary.Confidence.HIGH if full else vocabulary.Confidence.LOW,
        summary=f"{queue}, nothing dropped" if full else f"{queue} at this instant",
        evidence=(findings.Evidence(_Name.ACCEPT_QUEUE_DEPTH, listener.depth, listener.limit, queue),),
        signals=measured,
    )


def not_listening(ports: Collection[int]) -> findings.Finding:
    """Nobody listens on these ports (none given: on any)."""
    where = ", ".join(str(port) for port in sorted(ports))
    return findings.Finding(
        code=vocabulary.DiagnosisCode.NOT_LISTENING,
        severity=vocabulary.Severity.CRITICAL,
        confidence=vocabulary.Confidence.HIGH,
        summary=f"nobody listens on port {where}" if ports else "the service runs and listens on no port",
        evidence=(),
        signals={},
    )


def _unknown(
    measured: findings.Signals, needs: tuple[vocabulary.SignalName, ...], summary: str
) -> findings.Finding:
    return findings.Finding(
        code=vocabulary.DiagnosisCode.UNKNOWN,
        severity=vocabulary.Severity.NONE,
        confidence=vocabulary.Confidence.LOW,
        summary=summary,
        evidence=(),
        signals=measured,
        needs=needs,
    )
