"""What is said when no disease fits: healthy, unknown (with the signals that are missing), or nobody listens."""

from collections.abc import Collection

from lastack.engine import close_waits, dead_sockets, findings, queues, samples, signals, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def match_unknown(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when somebody waits or is dropped and the signals that would tell why are missing or not conclusive."""
    for doubt in (_queue, _drops, _silent, _handlers, _unlisted):
        found = doubt(window, measured)
        if found is not None:
            return found
    return None


def _queue(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Somebody waits, and nobody is seen to be taken."""
    if len(window.looks) < 2 or queues.progresses(window, measured):
        return None
    waiting = queues.shallowest(window) >= 1
    depth = window.last.listener.depth
    blind = [
        name
        for name in (_Name.ACCEPT_QUEUE_HEAD_AGE, _Name.ACCEPT_PROGRESS)
        if isinstance(measured[name], samples.Missing)
    ]
    if blind:
        text = f"{depth} connections wait, and it cannot be told whether they are taken"
        return _unknown(measured, tuple(blind), text) if waiting else None
    age = queues.oldest_head(window)
    if waiting and signals.known(measured[_Name.LISTEN_DROP_RATE]):
        return _unknown(
            measured,
            (_Name.ACCEPT_QUEUE_HEAD_AGE,),
            f"the queue is overflowing and nothing was accepted yet; after {age:.0f} s it is too "
            "early to tell a stall from a burst: look again",
        )
    if queues.stood(window) < thresholds.BEHIND_AGE:
        return None
    return _unknown(
        measured,
        (_Name.ACCEPT_QUEUE_HEAD_AGE,),
        f"{evidence.connections(depth)}, the first for {age:.0f} s, and none was taken: too early to tell a stall from "
        "overload or a pause: look again",
    )


def _drops(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Attempts are dropped, and the queue does not say why."""
    drops = signals.known(measured[_Name.LISTEN_DROP_RATE])
    if not drops:
        return None
    listener = window.last.listener
    if listener.depth >= max(1, listener.limit * thresholds.DRAINED_SHARE):
        return _unknown(
            measured,
            (_Name.ACCEPT_QUEUE_DEPTH,),
            f"{drops:.1f} connection attempts a second are dropped, and the queue has filled to {listener.depth} of "
            f"{listener.limit} while others are accepted: too early to tell a burst from overload: look again",
        )
    return _unknown(
        measured,
        (_Name.SYN_QUEUE_DEPTH, _Name.ACCEPT_QUEUE_PEAK),
        f"{drops:.1f} segments a second are dropped, and no queue of this listener was seen to be full: a burst "
        "between two looks, stray segments beside another listener's drops, or a SYN queue that was full for a moment",
    )


def _handlers(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Connections get no answer for long, none of them ended, and nothing says whether a handler works on them."""
    if close_waits.old(window.last) < thresholds.HANDLER_ROWS or len(window.looks) < 2:
        return None
    course = close_waits.follow(window)
    rows = (*course.unread, *course.held)
    if course.ended_old or len(rows) < thresholds.HANDLER_ROWS:
        return None
    return _unknown(
        measured,
        (_Name.WORKERS_STUCK,),
        f"{len(rows)} connections have had no answer since their clients left, the first {max(rows):.0f} s ago: "
        "stuck handlers, the beginning of a leak, or long polls whose clients gave up; a thread dump tells",
    )


def _silent(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Connections that are over are kept, and as many to one server are silent: a leak, or handlers that hang on it."""
    dead = dead_sockets.standing_ages(window)
    if isinstance(dead, samples.Missing) or len(window.looks) < 2:
        return None
    kept = len(dead) + len(close_waits.held_ages(window, window.last))
    silence = dead_sockets.silence(window, kept) if kept >= thresholds.LEAK_HELD else None
    if silence is None:
        return None
    return _unknown(
        measured,
        (_Name.WORKERS_STUCK,),
        f"{kept} connections whose clients have left are still open, and {silence.connections} to {silence.peer} that "
        "the process made are silent: handlers that wait for its answer, or a leak beside an idle pool; a thread dump "
        "tells",
    )


def _unlisted(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """A process has many TCP sockets that are in no table, all the time, and what they are may not be asked."""
    dead = measured.get(_Name.OPEN_FILES_DEAD)
    if not isinstance(dead, samples.Missing) or dead.quiet:
        return None
    before = window.first.owner.fullest
    if before is None or not isinstance(before.dead, samples.Missing) or before.dead.quiet:
        return None
    return _unknown(
        measured,
        (_Name.OPEN_FILES_DEAD,),
        f"{dead.why}; connections that are over and that nobody closes, or sockets that were never connected",
    )


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
