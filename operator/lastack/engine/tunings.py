"""The sysctl rung: each setting that can help is leased once per namespace; the others are refused with the reason.

Called by engine.decisions while REMEDIATING. Pure.
"""

from lastack.engine import (
    actions,
    censuses,
    drafts,
    findings,
    guards,
    incidents,
    judgements,
    reasons,
    remedies,
    rungs,
)
from lastack.policy import sysctls, valid, vocabulary

_Standing = rungs.Standing
_ENDED_WELL = frozenset({incidents.StepState.SUCCEEDED, incidents.StepState.SIMULATED})


def tune(draft: drafts.Draft, stage: valid.Stage, action: valid.SysctlTuning) -> rungs.Rung:
    """Lease what can help; with nothing that can, the rung is skipped and each refusal is on record."""
    meant = rungs.applicable(draft, stage)
    held = [
        _lease(draft, stage, name, member, judged)
        for member, judged in meant.members
        for name in sorted(action.values)
    ]
    own = [record for record in draft.incident.steps if record.stage == stage.name]
    if any(held) or any(record.state is incidents.StepState.PLANNED for record in own):
        return rungs.Rung(_Standing.WORKING, "settings are being written")
    if meant.waiting:
        return rungs.Rung(_Standing.WORKING, meant.waiting[0])
    written = _written(draft, stage, action)
    if not written:
        text = "no setting of this stage could be written" if own else "no setting of this stage can help"
        return rungs.Rung(_Standing.SKIPPED, text)
    if {sysctls.CATALOGUE[name].takes_effect for name in written} == {sysctls.TakesEffect.NEXT_LISTEN}:
        text = f"{', '.join(written)} waits for the next listen(): it has no effect before a restart"
        return rungs.Rung(_Standing.AT_NEXT_LISTEN, text)
    return rungs.Rung(_Standing.DONE, "the settings are written")


def waits_for_listen(draft: drafts.Draft, namespace: int, limit: findings.SignalValue | None) -> bool:
    """Whether a listener of this limit would get a larger one by listening anew: its cap was raised since."""
    simulated = incidents.StepState.SIMULATED
    if any(s.state is simulated and s.kind is vocabulary.ActionKind.SYSCTL for s in draft.incident.steps):
        return True
    raised = [
        lease
        for lease in draft.at.standing.leases
        if lease.namespace == namespace
        and lease.name in sysctls.CATALOGUE
        and sysctls.CATALOGUE[lease.name].takes_effect is sysctls.TakesEffect.NEXT_LISTEN
    ]
    return isinstance(limit, int) and any(
        int(lease.original) <= limit < int(lease.observed) for lease in raised
    )


def _written(draft: drafts.Draft, stage: valid.Stage, action: valid.SysctlTuning) -> list[str]:
    """The settings of this stage that were written (in observe: would be) in any member's namespace."""
    spaces = {judged.namespace.inode for judged in draft.at.judged.values() if judged.namespace is not None}
    steps = {
        name: [draft.incident.step(_step_id(draft, stage, name, space)) for space in spaces]
        for name in sorted(action.values)
    }
    return [
        name
        for name, records in steps.items()
        if any(record is not None and (record.state in _ENDED_WELL or record.happened) for record in records)
    ]


def _step_id(draft: drafts.Draft, stage: valid.Stage, name: str, namespace: int) -> actions.StepId:
    """The id of the last attempt, or of the next: what a crash kept from happening is decided afresh."""
    attempt = 0
    while True:
        step_id = draft.step_id(stage, name, str(namespace), str(attempt))
        record = draft.incident.step(step_id)
        if (
            record is None
            or record.state is not incidents.StepState.INTERRUPTED
            or record.happened is not False
        ):
            return step_id
        attempt += 1


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
    step_id = _step_id(draft, stage, name, space.inode)
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
