"""The cause that a decision about one member rests on: what its dumps told, or what shows from outside. Pure.

Called by rungs, guards and commons.
"""

from lastack.engine import findings, incidents, judgements, thresholds
from lastack.policy import vocabulary

_Kind = vocabulary.CauseKind
FROM_OUTSIDE = frozenset({_Kind.STOPPED, _Kind.THROTTLED, _Kind.MEMORY})
"""What is done to a process by others: its own stacks do not show it, and it comes before what they show."""


def of(
    incident: incidents.Incident,
    judged: judgements.Judgement,
) -> findings.Cause | None:
    """The cause of what ails the member in its present life; None where none was sought or told."""
    seen = judged.worst.cause if judged.worst is not None else None
    if seen is not None and seen.kind in FROM_OUTSIDE:
        return seen
    told = incident.told.get(judged.member)
    if told is not None and told.life == judged.incarnation:
        return told.cause
    return seen


def confidence(incident: incidents.Incident, judged: judgements.Judgement) -> vocabulary.Confidence:
    """How sure the diagnosis of the member is; the lowest where there is none.

    A handler-stall of low confidence lacks a second signal: the dumps of this life are one, when they say that as many
    threads as make a pattern stood still, and on what.
    """
    worst, told = judged.worst, incident.told.get(judged.member)
    if worst is None:
        return vocabulary.Confidence.LOW
    if worst.code is not vocabulary.DiagnosisCode.HANDLER_STALL or told is None:
        return worst.confidence
    agrees = told.life == judged.incarnation and (told.cause.stuck or 0) >= thresholds.HANDLER_ROWS
    if agrees and worst.confidence is vocabulary.Confidence.LOW:
        return min(told.cause.confidence, vocabulary.Confidence.MEDIUM, key=list(vocabulary.Confidence).index)
    return worst.confidence


def words(cause: findings.Cause) -> str:
    """The cause with its numbers, as part of a sentence."""
    peer = f" {cause.peer}" if cause.peer else ""
    count = f", {cause.stuck} of {cause.of} threads" if cause.stuck is not None and cause.of else ""
    return f"{cause.kind}{peer} ({cause.confidence} confidence{count})"
