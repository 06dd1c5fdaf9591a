"""fd-exhaustion: a process has no file left, so accept() fails with EMFILE and nobody is taken out of the queue.

The queue need not be full: a server with a backlog of 4096 stood at its limit with 139 to 200 waiting and no drop. It
is also the end of a leak. libuv (Node) keeps one file back, with which it accepts and closes at once: its queue moves,
and nobody is served.
"""

import dataclasses

from lastack.engine import close_waits, dead_sockets, findings, queues, samples, signals, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence
_Severity = vocabulary.Severity


@dataclasses.dataclass(frozen=True, slots=True)
class _Judged:
    """How bad it is, how sure, and what it means for who comes."""

    severity: vocabulary.Severity
    confidence: vocabulary.Confidence
    says: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """The file table of one process: how many are open, how many may be, and the least that were open in any look."""

    process: samples.ProcessSample
    files: int
    limit: int
    least: int


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when a process of the owner is at its file limit, and who comes does not get what he came for."""
    table = _fullest(window)
    if table is None or table.files < table.limit - thresholds.SUSPECT_FILES_MARGIN:
        return None
    judged = _of_waiting(window, measured) or _of_full(window, measured, table)
    return None if judged is None else _finding(window, measured, table, judged)


def _of_waiting(window: samples.Window, measured: findings.Signals) -> _Judged | None:
    """Somebody waits, and nobody is taken: requests fail now.

    High: the table is full and the same rows wait. Medium: too short, or a depth that stands. Low: one look.
    """
    if queues.shallowest(window) < 1 or queues.progresses(window, measured):
        return None
    told = not isinstance(measured[_Name.ACCEPT_PROGRESS], samples.Missing)
    if len(window.looks) < 2:
        confidence = _Confidence.LOW
    else:
        lasts = told and window.length >= thresholds.FULL_WINDOW
        confidence = _Confidence.HIGH if lasts else _Confidence.MEDIUM
    waits = evidence.connections(window.last.listener.depth)
    return _Judged(_Severity.CRITICAL, confidence, f"accept() fails, {waits} and none was taken")


def _of_full(window: samples.Window, measured: findings.Signals, table: _Table) -> _Judged | None:
    """The table is full at every look, and the queue moves, or is empty.

    Medium when what fills the table is not alive: it does not empty by itself, and a restart is the way out. Low when
    it may be connections in use, of which each that ends makes room for one: more room is the way out.
    """
    watched = len(window.looks) >= 2 and window.length >= thresholds.FULL_WINDOW
    if table.least < table.limit - thresholds.SUSPECT_FILES_MARGIN or not watched:
        return None
    whole = table.least >= table.limit
    head = queues.youngest_head(window)
    young = head is not None and head < thresholds.STALL_HEAD_AGE.total_seconds()
    waiting = queues.shallowest(window) >= 1 and not young
    coming = waiting or queues.progresses(window, measured)
    severity = _Severity.CRITICAL if coming and (whole or waiting) else evidence.severity(measured)
    half = table.limit * thresholds.TABLE_OF_DEAD
    if _dead(window) >= half:
        # Whoever is taken with no file left can only be turned away; with one or two left he may be served.
        says = "who comes is turned away" if coming and whole else "whoever comes next cannot be served"
        return _Judged(severity, _Confidence.MEDIUM, says)
    if waiting:
        established = [signals.known(look.listener.established) for look in window.looks]
        in_use = max((count for count in established if count is not None), default=half) >= half
        says = "connections wait all the time, and are taken one by one as a file becomes free"
        return _Judged(severity, _Confidence.LOW if in_use else _Confidence.MEDIUM, says)
    # Nobody is seen to fail: accept() may get the one file that is left, and what the handler opens then fails.
    return _Judged(_Severity.WARNING, _Confidence.LOW, "what it opens next fails")


def _fullest(window: samples.Window) -> _Table | None:
    """The process of the owner with the least room, in the last look."""
    tables = []
    for process in window.last.owner.processes:
        files, limit = process.open_files, process.open_files_limit
        if isinstance(files, samples.Missing) or isinstance(limit, samples.Missing):
            continue
        earlier = [
            each.open_files
            for look in window.looks
            for each in look.owner.processes
            if each.pid == process.pid and not isinstance(each.open_files, samples.Missing)
        ]
        tables.append(_Table(process, files, limit, min(earlier)))
    return min(tables, key=lambda table: (table.limit - table.files, table.process.pid), default=None)


def _dead(window: samples.Window) -> int:
    """Files that hold connections whose clients have left, as far as they can be seen."""
    dead = dead_sockets.standing_ages(window)
    without_row = close_waits.vanished_open(window) if isinstance(dead, samples.Missing) else len(dead)
    return len(close_waits.held_ages(window, window.last)) + without_row


def _finding(
    window: samples.Window,
    measured: findings.Signals,
    table: _Table,
    judged: _Judged,
) -> findings.Finding:
    dead = _dead(window)
    leaked = dead >= thresholds.LEAK_HELD
    text = f"{dead} of them are connections whose clients have left: this is the end of a leak"
    held = findings.Evidence(_Name.CLOSE_WAIT_HELD, dead, thresholds.LEAK_HELD, text)
    end = f"; {text}" if leaked else ""
    pieces = (
        evidence.files(table.process),
        evidence.depth_range(window, ""),
        evidence.progress(window, measured),
        held if leaked else None,
        evidence.drops(measured),
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.FD_EXHAUSTION,
        severity=judged.severity,
        confidence=judged.confidence,
        summary=f"process {table.process.pid} has {table.files} of {table.limit} files open; {judged.says}{end}",
        evidence=evidence.known(pieces),
        signals=measured,
    )
