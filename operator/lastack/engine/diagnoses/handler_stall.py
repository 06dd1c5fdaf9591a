"""handler-stall: the application accepts, and some of its handlers never end; their clients have left long ago.

Long polls whose clients gave up look the same, up to their time-out. So age and number alone are never enough: a second
signal has to say that what holds them does not move.
"""

import dataclasses

from lastack.engine import close_waits, findings, queues, samples, stands, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Second:
    """The second signal: how sure it makes us, and in words."""

    confidence: vocabulary.Confidence
    signal: vocabulary.SignalName
    value: int
    text: str


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when three or more connections are unanswered for 30 s, none of them ended, and a second signal agrees.

    What is held counts only while threads stand still on its behalf: nobody knows better than the threads whether
    the end that was read belongs to a handler that is busy or to one that forgot to close.
    """
    if close_waits.old(window.last) < thresholds.HANDLER_ROWS or not _queue_moves(window, measured):
        return None
    course = close_waits.follow(window)
    if course.ended_old:
        return None
    rows = (*course.unread, *course.held)
    second = None if len(rows) < thresholds.HANDLER_ROWS else _threads(window, rows)
    if second is None:
        rows = course.unread
        second = None if len(rows) < thresholds.HANDLER_ROWS else _endings(window, rows, course.ended_young)
    if second is None:
        return None
    return _finding(window, measured, rows, second)


def _queue_moves(window: samples.Window, measured: findings.Signals) -> bool:
    return queues.shallowest(window) == 0 or queues.progresses(window, measured)


def _threads(window: samples.Window, rows: tuple[float, ...]) -> _Second | None:
    """Three threads or more that the same thing holds.

    High when they are half of the process (further connections then wait inside it for a worker), or when there is one
    for each connection and these are older than a poll: the readers of a message bus, which always stand still, may be
    as many as the polls that clients gave up.
    """
    standing = stands.standing(window)
    if isinstance(standing, samples.Missing):
        return None
    largest = next(iter(stands.groups(standing.threads)), None)
    if largest is None or largest.threads < thresholds.HANDLER_ROWS:
        return None
    outlived = max(rows) >= thresholds.HANDLER_OUTLIVED.total_seconds()
    one_for_each = largest.threads >= len(rows) and outlived
    many = one_for_each or largest.threads * 2 >= _all_threads(window)
    lasts = standing.readings >= thresholds.WINDOW_SAMPLES and standing.span >= thresholds.FULL_WINDOW
    if not many or not lasts:
        confidence = _Confidence.LOW
    elif largest.held_by == stands.RUNNING:
        busy = standing.readings >= thresholds.RUNNING_READINGS
        confidence = _Confidence.MEDIUM if busy else _Confidence.LOW
    else:
        confidence = _Confidence.HIGH
    doing = {
        stands.RUNNING: "never left the processor",
        stands.CLIENTS: "stood in the same send to a client that does not read",
    }.get(largest.held_by, f"stood in the same call to {largest.held_by}")
    text = f"{largest.threads} threads {doing} for {standing.span.total_seconds():.1f} s"
    return _Second(confidence, _Name.WORKERS_STUCK, largest.threads, text)


def _all_threads(window: samples.Window) -> int:
    """How many threads were looked at last; only asked where some were."""
    read = [look.stands for look in window.looks if not isinstance(look.stands, samples.Missing)]
    return len(read[-1])


def _endings(window: samples.Window, rows: tuple[float, ...], ended_young: int) -> _Second | None:
    """So many, and so old, that some should have ended by now if they ended at all.

    Medium above the age of any poll. Low while others of this listener ended younger: polls that began together do
    not end for a while either.
    """
    oldest = max(rows)
    seconds = window.length.total_seconds()
    due = len(rows) * seconds / oldest
    if due < thresholds.HANDLER_ENDINGS:
        return None
    if oldest >= thresholds.HANDLER_OLD.total_seconds():
        confidence, others = _Confidence.MEDIUM, ""
    elif ended_young and oldest >= thresholds.HANDLER_OUTLIVED.total_seconds():
        confidence, others = _Confidence.LOW, f", while {ended_young} younger ones ended"
    else:
        return None
    if window.length < thresholds.FULL_WINDOW:
        confidence = _Confidence.LOW
    text = f"of so many about {due:.0f} should have ended in {seconds:.1f} s, and none did{others}"
    return _Second(confidence, _Name.CLOSE_WAIT_UNREAD, len(rows), text)


def _finding(
    window: samples.Window, measured: findings.Signals, rows: tuple[float, ...], second: _Second
) -> findings.Finding:
    oldest, seconds = max(rows), window.length.total_seconds()
    age = findings.Evidence(
        _Name.CLOSE_WAIT_OLDEST,
        round(oldest, 3),
        thresholds.HANDLER_AGE.total_seconds(),
        f"{len(rows)} accepted connections whose clients have left stand for 30 s or longer, the oldest for "
        f"{oldest:.0f} s, and none of them ended in {seconds:.1f} s",
    )
    limit = thresholds.HANDLER_ROWS
    agreeing = findings.Evidence(second.signal, second.value, limit, second.text)
    queue = evidence.depth_range(window, ": others are accepted")
    return findings.Finding(
        code=vocabulary.DiagnosisCode.HANDLER_STALL,
        severity=evidence.severity(measured),
        confidence=second.confidence,
        summary=(
            f"{len(rows)} accepted connections get no answer, and their clients have left, the first {oldest:.0f} s "
            f"ago; {second.text}"
        ),
        evidence=evidence.known((age, agreeing, queue, evidence.drops(measured))),
        signals=measured,
    )
