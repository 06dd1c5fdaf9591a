"""The answer of `lastack diagnose` as a JSON document and an exit code; pure. Called by cli.diagnose.

Names and meaning of the fields are the contract (docs/reference): fields may be added, never renamed.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from lastack import quantities
from lastack.engine import findings, instants, samples
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_FIRST_SIGNALS = (
    _Name.CLOSE_WAIT_TOTAL,
    _Name.CLOSE_WAIT_QUEUED,
    _Name.CLOSE_WAIT_UNREAD,
    _Name.CLOSE_WAIT_HELD,
    _Name.CLOSE_WAIT_OUTBOUND,
    _Name.CLOSE_WAIT_OLDEST,
    _Name.ACCEPT_QUEUE_DEPTH,
    _Name.ACCEPT_QUEUE_LIMIT,
    _Name.ACCEPT_QUEUE_HEAD_AGE,
    _Name.ACCEPT_PROGRESS,
    _Name.LISTEN_DROP_RATE,
    _Name.SYN_QUEUE_DEPTH,
    _Name.ESTABLISHED,
    _Name.OPEN_FILES_COUNT,
    _Name.OPEN_FILES_LIMIT,
)
"""Present for every listener, in this order; others follow as they were measured."""
_SIGNALS = frozenset(_Name)
_MOST_PEERS = 10
_NOT_MEASURED = samples.Missing("not measured")
LISTENERS = "listeners"
"""What is missing when a pid, unit or namespace could not be looked at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosed:
    """One finding: of a listener, of a port that nobody listens on (`window` None), or of a client (`outbound`).

    A client is a process with connections that it made itself; then `port` is None, too.
    """

    finding: findings.Finding
    window: samples.Window | None
    port: int | None
    netns: int | None
    outbound: samples.OutboundWindow | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Everything that one run of `lastack diagnose` found."""

    at: dt.datetime
    window: dt.timedelta
    items: tuple[Diagnosed, ...]
    missing: tuple[tuple[str, samples.Missing], ...]
    """(what, why): a selector such as pid/N, unit/NAME, netns/PATH, recording/FILE, or a signal of which a part is
    hidden."""


@dataclasses.dataclass(frozen=True, slots=True)
class MissingRow:
    """One thing that could not be seen; `member` None is the namespace."""

    signal: str
    member: str | None
    missing: samples.Missing


def exit_code(answer: Answer) -> int:
    """1 when something is sick, 3 when nothing could be seen or told, else 0."""
    if any(item.finding.severity is not vocabulary.Severity.NONE for item in answer.items):
        return 1
    if answer.items:
        every = all(item.finding.code is vocabulary.DiagnosisCode.UNKNOWN for item in answer.items)
        return 3 if every else 0
    return 3 if answer.missing else 0


def document(answer: Answer) -> dict[str, Any]:
    """The body of the DiagnosisList."""
    rows = missing_rows(answer)
    return {
        "observedAt": instants.rfc3339(answer.at),
        "window": quantities.short(answer.window),
        "complete": all(row.missing.inherent for row in rows),
        "missing": [
            {
                "signal": row.signal,
                "member": row.member,
                "why": row.missing.why,
                "fix": row.missing.fix,
                "inherent": row.missing.inherent,
            }
            for row in rows
        ],
        "items": [_item(item) for item in answer.items],
    }


def missing_rows(answer: Answer) -> tuple[MissingRow, ...]:
    """One row per signal and member: what is missing, and what an `unknown` would have needed."""
    rows: dict[tuple[str, str | None], samples.Missing] = {}
    for what, why in answer.missing:
        if what in _SIGNALS:
            rows.setdefault((what, None), why)
        else:
            member = None if what.startswith(("netns/", "recording/")) else what
            before = rows.get((LISTENERS, member), why)
            # Of several namespaces that are not there all are told, in the one row that they share.
            both = why if before == why else dataclasses.replace(before, why=f"{before.why}; {why.why}")
            rows[LISTENERS, member] = both
    for item in answer.items:
        member = _member_name(item)
        if member is None:
            continue
        for name in _names(item):
            value = item.finding.signals.get(name, _NOT_MEASURED)
            if isinstance(value, samples.Missing):
                _keep(rows, (name.value, member), value)
        for name in item.finding.needs:
            _keep(rows, (name.value, member), samples.Missing(f"not conclusive: {item.finding.summary}"))
    return tuple(MissingRow(signal, member, why) for (signal, member), why in rows.items())


def _member_name(item: Diagnosed) -> str | None:
    """How `missing` names a member: by its pid, or by its address where no owner can be seen; None: there is none."""
    if item.outbound is not None:
        return f"pid/{item.outbound.last.process.pid}"
    if item.window is None:
        return None
    look = item.window.last
    if look.owner.pid is not None:
        return f"pid/{look.owner.pid}"
    return f"listener/{look.listener.address.address}:{look.listener.address.port}"


def _keep(
    rows: dict[tuple[str, str | None], samples.Missing], key: tuple[str, str | None], why: samples.Missing
) -> None:
    """One row per key; of two reasons the one that could be mended is said."""
    if key not in rows or (rows[key].inherent and not why.inherent):
        rows[key] = why


def _names(item: Diagnosed) -> list[vocabulary.SignalName]:
    """The signals of an item; a listener has the first ones whatever was measured."""
    signals = item.finding.signals
    if item.window is None:
        return list(signals)
    return [*_FIRST_SIGNALS, *(name for name in signals if name not in _FIRST_SIGNALS)]


def _item(item: Diagnosed) -> dict[str, Any]:
    found = item.finding
    peers, omitted = peers_of(item)
    return {
        "member": _member(item),
        "listener": _listener(item),
        "code": found.code.value,
        "severity": found.severity.value,
        "confidence": found.confidence.value,
        "cause": None if found.cause is None else _cause(found.cause),
        "summary": found.summary,
        "evidence": [
            {"signal": each.signal.value, "value": each.value, "limit": each.limit, "text": each.text}
            for each in found.evidence
        ],
        "signals": _signals(item),
        "peers": [{"address": each.address, "closeWait": each.close_wait} for each in peers],
        "peersOmitted": omitted,
        "canHelp": [{"remedy": each.remedy, "why": each.why} for each in found.can_help],
        "cannotHelp": [{"remedy": each.remedy, "why": each.why} for each in found.cannot_help],
    }


def peers_of(item: Diagnosed) -> tuple[Sequence[samples.PeerCount], int]:
    """The largest peers, and how many are left out; of a process's own connections each is an address with a port."""
    if item.outbound is not None:
        every = item.outbound.last.peer_counts
        return every[:_MOST_PEERS], max(0, len(every) - _MOST_PEERS)
    if item.window is None:
        return (), 0
    listener = item.window.last.listener
    return listener.peers, listener.peers_omitted


def owner_of(item: Diagnosed) -> samples.Owner:
    """The processes that an item is about; of a port that nobody listens on there are none."""
    if item.outbound is not None:
        process = item.outbound.last.process
        return samples.Owner(process.pid, (process,))
    return samples.Owner(None, ()) if item.window is None else item.window.last.owner


def _member(item: Diagnosed) -> dict[str, Any]:
    owner = owner_of(item)
    main = owner.main
    return {
        "pid": owner.pid,
        "pids": [process.pid for process in owner.processes],
        "command": main.command if main else None,
        "unit": main.unit if main else None,
        "container": main.container if main else None,
        "pod": None,
        "netns": item.netns,
    }


def _listener(item: Diagnosed) -> dict[str, Any] | None:
    if item.outbound is not None:
        return None
    if item.window is None:
        return {"address": None, "port": item.port, "family": None}
    address = item.window.last.listener.address
    return {"address": address.address, "port": address.port, "family": address.family}


def _signals(item: Diagnosed) -> Mapping[str, float | int | findings.Never | None]:
    found = item.finding.signals
    return {name.value: findings.shown(found.get(name, _NOT_MEASURED)) for name in _names(item)}


def _cause(cause: findings.Cause) -> dict[str, Any]:
    return {
        "kind": cause.kind.value,
        "peer": cause.peer,
        "frame": cause.frame,
        "stuck": cause.stuck,
        "of": cause.of,
        "source": cause.source,
        "confidence": cause.confidence.value,
    }
