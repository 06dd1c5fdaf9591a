"""Common cause: members or targets that wait for the same peer. It is the peer that is sick: nobody is restarted. Pure.

Called by rollouts and endings. What holds is said once per target, and people are told once per peer.
"""

import dataclasses

from lastack.engine import actions, drafts, facts, guards, judgements, member_causes, reasons, thresholds
from lastack.policy import valid, vocabulary

_SUBJECT = "common-cause/"
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Common:
    """A peer and who waits for it: members of this target by name, those of others as TARGET/MEMBER."""

    peer: str
    waiting: tuple[str, ...]


def found(draft: drafts.Draft) -> tuple[Common, ...]:
    """The peers that several wait for; one that was common in this incident stays so while anybody here waits."""
    own = _own_waits(draft)
    here = draft.at.policy.target_name
    commons = []
    for peer in sorted(set(own.values())):
        mine = [str(name) for name, each in own.items() if each == peer]
        others = [
            f"{wait.target}/{wait.member}"
            for wait in draft.at.standing.waits
            if wait.peer == peer and wait.target != here
        ]
        if len(mine) + len(others) >= thresholds.COMMON_WAITS or _was_held(draft, peer):
            commons.append(Common(peer, (*sorted(mine), *sorted(others))))
    return tuple(commons)


def holding(draft: drafts.Draft, commons: tuple[Common, ...], judged: judgements.Judgement) -> Common | None:
    """The common cause that holds a restart of a sick member: it waits for the peer, or nobody knows for whom."""
    cause = member_causes.of(draft.incident, judged)
    if cause is None or cause.kind is vocabulary.CauseKind.UNKNOWN:
        return commons[0] if commons else None
    return next((each for each in commons if each.peer == cause.peer), None)


def hold(draft: drafts.Draft, stage: valid.Stage, common: Common) -> None:
    """Refuse every restart for it, once; tell people, once for all targets of this host."""
    text = f"{_words(common)}: it has to come back, and a restart of each makes that harder"
    refusal = guards.Refusal(reasons.Reason.COMMON_CAUSE, text)
    announce(draft, common)
    draft.refuse(stage, refusal, subject=_SUBJECT + common.peer, member=None)


def announce(draft: drafts.Draft, common: Common) -> None:
    """Tell people of the peer, unless this incident or an open one of another target has."""
    if common.peer in draft.at.standing.announced or common.peer in draft.incident.announced:
        return
    draft.say(
        facts.FactKind.NOTIFICATION_RAISED,
        f"{_words(common)}; nothing is restarted for it",
        data={"why": str(reasons.Reason.COMMON_CAUSE), "peer": common.peer, "waiting": common.waiting},
    )


def _own_waits(draft: drafts.Draft) -> dict[actions.MemberName, str]:
    """The members of this target that something ails and that wait for a peer."""
    waits = {}
    for judged in draft.at.living():
        cause = member_causes.of(draft.incident, judged)
        sick = judged.pending or judged.firing
        if sick and cause is not None and cause.kind is vocabulary.CauseKind.DOWNSTREAM and cause.peer:
            waits[judged.member] = cause.peer
    return waits


def _was_held(draft: drafts.Draft, peer: str) -> bool:
    return any(subject.endswith(_SUBJECT + peer) for subject in draft.incident.refusals)


def _words(common: Common) -> str:
    named = ", ".join(common.waiting[:_MOST_NAMED])
    left = len(common.waiting) - _MOST_NAMED
    more = f" and {left} more" if left > 0 else ""
    verb = "waits" if len(common.waiting) == 1 else "wait"
    return f"{named}{more} {verb} for {common.peer}, which does not answer"
