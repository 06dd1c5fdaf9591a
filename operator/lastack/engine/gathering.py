"""Evidence: taken as soon as something is suspected, before anything is disturbed. Called by decisions, rollouts."""

from lastack import quantities
from lastack.engine import actions, censuses, drafts, facts, guards, incidents
from lastack.policy import valid, vocabulary


def gather(draft: drafts.Draft) -> None:
    """Begin a dump series of each member that is raised, one at a time, once per life and stage."""
    for stage in draft.at.policy.stages:
        if isinstance(stage.action, valid.ThreadDump):
            _gather_stage(draft, stage, stage.action)


def _gather_stage(draft: drafts.Draft, stage: valid.Stage, settings: valid.ThreadDump) -> None:
    for member in draft.at.census.members:
        judged = draft.at.judged.get(member.name)
        if (
            judged is None
            or not judged.pending
            or judged.incarnation != member.incarnation
            or not member.pids
        ):
            continue
        step_id = draft.step_id(stage, member.name, member.incarnation or "")
        if draft.incident.step(step_id) is not None:
            continue
        if _one_is_taken(draft, settings):
            return
        held = guards.refusal(draft.situation(stage, member))
        if held is not None:
            draft.refuse(stage, held, subject=member.name, member=member.name)
            continue
        work = actions.DumpSeries(settings, member.pids)
        text = (
            f"Take {settings.count} thread dumps of {member.name}, {quantities.short(settings.every)} apart"
        )
        draft.plan(stage, draft.step(stage, step_id, member, work), text)


def _one_is_taken(draft: drafts.Draft, settings: valid.ThreadDump) -> bool:
    """Whether a dump runs, one at a time; a series that does not end holds up the others for `waitAtMost` only."""
    return any(
        step.kind is vocabulary.ActionKind.THREAD_DUMP
        and draft.at.now.since(step.planned) < settings.wait_at_most
        for step in draft.incident.running()
    )


def give_up_waiting(draft: drafts.Draft, member: censuses.Member) -> None:
    """Put on record that a disruptive act goes on without evidence: there is none to wait for, or it took too long."""
    if draft.incident.evidence.get(member.name) == member.incarnation:
        return
    dumps = [stage for stage in draft.at.policy.stages if isinstance(stage.action, valid.ThreadDump)]
    if not dumps:
        _missed(draft, member, None, "the policy has no threadDump stage", "0s")
        return
    for stage in dumps:
        _give_up_on(draft, member, stage)


def _give_up_on(draft: drafts.Draft, member: censuses.Member, stage: valid.Stage) -> None:
    record = draft.incident.step(draft.step_id(stage, member.name, member.incarnation or ""))
    if record is None or not isinstance(stage.action, valid.ThreadDump):
        return
    waited = draft.at.now.since(record.planned)
    span = quantities.short(waited)
    if record.state is incidents.StepState.SIMULATED:
        _missed(draft, member, stage, "the stage is in observe mode, so no dump was taken", "0s")
    elif record.state is incidents.StepState.PLANNED and waited >= stage.action.wait_at_most:
        limit = quantities.short(stage.action.wait_at_most)
        _missed(draft, member, stage, f"the dumps are not complete after {limit} (waitAtMost)", span)


def _missed(
    draft: drafts.Draft, member: censuses.Member, stage: valid.Stage | None, why: str, waited: str
) -> None:
    draft.say(
        facts.FactKind.EVIDENCE_MISSED,
        f"no evidence of {member.name}: {why}",
        member=member.name,
        stage=stage,
        data={"why": why, "waited": waited},
    )
