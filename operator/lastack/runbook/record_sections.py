"""The sections of a runbook record, each from the entries of one incident. Called by render."""

import datetime as dt
from collections.abc import Mapping, Sequence

from lastack import quantities
from lastack.engine import facts, incidents, instants, outcomes
from lastack.policy import vocabulary
from lastack.runbook import entries, handovers, markdown

Entries = Sequence[entries.Entry]
Kind = facts.FactKind

_LABELS: Mapping[facts.FactKind, str] = {
    Kind.INCIDENT_OPENED: "suspected",
    Kind.INCIDENT_FIRED: "firing",
    Kind.INCIDENT_ESCALATED: "next stage",
    Kind.INCIDENT_SETTLED: "settling",
    Kind.INCIDENT_RESOLVED: "closed",
    Kind.INCIDENT_EXHAUSTED: "handed over",
    Kind.INCIDENT_ABANDONED: "abandoned",
    Kind.MEMBER_SICKENED: "sick",
    Kind.MEMBER_JOINED: "joined",
    Kind.MEMBER_RESTARTED: "restarted by others",
    Kind.MEMBER_VERIFIED: "verified",
    Kind.EVIDENCE_STORED: "evidence",
    Kind.EVIDENCE_MISSED: "no evidence",
    Kind.NOTIFICATION_RAISED: "notification",
    Kind.ACTION_PLANNED: "begins",
    Kind.ACTION_SIMULATED: "simulated",
    Kind.ACTION_REFUSED: "refused",
    Kind.ACTION_SUCCEEDED: "done",
    Kind.ACTION_FAILED: "failed",
    Kind.ACTION_INTERRUPTED: "interrupted",
    Kind.SYSCTL_LEASED: "leased",
    Kind.SYSCTL_RESTORED: "given back",
    Kind.SYSCTL_YIELDED: "left to its new owner",
}
_ENDS = (Kind.ACTION_SUCCEEDED, Kind.ACTION_FAILED, Kind.ACTION_INTERRUPTED)


def timeline(news: Entries) -> list[str]:
    """What happened: every entry of the incident, with its time and how long after the first."""
    opened = news[0].fact.at
    several = len({entry.fact.at.wall.date() for entry in news}) > 1
    rows = [
        [str(e.seq), clock(e.fact.at.wall, day=several), after(e.fact.at.since(opened)), _said(e.fact)]
        for e in news
    ]
    return ["## What happened", "", *markdown.table(["Entry", "UTC", "After", "What"], rows)]


def _said(fact: facts.Fact) -> str:
    label = f"**{_LABELS.get(fact.kind, fact.kind)}**{' (would have)' if fact.counterfactual else ''}"
    if fact.kind is Kind.EVIDENCE_STORED:
        # What the files say was said when the act that took them ended.
        count = len(_maps(fact.data.get("files")))
        return f"{label} {count} files of {markdown.text(fact.member or fact.target or '')} are stored"
    who = f"{markdown.text(fact.member)}: " if fact.member and fact.member not in fact.text else ""
    return f"{label} {who}{markdown.text(fact.text)}"


def signals(news: Entries) -> list[str]:
    """The numbers against what they were held: of each sick member, or of the suspicion when none was sick for long."""
    found = [entry.fact for entry in news if entry.fact.kind is Kind.MEMBER_SICKENED]
    found = found or [entry.fact for entry in news if entry.fact.kind is Kind.INCIDENT_OPENED]
    rows = [
        [
            markdown.code(fact.member or ", ".join(_texts(fact.data.get("members")))),
            markdown.code(str(row.get("signal"))),
            _figure(row, "value"),
            _figure(row, "limit"),
            markdown.text(str(row.get("text", ""))),
        ]
        for fact in found
        for row in _maps(fact.data.get("evidence"))
    ]
    if not rows:
        return []
    headers = ["Member", "Signal", "Seen", "Held against", "That is"]
    return ["## Signals against thresholds", "", *markdown.table(headers, rows)]


def stacks(news: Entries) -> list[str]:
    """Where the threads stood, from the dumps."""
    lines: list[str] = []
    for fact in (entry.fact for entry in news if entry.fact.kind is Kind.EVIDENCE_STORED):
        top = fact.data.get("top")
        if isinstance(top, str) and top.strip():
            lines += [
                "",
                f"{markdown.code(fact.member or '')}: {markdown.text(fact.text)}",
                "",
                *markdown.fence(top.strip("\n")),
            ]
    return ["## Where it was stuck", *lines] if lines else []


def done(news: Entries) -> list[str]:
    """Every act: meant for whom, how it ended, how long it took."""
    ends = {entry.fact.action_id: entry.fact for entry in news if entry.fact.kind in _ENDS}
    rows = []
    for fact in (
        entry.fact for entry in news if entry.fact.kind in (Kind.ACTION_PLANNED, Kind.ACTION_SIMULATED)
    ):
        end = ends.get(fact.action_id)
        took = after(end.at.since(fact.at)).removeprefix("+") if end else ""
        if fact.kind is Kind.ACTION_SIMULATED:
            result = "simulated: nothing was touched"
        elif end is None:
            result = "still running"
        else:
            result = f"**{_LABELS[end.kind]}**: {markdown.text(end.text)}"
        what = f"{markdown.code(str(fact.action))} {markdown.text(fact.text)}"
        rows.append([clock(fact.at.wall), markdown.text(fact.stage or ""), what, took, result])
    if not rows:
        return ["## What was done", "", "Nothing: no process and no setting was touched."]
    headers = ["UTC", "Stage", "Act", "Took", "How it ended"]
    return ["## What was done", "", *markdown.table(headers, rows)]


def refused(news: Entries) -> list[str]:
    """Every refusal, with its reason code and its sentence."""
    rows = [
        [
            clock(fact.at.wall),
            markdown.text(fact.stage or ""),
            markdown.code(fact.member) if fact.member else "",
            markdown.code(str(fact.reason)) if fact.reason else "",
            markdown.text(fact.text),
        ]
        for fact in (entry.fact for entry in news if entry.fact.kind is Kind.ACTION_REFUSED)
    ]
    if not rows:
        return ["## What was refused", "", "Nothing was held back."]
    return [
        "## What was refused, and why",
        "",
        *markdown.table(["UTC", "Stage", "Member", "Reason", "Because"], rows),
    ]


def evidence(news: Entries) -> list[str]:
    """The files, their sums, and what could not be had."""
    rows = [
        [
            markdown.code(str(row.get("path"))),
            markdown.text(str(row.get("what", ""))),
            str(row.get("bytes", "")),
            markdown.code(str(row.get("sha256", ""))),
        ]
        for entry in news
        if entry.fact.kind is Kind.EVIDENCE_STORED
        for row in _maps(entry.fact.data.get("files"))
    ]
    missed = [
        f"- {markdown.text(entry.fact.text)} (waited {markdown.text(str(entry.fact.data.get('waited', 'unknown')))})"
        for entry in news
        if entry.fact.kind is Kind.EVIDENCE_MISSED
    ]
    lines = ["## Evidence", ""]
    if rows:
        lines += [
            "Below the state directory, for its owner only. The sum is of the content: `zcat FILE | sha256sum`.",
            "",
            *markdown.table(["File", "What", "Bytes", "SHA-256"], rows),
        ]
    if missed:
        lines += ["", *missed] if rows else missed
    return lines if rows or missed else [*lines, "None was kept."]


def undo(news: Entries) -> list[str]:
    """What is still changed, and the command that gives it back."""
    leased: dict[tuple[str, str], facts.Fact] = {}
    for fact in (entry.fact for entry in news):
        key = (str(fact.data.get("namespace")), str(fact.data.get("name")))
        if fact.kind is Kind.SYSCTL_LEASED:
            leased[key] = fact
        elif fact.kind in (Kind.SYSCTL_RESTORED, Kind.SYSCTL_YIELDED):
            leased.pop(key, None)
    lines = ["## How to undo it", ""]
    if not leased:
        return [
            *lines,
            "Nothing is left to undo: no setting is changed any more. A restart cannot be undone.",
        ]
    for (namespace, name), fact in leased.items():
        values = f"{fact.data.get('original')} before, {fact.data.get('observed')} now"
        lines.append(
            f"- {markdown.code(name)} in network namespace {markdown.text(namespace)} ({markdown.text(values)}):"
        )
        lines += ["", *(f"  {line}" for line in markdown.fence(f"lastack sysctl restore {name}", "sh")), ""]
    return [
        *lines,
        "lastack gives it back by itself when the policy says so; until then it is a lease, not a setting.",
    ]


def left(news: Entries, incident: incidents.Incident) -> list[str]:
    """What only a human can do, with the page of the diagnosis."""
    frames = dict.fromkeys(
        markdown.code(frame)
        for entry in news
        if isinstance(frame := entry.fact.data.get("frame"), str) and entry.fact.kind is Kind.EVIDENCE_STORED
    )
    tasks = handovers.tasks(incident.diagnosis, incident.cause, incident.outcome, tuple(frames))
    lines = [f"- {task}" for task in tasks]
    lines.append(f"- More on this disease: [{incident.diagnosis}](../runbooks/{incident.diagnosis}.md)")
    if incident.cause not in {None, vocabulary.CauseKind.UNKNOWN}:
        lines.append(f"- More on its cause: [{incident.cause}](../runbooks/{incident.cause}.md)")
    return ["## What is left for a human", "", *lines]


def check(news: Entries, incident: incidents.Incident) -> list[str]:
    """How to see that this record says what the ledger says."""
    said = (
        f"It is rendered from entries {news[0].seq} to {news[-1].seq} of the ledger, and from nothing else."
    )
    last = f"The last of them has the hash {markdown.code(news[-1].hash)}."
    commands = markdown.fence(f"lastack ledger verify\nlastack incidents show {incident.id}", "sh")
    return ["## How to check this record", "", f"{said} {last}", "", *commands]


def clock(wall: dt.datetime, *, day: bool = False) -> str:
    """A time of day as people read it, with its date where there are several."""
    return f"{wall.astimezone(instants.UTC):{'%Y-%m-%d ' if day else ''}%H:%M:%S}"


def after(span: dt.timedelta) -> str:
    """How long after: tenths while it is short, whole seconds later."""
    seconds = span.total_seconds()
    if seconds < 60:
        return f"+{seconds:.1f}s"
    return f"+{quantities.short(dt.timedelta(seconds=round(seconds)))}"


def _figure(row: Mapping[str, outcomes.Json], field: str) -> str:
    value = row.get(field)
    return "" if value is None else markdown.text(str(value))


def _maps(value: outcomes.Json) -> list[Mapping[str, outcomes.Json]]:
    items = value if isinstance(value, tuple) else ()
    return [item for item in items if isinstance(item, Mapping)]


def _texts(value: outcomes.Json) -> list[str]:
    items = value if isinstance(value, tuple) else ()
    return [item for item in items if isinstance(item, str)]
