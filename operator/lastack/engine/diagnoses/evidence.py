"""The pieces of evidence that several diagnoses rest on, and how bad it is. Pure; called by the rows of the table.

A piece is None where its number is missing: what is not known is no evidence.
"""

from collections.abc import Iterable

from lastack.engine import findings, queues, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName


def known(pieces: Iterable[findings.Evidence | None]) -> tuple[findings.Evidence, ...]:
    """Those that there are."""
    return tuple(piece for piece in pieces if piece is not None)


def severity(measured: findings.Signals) -> vocabulary.Severity:
    """Critical when requests fail now: attempts are dropped, or the queue outlasts its clients. Else a warning."""
    age = signals.known(measured[_Name.ACCEPT_QUEUE_HEAD_AGE]) or 0
    fails = is_dropping(measured) or age >= thresholds.CRITICAL_HEAD_AGE.total_seconds()
    return vocabulary.Severity.CRITICAL if fails else vocabulary.Severity.WARNING


def is_dropping(measured: findings.Signals) -> bool:
    """Whether attempts to connect to this listener are known to be dropped."""
    return (signals.known(measured[_Name.LISTEN_DROP_RATE]) or 0) > 0


def drops(measured: findings.Signals, because: str = "") -> findings.Evidence | None:
    """Attempts that are dropped, if there are any."""
    rate = signals.known(measured[_Name.LISTEN_DROP_RATE])
    if not rate:
        return None
    text = f"{rate:.1f} connection attempts a second are dropped{because}"
    return findings.Evidence(_Name.LISTEN_DROP_RATE, round(rate, 3), 0, text)


def head(measured: findings.Signals) -> findings.Evidence | None:
    """How long the first in the queue has waited, against what is a stall."""
    age = signals.known(measured[_Name.ACCEPT_QUEUE_HEAD_AGE])
    if age is None:
        return None
    limit = thresholds.STALL_HEAD_AGE.total_seconds()
    text = f"the head of the queue has waited for {age:.1f} s"
    return findings.Evidence(_Name.ACCEPT_QUEUE_HEAD_AGE, round(age, 3), limit, text)


def progress(window: samples.Window, measured: findings.Signals) -> findings.Evidence | None:
    """How many were taken out of the queue while we looked."""
    taken = measured[_Name.ACCEPT_PROGRESS]
    if isinstance(taken, samples.Missing):
        return None
    seconds = window.length.total_seconds()
    text = (
        f"{taken:.0f} of the waiting connections {'was' if taken == 1 else 'were'} accepted in {seconds:.1f} s"
        if taken
        else f"none of the waiting connections was accepted in {seconds:.1f} s"
    )
    return findings.Evidence(_Name.ACCEPT_PROGRESS, int(taken), None, text)


def depth_range(window: samples.Window, why: str) -> findings.Evidence:
    """Between what depths the queue moved, if it did; the value is the smallest."""
    smallest, largest = queues.shallowest(window), queues.deepest(window)
    limit = window.last.listener.limit
    depth = f"{largest}" if smallest == largest else f"between {smallest} and {largest}"
    text = f"accept queue {depth} of {limit}{why}"
    return findings.Evidence(_Name.ACCEPT_QUEUE_DEPTH, smallest, limit, text)


def files(process: samples.ProcessSample) -> findings.Evidence | None:
    """The open files of one process against its limit."""
    count, limit = process.open_files, process.open_files_limit
    if isinstance(count, samples.Missing) or isinstance(limit, samples.Missing):
        return None
    text = f"{count} of {limit} files of process {process.pid} are open"
    return findings.Evidence(_Name.OPEN_FILES_COUNT, count, limit, text)


def connections(count: int) -> str:
    """`1 connection waits`, `2 connections wait`."""
    return f"{count} connection waits" if count == 1 else f"{count} connections wait"
