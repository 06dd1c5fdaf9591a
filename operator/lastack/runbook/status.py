"""What lastack sees and why it does or does not act, as one JSON document. Pure.

Called by controls for `lastack status` of a running process, and by cli where none runs.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from lastack import quantities
from lastack.engine import (
    actions,
    censuses,
    findings,
    incidents,
    instants,
    judgements,
    outcomes,
    verdicts,
)
from lastack.policy import valid
from lastack.runbook import folds

Json = outcomes.Json
Seen = tuple[valid.Policy, censuses.Census, Mapping[actions.MemberName, judgements.Judgement]]


def document(
    now: instants.Now,
    folded: folds.Folded,
    seen: Sequence[Seen],
    running: Mapping[actions.StepId, str],
    disk_full: str | None = None,
) -> dict[str, Json]:
    """The status: what holds everything, then each target with its members and what holds it."""
    standing = folded.standing(None, now)
    pause = standing.pause
    return {
        "apiVersion": "lastack.dev/v1alpha1",
        "kind": "Status",
        "observedAt": instants.rfc3339(now.wall),
        "since": instants.rfc3339(standing.started.wall),
        "lastSeq": folded.head.seq,
        "diskFull": disk_full,
        "paused": None
        if pause is None
        else {
            "reason": pause.reason,
            "actor": pause.actor,
            "until": instants.rfc3339(pause.until) if pause.until else None,
        },
        "leases": tuple(
            {
                "name": lease.name,
                "original": lease.original,
                "value": lease.observed,
                "until": instants.rfc3339(lease.until) if lease.until else None,
            }
            for lease in standing.leases
        ),
        "targets": tuple(
            _target(now, folded, policy, census, judged, running) for policy, census, judged in seen
        ),
    }


def _target(  # noqa: PLR0917 - one row of one table
    now: instants.Now,
    folded: folds.Folded,
    policy: valid.Policy,
    census: censuses.Census,
    judged: Mapping[actions.MemberName, judgements.Judgement],
    running: Mapping[actions.StepId, str],
) -> dict[str, Json]:
    found = (told.incident for told in folded.told.values())
    incident = next((i for i in found if i.target == policy.target_name and i.closed_at is None), None)
    return {
        "name": policy.target_name,
        "policy": policy.name,
        "mode": policy.mode,
        "missing": census.missing.why if census.missing else None,
        "members": tuple(_member(now, member, judged.get(member.name)) for member in census.members),
        "incident": None if incident is None else _incident(now, incident),
        "notActing": _not_acting(now, policy, folded, incident, blind=census.missing is not None),
        "running": tuple(text for key, text in running.items() if incident and incident.step(key)),
    }


def _member(
    now: instants.Now, member: censuses.Member, judged: judgements.Judgement | None
) -> dict[str, Json]:
    worst = judged.worst if judged else None
    return {
        "name": member.name,
        "state": member.state,
        "ready": member.ready,
        "diagnosis": worst.code if worst else "unknown",
        "severity": worst.severity if worst else "none",
        "confidence": worst.confidence if worst else "low",
        "summary": worst.summary if worst else "nothing was seen yet",
        "triggers": () if judged is None else tuple(_trigger(now, verdict) for verdict in judged.verdicts),
        "signals": {} if worst is None else _signals(worst.signals),
    }


def _trigger(now: instants.Now, verdict: verdicts.Verdict) -> dict[str, Json]:
    since = verdict.raised_since or verdict.quiet_since
    span = None if since is None else _span(now.since(since))
    return {"name": verdict.trigger, "state": verdict.state, "for": span, "text": verdict.text}


def _signals(signals: findings.Signals) -> dict[str, Json]:
    return {str(name): _number(value) for name, value in signals.items()}


def _number(value: findings.SignalValue) -> Json:
    number = findings.shown(value)
    return f"{number:.3f}".rstrip("0").rstrip(".") if isinstance(number, float) else number


def _incident(now: instants.Now, incident: incidents.Incident) -> dict[str, Json]:
    return {
        "id": incident.id,
        "phase": incident.phase,
        "for": _span(now.since(incident.opened_at)),
        "diagnosis": incident.diagnosis,
        "stage": incident.stage,
    }


def _not_acting(
    now: instants.Now,
    policy: valid.Policy,
    folded: folds.Folded,
    incident: incidents.Incident | None,
    *,
    blind: bool,
) -> tuple[str, ...]:
    """Everything that holds acts on this target, in words: the answer to "why is it not acting?"."""
    standing = folded.standing(policy.target_name, now)
    said = []
    if policy.mode != "enforce":
        said.append(f"mode {policy.mode}: acts are simulated, never done")
    if standing.pause:
        said.append(f"paused by {standing.pause.actor}: {standing.pause.reason}")
    left = policy.limits.warm_up - now.since(standing.started)
    if left.total_seconds() > 0:
        said.append(f"warm-up: nothing disruptive for another {_span(left)}")
    budget = policy.limits.restarts
    spent = [r for r in standing.restarts if not r.shadow and r.at > now.wall - budget.per]
    if len(spent) >= budget.maximum:
        said.append(
            f"restart budget spent: {len(spent)} of {budget.maximum} in {quantities.short(budget.per)}"
        )
    if incident is None:
        said.append("the members cannot be seen" if blind else "no trigger is raised")
        return tuple(said)
    said += [f"{held.stage}: {held.text} ({held.reason})" for held in incident.refusals.values()]
    return tuple(said)


def _span(span: dt.timedelta) -> str:
    """A duration for people: whole seconds once there are some."""
    seconds = span.total_seconds()
    return quantities.short(span if seconds < 1 else dt.timedelta(seconds=round(seconds)))
