"""Rows and tables as the tests of top need them, made of looks by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt

from lastack.cli import diagnosis_documents, top_looks, top_rows
from lastack.engine import findings, samples
from lastack.policy import vocabulary
from tests.engine import makers

Code = vocabulary.DiagnosisCode
Severity = vocabulary.Severity
Name = vocabulary.SignalName


def row(
    port: int = 8080,
    *,
    address: str = "*",
    command: str = "java",
    pid: int = 4711,
    code: Code = Code.HEALTHY,
    severity: Severity = Severity.NONE,
    depth: int = 0,
    limit: int = 50,
    drops: float | None = 0.0,
    close_waits: tuple[int | None, int | None, int | None, int | None] = (0, 0, 0, 0),
    files: float | None = 0.13,
    cause: findings.Cause | None = None,
) -> top_rows.Row:
    """A row of one listener."""
    nobody_knows = samples.Missing("cannot be seen")

    def or_missing(value: float | None) -> float | samples.Missing:
        return nobody_knows if value is None else value

    queued, unread, held, outbound = close_waits
    signals: findings.Signals = {
        Name.ACCEPT_QUEUE_DEPTH: depth,
        Name.ACCEPT_QUEUE_LIMIT: limit,
        Name.LISTEN_DROP_RATE: or_missing(drops),
        Name.CLOSE_WAIT_QUEUED: or_missing(queued),
        Name.CLOSE_WAIT_UNREAD: or_missing(unread),
        Name.CLOSE_WAIT_HELD: or_missing(held),
        Name.CLOSE_WAIT_OUTBOUND: or_missing(outbound),
        Name.OPEN_FILES_FILL: or_missing(files),
    }
    look = makers.look(5)
    process = dataclasses.replace(look.owner.processes[0], pid=samples.Pid(pid), command=command)
    look = dataclasses.replace(
        look,
        listener=dataclasses.replace(
            look.listener, address=samples.ListenerAddress(address, port, "inet"), cookie=port
        ),
        owner=samples.Owner(process.pid, (process,)),
    )
    found = dataclasses.replace(makers.finding(code, severity=severity, signals=signals), cause=cause)
    item = diagnosis_documents.Diagnosed(found, samples.Window((makers.look(0), look)), port, 9)
    (made,) = top_rows.of([item])
    return made


def table(*rows: top_rows.Row, **more: object) -> top_looks.Table:
    """A table of these rows."""
    made = top_looks.Table(
        at=makers.EPOCH,
        span=dt.timedelta(seconds=5),
        rows=rows,
        ambient=top_looks.Ambient(drops=12.6, overflows=12.4, cookies=None),
        namespaces=(9,),
        missing=(),
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the table, by name
