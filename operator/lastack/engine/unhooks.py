"""The socketDestroy rung: connections are destroyed under threads that wait on them in vain, a batch for each member.

Called by engine.decisions while REMEDIATING. Pure. What is chosen here is looked at again before it is done.
"""

from lastack.engine import (
    actions,
    censuses,
    drafts,
    findings,
    guards,
    incidents,
    judgements,
    member_causes,
    reasons,
    rungs,
    samples,
    stuck_sockets,
)
from lastack.policy import valid, vocabulary

_State = incidents.StepState
_SIGNALS = {
    vocabulary.SocketKind.CLOSE_WAIT_QUEUED: vocabulary.SignalName.CLOSE_WAIT_QUEUED,
    vocabulary.SocketKind.CLOSE_WAIT_UNREAD: vocabulary.SignalName.CLOSE_WAIT_UNREAD,
    vocabulary.SocketKind.CLOSE_WAIT_HELD: vocabulary.SignalName.CLOSE_WAIT_HELD,
    vocabulary.SocketKind.CLOSE_WAIT_OUTBOUND: vocabulary.SignalName.CLOSE_WAIT_OUTBOUND,
}
WIPES = "this wipes the symptom: it frees no file and no place in the queue"
"""What is said of every act on sockets in CLOSE_WAIT."""


def unhook(draft: drafts.Draft, stage: valid.Stage, action: valid.SocketDestroy) -> rungs.Rung:
    """Plan a batch for each sick member that has one; each once in its life."""
    meant = rungs.applicable(draft, stage)
    held = [
        text for member, judged in meant.members if (text := _begin(draft, stage, action, member, judged))
    ]
    own = [
        record
        for record in draft.incident.steps
        # What a crash kept from happening was not tried.
        if record.stage == stage.name
        and not (record.state is _State.INTERRUPTED and record.happened is False)
    ]
    if any(record.state is _State.PLANNED for record in own):
        return rungs.Rung(rungs.Standing.WORKING, "sockets are being destroyed")
    if held or meant.waiting:
        return rungs.Rung(rungs.Standing.WORKING, (held or meant.waiting)[0])
    if any(record.happened for record in own):
        return rungs.Rung(rungs.Standing.DONE, "the sockets are destroyed")
    if any(record.state is _State.SIMULATED for record in own):
        return rungs.Rung(rungs.Standing.DONE, "the sockets would have been destroyed")
    if any(record.state is _State.INTERRUPTED for record in own):
        return rungs.Rung(rungs.Standing.FAILED, "nobody can tell whether the sockets were destroyed")
    if own:
        return rungs.Rung(rungs.Standing.FAILED, "no socket was destroyed")
    return rungs.Rung(rungs.Standing.SKIPPED, "no socket is there that this stage may destroy")


def _begin(
    draft: drafts.Draft,
    stage: valid.Stage,
    action: valid.SocketDestroy,
    member: censuses.Member,
    judged: judgements.Judgement,
) -> str | None:
    """Plan the batch of one member; the text of what holds it, None when nothing is waited for."""
    step_id = _step_id(draft, stage, member)
    if draft.incident.step(step_id) is not None:
        return None
    cause = member_causes.of(draft.incident, judged)
    stuck = tuple(each for each in judged.stuck if action.allows(each.peer) and _explains(cause, each))
    stuck = stuck[: action.limit]
    lacking = _lacking(action, judged, cause, stuck)
    if lacking is not None:
        refusal = guards.Refusal(reasons.Reason.CANNOT_HELP, lacking)
        draft.refuse(stage, refusal, subject=f"sockets/{member.name}", member=member.name)
        return None
    held = guards.refusal(draft.situation(stage, member))
    if held is not None:
        draft.refuse(stage, held, subject=member.name, member=member.name)
        return held.text
    space = judged.namespace
    if space is None or member.main_pid is None:  # pragma: no cover - a member that is seen has both
        return None
    chosen = stuck if action.sockets is vocabulary.SocketKind.STUCK_OUTBOUND else ()
    work = actions.SocketBatch(action, member.main_pid, member.pids, space.inode, judged.ports, chosen)
    draft.plan(stage, draft.step(stage, step_id, member, work), _plan_text(action, member, chosen))
    return None


def _explains(cause: findings.Cause | None, stuck: stuck_sockets.StuckSocket) -> bool:
    """Whether the connection is to the peer that ails the member: not that of a bus, though a thread stands on it."""
    downstream = cause is not None and cause.kind is vocabulary.CauseKind.DOWNSTREAM
    return downstream and cause is not None and cause.peer == stuck.peer


def _lacking(
    action: valid.SocketDestroy,
    judged: judgements.Judgement,
    cause: findings.Cause | None,
    stuck: tuple[stuck_sockets.StuckSocket, ...],
) -> str | None:
    """Why there is nothing to destroy; None when there is."""
    if action.sockets is vocabulary.SocketKind.STUCK_OUTBOUND:
        if stuck:
            return None
        peers = ", ".join(sorted({each.peer for each in judged.stuck})) or "nobody"
        allowed = ", ".join(map(str, action.peers)) or "no peer"
        told = "unknown" if cause is None else member_causes.words(cause)
        return (
            f"no thread of {judged.member} stands in every look on a connection to a peer that ails it and that the "
            f"policy allows: they wait for {peers}, the cause is {told}, with.peers names {allowed}"
        )
    signal = _SIGNALS[action.sockets]
    counts = [finding.signals.get(signal) for finding in judged.found]
    if any(not isinstance(count, samples.Missing) and count for count in counts):
        return None
    return f"{judged.member} has no sockets of {signal} now"


def _plan_text(
    action: valid.SocketDestroy,
    member: censuses.Member,
    chosen: tuple[stuck_sockets.StuckSocket, ...],
) -> str:
    if not chosen:
        return f"Destroy at most {action.limit} sockets of {member.name} in {action.sockets}, {action.pace}: {WIPES}"
    peers = ", ".join(sorted({each.peer for each in chosen}))
    count = f"{len(chosen)} connection{'' if len(chosen) == 1 else 's'}"
    return f"Destroy {count} of {member.name} to {peers} on which its threads wait in vain, {action.pace}"


def _step_id(draft: drafts.Draft, stage: valid.Stage, member: censuses.Member) -> actions.StepId:
    """The id of the last attempt in this life, or of the next: what a crash kept from happening is decided afresh."""
    attempt = 0
    while True:
        step_id = draft.step_id(stage, member.name, member.incarnation or "", str(attempt))
        record = draft.incident.step(step_id)
        if record is None or record.state is not _State.INTERRUPTED or record.happened is not False:
            return step_id
        attempt += 1
