"""How an act ended, as facts: outcomes of steps, what a crash left behind, and leases given back. Pure.

The same rule for a live outcome and for one that is reconciled after a crash. Called by loop. In each, `planned` is
the action.planned of the step: it has the fields that all facts of one act share.
"""

import dataclasses
from collections.abc import Mapping

from lastack.engine import actions, facts, instants, outcomes, reasons, standings
from lastack.policy import vocabulary

Kind = facts.FactKind


def absorb(
    planned: facts.Fact, step: actions.Step, outcome: outcomes.Outcome, now: instants.Now
) -> tuple[facts.Fact, ...]:
    """What to write about the outcome of a step: its end, and what it leaves behind."""
    return (_end(planned, outcome, now), *_left_behind(planned, step, outcome, now))


def interrupted(
    planned: facts.Fact,
    step: actions.Step,
    found: outcomes.Happened | outcomes.NotHappened | outcomes.Unknowable,
    now: instants.Now,
) -> tuple[facts.Fact, ...]:
    """What to write about a step whose outcome lastack did not live to see, from what the world says now."""
    happened = _HAPPENED[type(found)]
    life = found.incarnation if isinstance(found, outcomes.Happened) else None
    text = f"lastack ended during this act; {found.text}"
    end = _of(planned, now, Kind.ACTION_INTERRUPTED, text, {"happened": happened, "life": life})
    match step.work:
        case actions.DumpSeries():
            return (end, _missed(planned, now, "the dumps were interrupted by the end of lastack itself"))
        case actions.SysctlWrite() if happened == "yes":
            return (end, _leased(planned, step.work, step.work.value, now))
        case _:
            return (end,)


def given_back(
    lease: standings.Lease, ended: outcomes.Succeeded | outcomes.Refused, now: instants.Now
) -> facts.Fact:
    """What to write about a lease that was given back, or that somebody else has taken over."""
    restored = isinstance(ended, outcomes.Succeeded)
    return facts.Fact(
        kind=Kind.SYSCTL_RESTORED if restored else Kind.SYSCTL_YIELDED,
        at=now,
        text=ended.text,
        incident=lease.incident,
        policy=lease.policy,
        target=lease.policy,
        action=vocabulary.ActionKind.SYSCTL,
        action_id=lease.step,
        reason=ended.reason if isinstance(ended, outcomes.Refused) else None,
        data={
            "name": lease.name,
            "namespace": lease.namespace,
            "bootId": lease.boot_id,
            "original": lease.original,
            "desired": lease.desired,
        },
    )


def still_owed(
    lease: standings.Lease, ended: outcomes.Failed | outcomes.Refused, now: instants.Now
) -> facts.Fact:
    """What to write about a lease that could not be given back: somebody has to make it possible."""
    return facts.Fact(
        kind=Kind.NOTIFICATION_RAISED,
        at=now,
        text=f"{lease.name} is {lease.observed} and could not be given back, which stays owed: {ended.text}",
        incident=lease.incident,
        policy=lease.policy,
        target=lease.policy,
        action=vocabulary.ActionKind.SYSCTL,
        action_id=lease.step,
        reason=ended.reason if isinstance(ended, outcomes.Refused) else None,
        data={"name": lease.name, "namespace": lease.namespace, "why": ended.text},
    )


_HAPPENED: Mapping[type, str] = {
    outcomes.Happened: "yes",
    outcomes.NotHappened: "no",
    outcomes.Unknowable: "unknown",
}


def _was_written(outcome: outcomes.Succeeded | outcomes.Failed) -> bool:
    return isinstance(outcome, outcomes.Succeeded) or outcome.happened


def _end(planned: facts.Fact, outcome: outcomes.Outcome, now: instants.Now) -> facts.Fact:
    match outcome:
        case outcomes.Succeeded():
            data = {**outcome.facts, "life": outcome.incarnation}
            return _of(planned, now, Kind.ACTION_SUCCEEDED, outcome.text, data)
        case outcomes.Failed():
            happened = "yes" if outcome.happened else "no"
            data = {**outcome.facts, "happened": happened, "life": outcome.incarnation}
            return _of(planned, now, Kind.ACTION_FAILED, outcome.text, data)
        case outcomes.Refused():
            return _of(planned, now, Kind.ACTION_FAILED, outcome.text, {"happened": "no"}, outcome.reason)


def _left_behind(
    planned: facts.Fact, step: actions.Step, outcome: outcomes.Outcome, now: instants.Now
) -> tuple[facts.Fact, ...]:
    match step.work:
        case actions.DumpSeries():
            return (_evidence(planned, outcome, now),)
        case actions.SysctlWrite() if not isinstance(outcome, outcomes.Refused) and _was_written(outcome):
            # Also a write that failed half-way is owed: to give it back is by compare and swap, and harms nothing.
            observed = str(outcome.facts.get("observed", step.work.value))
            return (_leased(planned, step.work, observed, now),)
        case _:
            return ()


def _evidence(planned: facts.Fact, outcome: outcomes.Outcome, now: instants.Now) -> facts.Fact:
    if not isinstance(outcome, outcomes.Succeeded | outcomes.Failed) or not outcome.evidence:
        return _missed(planned, now, outcome.text)
    files: tuple[outcomes.Json, ...] = tuple(
        {"path": f.path, "bytes": f.bytes, "sha256": f.sha256, "what": f.what} for f in outcome.evidence
    )
    return _of(planned, now, Kind.EVIDENCE_STORED, outcome.text, {**outcome.facts, "files": files})


def _missed(planned: facts.Fact, now: instants.Now, why: str) -> facts.Fact:
    waited = f"{now.since(planned.at).total_seconds():.1f}s"
    text = f"no evidence of {planned.member}: {why}"
    return _of(planned, now, Kind.EVIDENCE_MISSED, text, {"why": why, "waited": waited})


def _leased(planned: facts.Fact, work: actions.SysctlWrite, observed: str, now: instants.Now) -> facts.Fact:
    until = None if work.restore_after is None else instants.rfc3339(now.wall + work.restore_after)
    text = f"{work.name} is {observed} until it is given back ({work.original} before)"
    data: dict[str, outcomes.Json] = {
        "name": work.name,
        "namespace": work.namespace,
        "bootId": now.boot_id,
        "original": work.original,
        "desired": work.value,
        "observed": observed,
        "pid": work.pid,
        "scope": work.scope,
        "until": until,
    }
    return _of(planned, now, Kind.SYSCTL_LEASED, text, data)


def _of(  # noqa: PLR0917 - the fields of a fact, in their order
    planned: facts.Fact,
    now: instants.Now,
    kind: facts.FactKind,
    text: str,
    data: Mapping[str, outcomes.Json],
    reason: reasons.Reason | None = None,
) -> facts.Fact:
    return dataclasses.replace(planned, kind=kind, at=now, text=text, reason=reason, data=data)
