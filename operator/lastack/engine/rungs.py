"""What the rungs of the ladder share: how one stands, whom it is for. Used by tunings, rollouts and decisions.

Each rung says how it stands: WORKING (something runs or is held; look again at the next tick), DONE (its acts are
over and need time to settle), AT_NEXT_LISTEN (done, but it cannot have an effect yet), FAILED or SKIPPED.
"""

import dataclasses
import datetime as dt
import enum

from lastack.engine import (
    actions,
    censuses,
    drafts,
    guards,
    instants,
    judgements,
    reasons,
    remedies,
)
from lastack.policy import valid


class Standing(enum.Enum):
    """How a rung stands."""

    WORKING = enum.auto()
    DONE = enum.auto()
    AT_NEXT_LISTEN = enum.auto()
    FAILED = enum.auto()
    SKIPPED = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Rung:
    """How a rung stands, and why, in a sentence for the record."""

    standing: Standing
    text: str


def sick_now(draft: drafts.Draft) -> list[tuple[censuses.Member, judgements.Judgement]]:
    """The members that fire at this instant, in the order in which they fell sick."""
    rank = {name: position for position, name in enumerate(draft.incident.sick)}
    found = [
        (member, draft.at.judged[member.name])
        for member in draft.at.census.members
        if member.name in draft.at.judged and draft.at.judged[member.name].firing
    ]
    return sorted(found, key=lambda pair: rank.get(pair[0].name, len(rank)))


def applicable(draft: drafts.Draft, stage: valid.Stage) -> list[tuple[censuses.Member, judgements.Judgement]]:
    """The sick members whose diagnosis this stage is for; the others are refused, with what would not help and why."""
    found = []
    for member, judged in sick_now(draft):
        worst = judged.worst
        if worst is None:
            continue
        if not stage.when or worst.code in stage.when:
            found.append((member, judged))
            continue
        text = remedies.why_not(stage, worst.code, judged.namespace, worst)
        refusal = guards.Refusal(reasons.Reason.CANNOT_HELP, text)
        draft.refuse(stage, refusal, subject=f"when/{member.name}", member=member.name)
    return found


def answers(draft: drafts.Draft, name: actions.MemberName, since: instants.Now) -> bool:
    """Whether the member passed its probe in its present life after `since`; asks for one if not. True without one."""
    if draft.at.policy.probe is None:
        return True
    answer, member = draft.at.answers.get(name), draft.at.census.member(name)
    if answer is not None and member is not None and answer.passed:
        fresh = answer.at.since(since) >= dt.timedelta(0)
        if fresh and answer.incarnation == member.incarnation:
            return True
    draft.probe(name)
    return False
