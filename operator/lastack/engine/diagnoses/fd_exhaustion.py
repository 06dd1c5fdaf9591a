"""fd-exhaustion: a process has no file left, so accept() fails with EMFILE and nobody is taken out of the queue.

The queue need not be full: a server with a backlog of 4096 stood at its limit with 139 to 200 waiting and no drop. It
is also the end of a leak. libuv (Node) keeps one file back, with which it accepts and closes at once: its queue moves,
and nobody is served.
"""

import dataclasses

from lastack.engine import close_waits, findings, queues, samples, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence
_Severity = vocabulary.Severity


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """The file table of one process: how many are open, how many may be, and the least that were open in any look."""

    process: samples.ProcessSample
    files: int
    limit: int
    least: int


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when a process of the owner is at its file limit, and its queue stands or its table is full of the dead."""
    table = _fullest(window)
    if table is None or table.files < table.limit - thresholds.SUSPECT_FILES_MARGIN:
        return None
    dead = _dead(window)
    depth = window.last.listener.depth
    if min(queues.depths(window)) >= 1 and not queues.progresses(window, measured):
        says = f"accept() fails, {evidence.connections(depth)} and none was taken"
        confidence = _of_waiting(window, measured)
        return _finding(window, measured, table, dead, (_Severity.CRITICAL, confidence, says))
    stays = len(window.looks) >= 2 and table.least >= table.limit - thresholds.SUSPECT_FILES_MARGIN
    if not stays:
        return None
    whole = table.least >= table.limit
    if dead >= table.limit * thresholds.TABLE_OF_DEAD:
        # Whoever is taken with no file left can only be turned away; with one or two left he may be served.
        turned_away = whole and queues.progresses(window, measured)
        says = "who comes is turned away" if turned_away else "whoever comes next cannot be served"
        watched = window.length >= thresholds.FULL_WINDOW
        confidence = _Confidence.MEDIUM if watched else _Confidence.LOW
        severity = _Severity.CRITICAL if turned_away else evidence.severity(measured)
        return _finding(window, measured, table, dead, (severity, confidence, says))
    if whole and queues.deepest(window) == 0 and not queues.progresses(window, measured):
        # Nobody has failed yet, and what is open may be closed when somebody comes: a warning that starts nothing.
        says = "nobody waits now, and whoever comes next cannot be accepted"
        return _finding(window, measured, table, dead, (_Severity.WARNING, _Confidence.LOW, says))
    return None


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
    return len(close_waits.held_ages(window.last)) + close_waits.vanished_open(window)


def _of_waiting(window: samples.Window, measured: findings.Signals) -> vocabulary.Confidence:
    """High: the table is full and the same rows wait. Medium: too short, or a depth that stands. Low: one look."""
    if len(window.looks) < 2:
        return _Confidence.LOW
    if isinstance(measured[_Name.ACCEPT_PROGRESS], samples.Missing) or window.length < thresholds.FULL_WINDOW:
        return _Confidence.MEDIUM
    return _Confidence.HIGH


def _finding(
    window: samples.Window,
    measured: findings.Signals,
    table: _Table,
    dead: int,
    said: tuple[vocabulary.Severity, vocabulary.Confidence, str],
) -> findings.Finding:
    severity, confidence, says = said
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
        severity=severity,
        confidence=confidence,
        summary=f"process {table.process.pid} has {table.files} of {table.limit} files open; {says}{end}",
        evidence=evidence.known(pieces),
        signals=measured,
    )
