"""What the dumps of a member say its stuck threads wait for, read from the fact that they were stored. Pure.

Called by incidents; what is made of it is in member_causes.
"""

import dataclasses

from lastack.engine import actions, facts, findings, thresholds
from lastack.policy import vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class ToldCause:
    """What the dumps of one life of a member say its stuck threads wait for."""

    life: actions.Incarnation
    cause: findings.Cause


def of(fact: facts.Fact) -> findings.Cause | None:
    """The cause that the dumps of an evidence.stored tell; None when they tell none.

    As sure as it has signs: that they stood still between two dumps, and that they are most of the workers.
    """
    data = fact.data
    kind, dumps, stuck, whole = data.get("cause"), data.get("dumps"), data.get("stuck"), data.get("of")
    if not isinstance(kind, str) or kind == vocabulary.CauseKind.UNKNOWN:
        return None
    peer, frame = data.get("peer"), data.get("frame")
    several = isinstance(dumps, int) and dumps >= thresholds.CAUSE_DUMPS
    most = isinstance(stuck, int) and isinstance(whole, int) and 2 * stuck > whole
    signs = int(several) + int(most)
    confidence = tuple(vocabulary.Confidence)[signs]
    return findings.Cause(
        kind=vocabulary.CauseKind(kind),
        source="threadDump",
        confidence=confidence,
        peer=peer if isinstance(peer, str) else None,
        frame=frame if isinstance(frame, str) else None,
        stuck=stuck if isinstance(stuck, int) else None,
        of=whole if isinstance(whole, int) else None,
    )
