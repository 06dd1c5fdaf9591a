"""How an act ended, as facts: outcomes of steps, what a crash left behind, and leases given back.

The same rule for a live outcome and for one that is reconciled after a crash. Called by loop. Pure.
"""

from collections.abc import Mapping

from lastack.engine import actions, facts, incidents, instants, outcomes, standings
from lastack.policy import valid, vocabulary


def absorb(
    incident: incidents.Incident, step: actions.Step, outcome: outcomes.Outcome, now: instants.Now
) -> tuple[facts.Fact, ...]:
    """What to write about the outcome of a planned step: its end, and what it leaves behind."""
    match outcome:
        case outcomes.Succeeded():
            data = {**outcome.facts, "life": outcome.incarnation}
            end = _fact(incident, step, now, facts.FactKind.ACTION_SUCCEEDED, outcome.text, data=data)
            return (end, *_left_behind(incident, step, outcome, now))
        case outcomes.Failed():
            data = {**outcome.facts, "happened": _yes(outcome.happened), "life": outcome.incarnation}
            end = _fact(incident, step, now, facts.FactKind.ACTION_FAILED, outcome.text, data=data)
            return (end, *_left_behind(incident, step, outcome, now))
        case outcomes.Refused():
            data = {"happened": "no"}
            end = _fact(
                incident, step, now, facts.FactKind.ACTION_FAILED, outcome.text, data=data, refused=outcome
            )
            return (end, *_left_behind(incident, step, outcome, now))
        case outcomes.Simulated():
            return (
                _fact(
                    incident, step, now, facts.FactKind.ACTION_FAILED, outcome.text, data={"happened": "no"}
                ),
            )


def interrupted(
    incident: incidents.Incident,
    step: actions.Step,
    found: outcomes.Happened | outcomes.NotHappened | outcomes.Unknowable,
    now: instants.Now,
) -> tuple[facts.Fact, ...]:
    """What to write about a step whose outcome lastack did not live to see, from what the world says now."""
    happened = _HAPPENED[type(found)]
    life = found.incarnation if isinstance(found, outcomes.Happened) else None
    text = f"lastack ended during this act; {found.text}"
    data: dict[str, outcomes.Json] = {"happened": happened, "life": life}
    end = _fact(incident, step, now, facts.FactKind.ACTION_INTERRUPTED, text, data=data)
    match step.work:
        case actions.DumpSeries():
            missed = "the dumps were interrupted by the end of lastack itself"
            return (end, _missed(incident, step, now, missed))
        case actions.SysctlWrite() if happened == "yes":
            return (end, _leased(incident, step, step.work, step.work.value, now))
        case _:
            return (end,)


def given_back(
    lease: standings.Lease,
    ended: outcomes.Succeeded | outcomes.Failed | outcomes.Refused,
    now: instants.Now,
    actor: str,
) -> facts.Fact:
    """What to write about a lease that was given back, or that somebody else has taken over."""
    restored = isinstance(ended, outcomes.Succeeded)
    data: Mapping[str, outcomes.Json] = {
        "name": lease.name,
        "namespace": lease.namespace,
        "bootId": lease.boot_id,
        "original": lease.original,
        "desired": lease.desired,
    }
    return facts.Fact(
        kind=facts.FactKind.SYSCTL_RESTORED if restored else facts.FactKind.SYSCTL_YIELDED,
        at=now,
        text=ended.text,
        incident=lease.incident,
        policy=lease.policy,
        target=lease.policy,
        action=vocabulary.ActionKind.SYSCTL,
        action_id=lease.step,
        reason=ended.reason if isinstance(ended, outcomes.Refused) else None,
        data=data,
        actor=actor,
    )


def _left_behind(
    incident: incidents.Incident, step: actions.Step, outcome: outcomes.Outcome, now: instants.Now
) -> tuple[facts.Fact, ...]:
    match step.work:
        case actions.DumpSeries():
            return (_evidence(incident, step, outcome, now),)
        case actions.SysctlWrite() if isinstance(outcome, outcomes.Succeeded):
            observed = str(outcome.facts.get("observed", step.work.value))
            return (_leased(incident, step, step.work, observed, now),)
        case _:
            return ()


def _evidence(
    incident: incidents.Incident, step: actions.Step, outcome: outcomes.Outcome, now: instants.Now
) -> facts.Fact:
    files = outcome.evidence if isinstance(outcome, outcomes.Succeeded | outcomes.Failed) else ()
    if not files:
        return _missed(incident, step, now, outcome.text)
    rows: tuple[outcomes.Json, ...] = tuple(
        {"path": f.path, "bytes": f.bytes, "sha256": f.sha256, "what": f.what} for f in files
    )
    notes = outcome.facts if isinstance(outcome, outcomes.Succeeded | outcomes.Failed) else {}
    return _fact(
        incident, step, now, facts.FactKind.EVIDENCE_STORED, outcome.text, data={**notes, "files": rows}
    )


def _missed(incident: incidents.Incident, step: actions.Step, now: instants.Now, why: str) -> facts.Fact:
    record = incident.step(step.id)
    waited = now.since(record.planned) if record else None
    seconds = "unknown" if waited is None else f"{waited.total_seconds():.1f}s"
    text = f"no evidence of {step.member}: {why}"
    return _fact(
        incident, step, now, facts.FactKind.EVIDENCE_MISSED, text, data={"why": why, "waited": seconds}
    )


def _leased(
    incident: incidents.Incident,
    step: actions.Step,
    work: actions.SysctlWrite,
    observed: str,
    now: instants.Now,
) -> facts.Fact:
    data: dict[str, outcomes.Json] = {
        "name": work.name,
        "namespace": work.namespace,
        "bootId": now.boot_id,
        "original": work.original,
        "desired": work.value,
        "observed": observed,
        "pid": work.pid,
        "scope": work.scope,
    }
    text = f"{work.name} is {observed} until it is given back ({work.original} before)"
    return _fact(incident, step, now, facts.FactKind.SYSCTL_LEASED, text, data=data)


def _fact(
    incident: incidents.Incident,
    step: actions.Step,
    now: instants.Now,
    kind: facts.FactKind,
    text: str,
    *,
    data: Mapping[str, outcomes.Json],
    refused: outcomes.Refused | None = None,
) -> facts.Fact:
    return facts.Fact(
        kind=kind,
        at=now,
        text=text,
        incident=incident.id,
        policy=incident.policy,
        policy_hash=incident.policy_hash,
        mode=step.mode,
        target=step.target_name,
        member=step.member,
        stage=valid.StageName(step.stage),
        action=step.kind,
        action_id=step.id,
        reason=refused.reason if refused else None,
        data=data,
    )


_HAPPENED: dict[type, str] = {
    outcomes.Happened: "yes",
    outcomes.NotHappened: "no",
    outcomes.Unknowable: "unknown",
}


def _yes(happened: bool) -> str:  # noqa: FBT001 - the one argument is the whole question
    return "yes" if happened else "no"
