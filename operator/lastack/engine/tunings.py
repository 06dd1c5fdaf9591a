"""The sysctl rung: each setting that can help is leased once per namespace; the others are refused with the reason.

Called by engine.decisions while REMEDIATING. Pure.
"""

from lastack.engine import actions, censuses, drafts, guards, incidents, judgements, reasons, remedies, rungs
from lastack.policy import sysctls, valid

_Standing = rungs.Standing
_ENDED_WELL = frozenset({incidents.StepState.SUCCEEDED, incidents.StepState.SIMULATED})


def tune(draft: drafts.Draft, stage: valid.Stage, action: valid.SysctlTuning) -> rungs.Rung:
    """Lease what can help; with nothing that can, the rung is skipped and each refusal is on record."""
    held = [
        _lease(draft, stage, name, member, judged)
        for member, judged in rungs.applicable(draft, stage)
        for name in sorted(action.values)
    ]
    own = [record for record in draft.incident.steps if record.stage == stage.name]
    if any(held) or any(record.state is incidents.StepState.PLANNED for record in own):
        return rungs.Rung(_Standing.WORKING, "settings are being written")
    if not any(record.state in _ENDED_WELL or record.happened for record in own):
        return rungs.Rung(_Standing.SKIPPED, "no setting of this stage can help")
    effects = {sysctls.CATALOGUE[name].takes_effect for name in action.values if name in sysctls.CATALOGUE}
    if effects == {"next-listen"}:
        names = ", ".join(sorted(action.values))
        text = f"{names} waits for the next listen(): it has no effect before a restart"
        return rungs.Rung(_Standing.AT_NEXT_LISTEN, text)
    return rungs.Rung(_Standing.DONE, "the settings are written")


def _lease(
    draft: drafts.Draft, stage: valid.Stage, name: str, member: censuses.Member, judged: judgements.Judgement
) -> bool:
    """Plan one setting in the member's namespace, once; True while a guard holds it."""
    space, worst, action = judged.namespace, judged.worst, stage.action
    if (
        space is None
        or worst is None
        or member.main_pid is None
        or not isinstance(action, valid.SysctlTuning)
    ):
        return False
    step_id = draft.step_id(stage, name, str(space.inode))
    if draft.incident.step(step_id) is not None:
        return False
    subject, desired = f"{name}/{space.inode}", action.values[name]
    help_ = remedies.sysctl_help(name, worst, space, desired)
    original = space.sysctls.get(name)
    if original is None or not help_.can:
        why = f"{name}: {help_.why}"
        refusal = guards.Refusal(reasons.Reason.CANNOT_HELP, why)
        draft.refuse(stage, refusal, subject=subject, member=member.name)
        return False
    held = guards.refusal(draft.situation(stage, member))
    if held is not None:
        draft.refuse(stage, held, subject=subject, member=member.name)
        return True
    work = actions.SysctlWrite(
        name, desired, original, action.scope, member.main_pid, space.inode, action.restore_after
    )
    text = f"Lease {name}: {original} -> {desired} in network namespace {space.inode}"
    draft.plan(stage, draft.step(stage, step_id, member, work), text)
    return False
