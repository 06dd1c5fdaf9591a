"""The decision: from an incident and the circumstances to what is written, begun and asked next. Pure.

One function, `decide`, called by loop once per target and tick. It reads as the ladder does: one handler per phase,
each a series of early returns. Nothing here acts; nothing is begun that is not written first.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable

from lastack import errors, quantities
from lastack.engine import (
    actions,
    drafts,
    endings,
    facts,
    findings,
    gathering,
    incidents,
    instants,
    judgements,
    ladder,
    outcomes,
    rollouts,
    rungs,
    tunings,
    unhooks,
)
from lastack.policy import valid, vocabulary

Circumstances = drafts.Circumstances
Decision = drafts.Decision


def decide(incident: incidents.Incident | None, at: Circumstances) -> Decision:
    """What to do about one target now. An incident of None, or a closed one, may begin a new one."""
    if incident is None or incident.closed_at is not None:
        return _begin(at)
    draft = drafts.Draft(incident, at)
    _notice_restarts(draft)
    _notice_sick(draft)
    gathering.gather(draft)
    _HANDLERS[draft.incident.phase](draft)
    return draft.decision()


def unfit(incident: incidents.Incident, before: valid.Policy | None, after: valid.Policy) -> str | None:
    """Why an incident cannot go on under a policy that was changed; None when only times and limits were.

    `before` is None when the policy was changed while lastack was away: what was changed cannot be told then.
    """
    if before is None:
        return (
            None if incident.policy_hash == after.digest else "its policy was changed while lastack was away"
        )
    if after.target != before.target:
        return "its policy has another target now"
    if _shape(after) != _shape(before):
        return "the stages of its policy, or their modes, were changed"
    return None


def _shape(policy: valid.Policy) -> tuple[tuple[str, str, str], ...]:
    return tuple((stage.name, actions.kind_of(stage.action), stage.mode) for stage in policy.stages)


def abandon(incident: incidents.Incident, now: instants.Now, why: str) -> tuple[facts.Fact, ...]:
    """End an incident whose policy is gone or was changed under it: no new act begins, and the record says so."""
    return (
        facts.Fact(
            kind=facts.FactKind.INCIDENT_ABANDONED,
            at=now,
            text=f"abandoned: {why}",
            incident=incident.id,
            policy=incident.policy,
            policy_hash=incident.policy_hash,
            mode=incident.mode,
            target=incident.target,
            data={"why": why},
        ),
    )


def _begin(at: Circumstances) -> Decision:
    raised = [judged for judged in at.living() if judged.pending]
    if not raised:
        return Decision()
    worst = min((j.worst for j in raised if j.worst is not None), key=_rank, default=None)
    if worst is None:
        return Decision()
    lives: dict[str, outcomes.Json] = {m.name: m.incarnation for m in at.census.members if m.incarnation}
    names: tuple[str, ...] = tuple(sorted(judged.member for judged in raised))
    data = {**drafts.finding_data(worst), "lives": lives, "members": names}
    fact = facts.Fact(
        kind=facts.FactKind.INCIDENT_OPENED,
        at=at.now,
        text=f"{', '.join(sorted(j.member for j in raised))}: {_why_raised(raised, worst)}",
        incident=incidents.incident_id(at.policy.name, at.policy.target_name, at.now, at.seq),
        policy=at.policy.name,
        policy_hash=at.policy.digest,
        mode=at.policy.mode,
        target=at.policy.target_name,
        data=data,
    )
    opened = incidents.evolve(None, fact)
    if opened is None:  # pragma: no cover - an opened fact always opens
        return Decision()
    later = decide(opened, at)
    return dataclasses.replace(later, news=(fact, *later.news))


def _why_raised(raised: list[judgements.Judgement], worst: findings.Finding) -> str:
    """What the member with the worst finding shows, or the signal that fired although its finding is well."""
    judged = next(judged for judged in raised if judged.worst is worst)
    return next(verdict.text for verdict in judged.verdicts if verdict.raised)


def _rank(finding: findings.Finding) -> tuple[int, int]:
    order = list(vocabulary.Severity)
    return -order.index(finding.severity), list(vocabulary.DiagnosisCode).index(finding.code)


def _notice_restarts(draft: drafts.Draft) -> None:
    """A member in another life that we did not begin: somebody restarted it. It counts, and is never our healing."""
    if draft.at.census.missing is not None:
        return  # the lives of before: what lastack replaced since would seem to have gone back to its old one
    ours = {s.member for s in draft.incident.running() if s.kind is vocabulary.ActionKind.ROLLING_RESTART}
    for member in draft.at.census.members:
        known = draft.incident.lives.get(member.name)
        if member.name in ours or member.incarnation is None or known == member.incarnation:
            continue
        if known is None:
            data = {"life": member.incarnation}
            draft.say(facts.FactKind.MEMBER_JOINED, f"{member.name} joined", member=member.name, data=data)
            continue
        text = f"{member.name} was started anew, not by lastack"
        data = {"life": member.incarnation, "before": known}
        draft.say(facts.FactKind.MEMBER_RESTARTED, text, member=member.name, data=data)


def _notice_sick(draft: drafts.Draft) -> None:
    for judged in draft.at.living():
        worst = judged.worst
        if not judged.firing or worst is None or judged.member in draft.incident.sick:
            continue
        data = {**drafts.finding_data(worst), "life": judged.incarnation or ""}
        draft.say(
            facts.FactKind.MEMBER_SICKENED,
            f"{judged.member}: {worst.summary}",
            member=judged.member,
            data=data,
        )


def _suspected(draft: drafts.Draft) -> None:
    if any(judged.firing for judged in draft.at.living()):
        names = ", ".join(draft.incident.sick)
        draft.say(facts.FactKind.INCIDENT_FIRED, f"{names}: the symptom lasted for sustainedFor")
        _remediating(draft)
        return
    if not endings.end_if_down(draft):
        text = "the symptom went by itself before anything was done"
        endings.resolve_if_quiet(draft, incidents.OutcomeCode.RECOVERED_UNAIDED, text)


def _remediating(draft: drafts.Draft) -> None:
    """Climb until a rung works, is held, or the ladder ends. Each pass of the loop leaves one rung for good."""
    if not draft.incident.acted and not draft.incident.running():
        text = "the symptom went by itself; nothing that was done can have helped"
        if endings.resolve_if_quiet(draft, incidents.OutcomeCode.RECOVERED_UNAIDED, text):
            return
    if endings.end_if_down(draft):
        return
    while draft.incident.phase is ladder.Phase.REMEDIATING:
        if draft.incident.stage >= len(draft.rungs):
            endings.exhaust(draft, "no further stage is left")
            return
        stage = draft.rungs[draft.incident.stage]
        rung = _climb(draft, stage)
        if rung.standing is rungs.Standing.WORKING:
            return
        if rung.standing is rungs.Standing.SKIPPED and not _somebody_sick(draft):
            text = "the symptom went while the next act was held; whether what was done has helped cannot be told"
            endings.resolve_if_quiet(draft, incidents.OutcomeCode.INCONCLUSIVE, text)
            return
        if rung.standing is rungs.Standing.DONE and _acted_since_settled(draft, stage):
            text = f"{rung.text}; settling for {quantities.short(stage.settle)}"
            draft.say(facts.FactKind.INCIDENT_SETTLED, text, stage=stage, data={"settling": True})
            return
        _escalate(draft, stage, rung)


def _climb(draft: drafts.Draft, stage: valid.Stage) -> rungs.Rung:
    """Take the next step of this stage, if there is one to take."""
    match stage.action:
        case valid.ThreadDump():
            raise errors.InvariantBroken(
                f"stage {stage.name} takes evidence"
            )  # pragma: no cover - not a rung
        case valid.SysctlTuning():
            return tunings.tune(draft, stage, stage.action)
        case valid.SocketDestroy():
            return unhooks.unhook(draft, stage, stage.action)
        case valid.RollingRestart():
            return rollouts.replace(draft, stage, stage.action)


def _acted_since_settled(draft: drafts.Draft, stage: valid.Stage) -> bool:
    """Whether acts of this stage have not had their time to settle: its first ones, or more since a relapse."""
    return draft.incident.settled < draft.incident.stage or any(
        step.stage == stage.name and step.planned.since(draft.incident.phase_since) >= dt.timedelta(0)
        for step in draft.incident.steps
    )


def _somebody_sick(draft: drafts.Draft) -> bool:
    return bool(rungs.sick_now(draft))


def _escalate(draft: drafts.Draft, stage: valid.Stage, rung: rungs.Rung) -> None:
    following = draft.incident.stage + 1
    if following >= len(draft.rungs):
        endings.exhaust(draft, rung.text)
        return
    after = draft.rungs[following]
    draft.say(
        facts.FactKind.INCIDENT_ESCALATED,
        f"{rung.text}: from stage {stage.name} to {after.name}",
        stage=stage,
        data={"from": draft.incident.stage, "to": following, "next": after.name},
    )


def _settling(draft: drafts.Draft) -> None:
    stage = draft.rungs[draft.incident.stage]
    if draft.at.now.since(draft.incident.phase_since) < stage.settle:
        return
    if any(judged.firing for judged in draft.at.living()):
        draft.say(
            facts.FactKind.INCIDENT_FIRED,
            f"after {quantities.short(stage.settle)} the symptom is still there",
        )
        _remediating(draft)
        return
    if endings.quiet_for(draft) is not None:
        text = f"the symptom is gone {quantities.short(stage.settle)} after acting; watching whether it stays away"
        draft.say(facts.FactKind.INCIDENT_SETTLED, text, stage=stage, data={"settling": False})
        return
    endings.end_if_down(draft)


def _recovering(draft: drafts.Draft) -> None:
    if any(judged.firing for judged in draft.at.living()):
        draft.say(facts.FactKind.INCIDENT_FIRED, "the symptom came back while it was being watched")
        _remediating(draft)
        return
    if endings.end_if_down(draft):
        return
    answered = [rungs.answers(draft, name, draft.incident.phase_since) for name in draft.incident.treated]
    if not draft.incident.acted:
        text = "the symptom went by itself; nothing was done"
        endings.resolve_if_quiet(draft, incidents.OutcomeCode.RECOVERED_UNAIDED, text)
        return
    if not all(answered):
        waited = draft.at.now.since(draft.incident.phase_since)
        if waited >= 2 * endings.clear_for(draft.at.policy):
            text = "the symptom is gone, but the probe does not pass: a human should look"
            endings.resolve_if_quiet(draft, incidents.OutcomeCode.INEFFECTIVE, text)
        return
    traffic = draft.at.policy.probe is not None or any(judged.traffic for judged in draft.at.living())
    if traffic:
        text = "queue, progress and open files are well" + endings.probed(draft)
        endings.resolve_if_quiet(draft, incidents.OutcomeCode.VERIFIED, text)
        return
    text = "the symptom is gone; without a probe or traffic nobody can say that the service serves"
    endings.resolve_if_quiet(draft, incidents.OutcomeCode.INCONCLUSIVE, text)


def _exhausted(draft: drafts.Draft) -> None:
    if draft.incident.acted:
        outcome, text = incidents.OutcomeCode.EXHAUSTED, "the symptom went after the ladder had ended"
    else:
        outcome, text = (
            incidents.OutcomeCode.RECOVERED_UNAIDED,
            "the symptom went by itself; lastack did nothing",
        )
    endings.resolve_if_quiet(draft, outcome, text)


def _quiet(_draft: drafts.Draft) -> None:
    """A closed incident: nothing to do."""


_HANDLERS: dict[ladder.Phase, Callable[[drafts.Draft], None]] = {
    ladder.Phase.QUIET: _quiet,
    ladder.Phase.SUSPECTED: _suspected,
    ladder.Phase.REMEDIATING: _remediating,
    ladder.Phase.SETTLING: _settling,
    ladder.Phase.RECOVERING: _recovering,
    ladder.Phase.EXHAUSTED: _exhausted,
}
