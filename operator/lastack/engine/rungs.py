"""What the rungs of the ladder share: how one stands, whom it is for. Used by tunings, unhooks, rollouts and decisions.

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
    gathering,
    guards,
    instants,
    judgements,
    member_causes,
    reasons,
    whens,
)
from lastack.policy import valid, vocabulary


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


@dataclasses.dataclass(frozen=True, slots=True)
class Meant:
    """The sick members that a stage is for; `waiting` says of whom that cannot be told yet."""

    members: list[tuple[censuses.Member, judgements.Judgement]]
    waiting: list[str]


def applicable(draft: drafts.Draft, stage: valid.Stage) -> Meant:
    """The sick members whose diagnosis and cause this stage is for; the others are refused, each with the reason.

    The dumps tell the cause: a stage that asks for it waits for them, as long as they may take.
    """
    meant = Meant([], [])
    for member, judged in sick_now(draft):
        worst = judged.worst
        if worst is None:
            continue
        cause = member_causes.of(draft.incident, judged)
        refusal = whens.mismatch(
            stage, worst, member_causes.confidence(draft.incident, judged), cause, judged.namespace
        )
        if stage.when.asks_for_cause and _is_sought(stage, worst.code):
            gathering.give_up_waiting(draft, member)
            if draft.incident.evidence.get(member.name) != member.incarnation:
                text = f"what {member.name} waits for is told by its evidence, which is not stored yet"
                pending = guards.Refusal(reasons.Reason.EVIDENCE_PENDING, text)
                draft.refuse(stage, pending, subject=f"cause/{member.name}", member=member.name)
                meant.waiting.append(text)
                continue
        if refusal is None:
            meant.members.append((member, judged))
        else:
            draft.refuse(stage, refusal, subject=f"when/{member.name}", member=member.name)
    return meant


def _is_sought(stage: valid.Stage, code: vocabulary.DiagnosisCode) -> bool:
    """Whether the diagnosis is one that the stage is for and that has a cause."""
    return code in vocabulary.CAUSED and (not stage.when.diagnoses or code in stage.when.diagnoses)


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
