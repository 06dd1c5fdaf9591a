"""The rolling restart: sick members only, one at a time, each verified and warm before the next. The first is a canary.

Called by engine.decisions while REMEDIATING. Pure. The rollout stops at the first member that does not come back well.
"""

from lastack import quantities
from lastack.engine import actions, censuses, drafts, facts, gathering, guards, incidents, rungs, thresholds
from lastack.policy import valid


def replace(draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart) -> rungs.Rung:
    """Follow the replacement that goes on, or begin the next; every sick member once."""
    for record in _latest(draft, stage):
        rung = _follow(draft, stage, action, record)
        if rung is not None:
            return rung
    todo = [pair for pair in rungs.applicable(draft, stage) if not _was_tried(draft, stage, pair[0])]
    for member, judged in todo:
        if _again(draft, stage, member):
            text = f"{member.name} was replaced and is sick again ({judged.worst.code if judged.worst else 'unknown'})"
            return rungs.Rung(rungs.Standing.FAILED, text)
    if todo:
        return _begin(draft, stage, action, todo[0][0])
    own = [
        record
        for record in draft.incident.steps
        if record.stage == stage.name and record.happened is not False
    ]
    simulated = [
        r for r in draft.incident.steps if r.stage == stage.name and r.state is incidents.StepState.SIMULATED
    ]
    if own or simulated:
        return rungs.Rung(rungs.Standing.DONE, "every sick member was replaced")
    return rungs.Rung(rungs.Standing.SKIPPED, "a restart is not for what is wrong")


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
    if judged is None or judged.incarnation != life or judged.unknown:
        return rungs.Rung(rungs.Standing.WORKING, f"waiting for a first look at the new {name}")
    if judged.firing:
        return rungs.Rung(rungs.Standing.FAILED, f"{name} was replaced and is sick again")
    quiet = judged.quiet_for(draft.at.now)
    if quiet is None or quiet < action.warm_for:
        return rungs.Rung(rungs.Standing.WORKING, f"{name} warms up for {quantities.short(action.warm_for)}")
    if not rungs.answers(draft, name, record.ended or record.planned):
        return rungs.Rung(rungs.Standing.WORKING, f"waiting for {name} to answer the probe")
    draft.say(
        facts.FactKind.MEMBER_VERIFIED,
        f"{name} is well in its new life: quiet for {quantities.short(quiet)}{_probe_text(draft, name)}",
        member=name,
        stage=stage,
        data={"life": life},
    )
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


def _again(draft: drafts.Draft, stage: valid.Stage, member: censuses.Member) -> bool:
    records = [r for r in draft.incident.steps if r.stage == stage.name and r.member == member.name]
    refused = [r for r in records if r.reason is not None]
    return any(record.happened for record in records) or len(refused) >= thresholds.REFUSALS_PER_LIFE


def _begin(
    draft: drafts.Draft, stage: valid.Stage, action: valid.RollingRestart, member: censuses.Member
) -> rungs.Rung:
    gathering.give_up_waiting(draft, member)
    held = guards.refusal(draft.situation(stage, member))
    if held is not None:
        draft.refuse(stage, held, subject=member.name, member=member.name)
        return rungs.Rung(rungs.Standing.WORKING, held.text)
    attempt = sum(1 for r in draft.incident.steps if r.stage == stage.name and r.member == member.name)
    step_id = draft.step_id(stage, member.name, member.incarnation or "", str(attempt))
    work = actions.Replacement(action, draft.at.policy.probe, draft.at.policy.ports)
    canary = "" if any(r.stage == stage.name for r in draft.incident.steps) else ", the first of the rollout"
    draft.plan(stage, draft.step(stage, step_id, member, work), f"Replace {member.name}{canary}")
    return rungs.Rung(rungs.Standing.WORKING, f"{member.name} is being replaced")
