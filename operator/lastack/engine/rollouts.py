"""The rolling restart: sick members only, one at a time, each verified and warm before the next. The first is a canary.

Called by engine.decisions while REMEDIATING. Pure. The rollout stops at the first member that does not come back well.
"""

from lastack import quantities
from lastack.engine import (
    actions,
    censuses,
    commons,
    drafts,
    facts,
    gathering,
    guards,
    incidents,
    instants,
    judgements,
    reasons,
    rungs,
    thresholds,
    tunings,
)
from lastack.policy import valid, vocabulary


def replace(draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart) -> rungs.Rung:
    """Follow the replacement that goes on, or begin the next; every sick member once."""
    for record in _latest(draft, stage):
        rung = _follow(draft, stage, action, record)
        if rung is not None:
            return rung
    holding = _held_in_common(draft, stage)
    meant = rungs.applicable(draft, stage)
    candidates = [
        (member, judged)
        for member, judged in meant.members
        if member.name not in holding
        and not _was_tried(draft, stage, member)
        and not _in_vain(draft, stage, judged)
    ]
    for member, judged in candidates:
        spent = _spent(draft, stage, member, judged)
        if spent is not None:
            return rungs.Rung(rungs.Standing.FAILED, spent)
    # What holds one member need not hold the next: a young leak must not keep a stalled server waiting.
    held = list(meant.waiting)
    for member, _ in candidates:
        refusal = _begin(draft, stage, action, member)
        if refusal is None:
            return rungs.Rung(rungs.Standing.WORKING, f"{member.name} is being replaced")
        held.append(refusal.text)
    held += [f"{common.peer} is waited for by several" for common in holding.values()]
    if held:
        return rungs.Rung(rungs.Standing.WORKING, held[0])
    own = [
        record
        for record in draft.incident.steps
        if record.stage == stage.name and record.happened is not False
    ]
    simulated = [
        r for r in draft.incident.steps if r.stage == stage.name and r.state is incidents.StepState.SIMULATED
    ]
    if own:
        return rungs.Rung(rungs.Standing.DONE, "every sick member was replaced")
    if simulated:
        return rungs.Rung(rungs.Standing.DONE, "every sick member would have been replaced")
    return rungs.Rung(rungs.Standing.SKIPPED, "a restart is not for what is wrong")


def _held_in_common(draft: drafts.Draft, stage: valid.Stage) -> dict[actions.MemberName, commons.Common]:
    """The sick members that wait for a peer for which others wait, too; that is on record, whatever `when` says."""
    shared = commons.found(draft)
    holding = {
        member.name: common
        for member, judged in rungs.sick_now(draft)
        if (common := commons.holding(draft, shared, judged)) is not None
    }
    for common in dict.fromkeys(holding.values()):
        commons.hold(draft, stage, common)
    return holding


def _latest(draft: drafts.Draft, stage: valid.Stage) -> list[incidents.StepRecord]:
    by_member = {record.member: record for record in draft.incident.steps if record.stage == stage.name}
    return list(by_member.values())


def _follow(
    draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart, record: incidents.StepRecord
) -> rungs.Rung | None:
    """How the last replacement of one member stands; None when it is over and well, or was never made."""
    match record.state:
        case incidents.StepState.PLANNED:
            return rungs.Rung(rungs.Standing.WORKING, f"{record.member} is being replaced")
        case incidents.StepState.FAILED if record.reason is None:
            return rungs.Rung(
                rungs.Standing.FAILED, f"the replacement of {record.member} failed; the rollout stops"
            )
        case incidents.StepState.INTERRUPTED if record.happened is None:
            return rungs.Rung(
                rungs.Standing.FAILED,
                f"nobody can tell whether {record.member} was replaced; the rollout stops",
            )
        case incidents.StepState.SUCCEEDED | incidents.StepState.INTERRUPTED if record.happened:
            return _warm(draft, stage, action, record)
        case _:
            return None


def _warm(
    draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart, record: incidents.StepRecord
) -> rungs.Rung | None:
    """A replaced member is verified before the next one goes: quiet for `warmFor` in its new life, and answering."""
    name = record.member
    life = draft.incident.lives.get(name)
    if draft.incident.verified.get(name) == life or life is None:
        return None
    judged = draft.at.judged.get(name)
    if judged is not None and judged.incarnation == life and judged.firing:
        return rungs.Rung(rungs.Standing.FAILED, f"{name} was replaced and is sick again")
    ended = record.ended or record.planned
    lacking = _lacking(draft, action, name, life, ended)
    if lacking is not None:
        # The clock of a lastack that was away did not run: it has to have looked for so long itself.
        waited = min(draft.at.now.since(ended), draft.at.now.since(draft.at.standing.started))
        if waited < action.ready_within + action.warm_for:
            return rungs.Rung(rungs.Standing.WORKING, lacking)
        text = f"{name} was replaced and is not well after {quantities.short(waited)}: {lacking}"
        return rungs.Rung(rungs.Standing.FAILED, text)
    draft.say(
        facts.FactKind.MEMBER_VERIFIED,
        f"{name} is well in its new life: quiet for {quantities.short(action.warm_for)}{_probe_text(draft, name)}",
        member=name,
        stage=stage,
        data={"life": life},
    )
    return None


def _lacking(
    draft: drafts.Draft,
    action: valid.RollingRestart,
    name: actions.MemberName,
    life: actions.Incarnation,
    ended: instants.Now,
) -> str | None:
    """What is still waited for before the new life counts as well; None when nothing is."""
    judged = draft.at.judged.get(name)
    if judged is None or judged.incarnation != life or judged.unknown:
        return f"waiting for a first look at the new {name}"
    if name not in guards.available(draft.at.census, draft.at.judged):
        return f"waiting for {name} to serve ({judged.worst.summary if judged.worst else 'nothing is seen of it'})"
    quiet = judged.quiet_for(draft.at.now)
    if quiet is None or quiet < action.warm_for:
        return f"{name} warms up for {quantities.short(action.warm_for)}"
    if not rungs.answers(draft, name, ended):
        return f"waiting for {name} to answer the probe"
    return None


def _probe_text(draft: drafts.Draft, name: actions.MemberName) -> str:
    answer = draft.at.answers.get(name)
    return f", the probe answers: {answer.text}" if answer else ""


def _was_tried(draft: drafts.Draft, stage: valid.Stage, member: censuses.Member) -> bool:
    """Whether this very life was dealt with already (simulated, or verified and fallen sick of itself)."""
    return any(
        record.stage == stage.name
        and record.member == member.name
        and record.state is incidents.StepState.SIMULATED
        for record in draft.incident.steps
    )


def _spent(
    draft: drafts.Draft, stage: valid.Stage, member: censuses.Member, judged: judgements.Judgement
) -> str | None:
    """Why this member is not replaced again: once did not help, or its host will not do it. None: it may be."""
    records = [r for r in draft.incident.steps if r.stage == stage.name and r.member == member.name]
    if any(record.happened for record in records):
        code = judged.worst.code if judged.worst else vocabulary.DiagnosisCode.UNKNOWN
        return f"{member.name} was replaced and is sick again ({code})"
    refused = [record.reason for record in records if record.reason is not None]
    if len(refused) >= thresholds.REFUSALS_PER_LIFE:
        return f"{member.name} could not be replaced: {', '.join(refused)}"
    return None


def _in_vain(draft: drafts.Draft, stage: valid.Stage, judged: judgements.Judgement) -> bool:
    """Refuse a restart that would listen with the queue that is too short: nobody raised the cap that held it."""
    space, worst = judged.namespace, judged.worst
    if worst is None or worst.code is not vocabulary.DiagnosisCode.BACKLOG_TOO_SMALL or space is None:
        return False
    limit = worst.signals.get(vocabulary.SignalName.ACCEPT_QUEUE_LIMIT)
    if tunings.waits_for_listen(draft, space.inode, limit):
        return False
    text = (
        f"{judged.member} would listen with the same queue again: its limit is {limit}, "
        "and no setting that caps it was raised"
    )
    refusal = guards.Refusal(reasons.Reason.CANNOT_HELP, text)
    draft.refuse(stage, refusal, subject=f"when/{judged.member}", member=judged.member)
    return True


def _begin(
    draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart, member: censuses.Member
) -> guards.Refusal | None:
    """Plan the replacement of one member; what a guard says against it is on record and returned."""
    gathering.give_up_waiting(draft, member)
    held = guards.refusal(draft.situation(stage, member))
    if held is not None:
        draft.refuse(stage, held, subject=member.name, member=member.name)
        return held
    attempt = sum(1 for r in draft.incident.steps if r.stage == stage.name and r.member == member.name)
    step_id = draft.step_id(stage, member.name, member.incarnation or "", str(attempt))
    # Ready is who listens where the old life did: instances of one policy may have a port each.
    judged = draft.at.judged.get(member.name)
    ports = judged.ports if judged is not None and judged.ports else draft.at.policy.ports
    work = actions.Replacement(action, draft.at.policy.probe, ports)
    canary = "" if any(r.stage == stage.name for r in draft.incident.steps) else ", the first of the rollout"
    draft.plan(stage, draft.step(stage, step_id, member, work), f"Replace {member.name}{canary}")
    return None
