"""The ladder as a table: phase x event -> phase. What is not in the table cannot happen.

The picture in the docs is drawn from TRANSITIONS. A refusal is not a transition: it is an entry with a reason.
"""

import enum

from lastack import errors


class Phase(enum.StrEnum):
    """Where an incident is."""

    QUIET = "QUIET"
    SUSPECTED = "SUSPECTED"
    REMEDIATING = "REMEDIATING"
    SETTLING = "SETTLING"
    RECOVERING = "RECOVERING"
    EXHAUSTED = "EXHAUSTED"


class Event(enum.StrEnum):
    """What moves it."""

    RAISED = "raised"
    FIRED = "fired"
    ACTED = "acted"
    ESCALATED = "escalated"
    SETTLED = "settled"
    RELAPSED = "relapsed"
    ENDED = "ladder-ended"
    CLEARED = "cleared"
    ABANDONED = "abandoned"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.QUIET, Event.RAISED): Phase.SUSPECTED,
    (Phase.SUSPECTED, Event.FIRED): Phase.REMEDIATING,
    (Phase.SUSPECTED, Event.CLEARED): Phase.QUIET,
    (Phase.SUSPECTED, Event.ABANDONED): Phase.QUIET,
    (Phase.REMEDIATING, Event.ACTED): Phase.SETTLING,
    (Phase.REMEDIATING, Event.ESCALATED): Phase.REMEDIATING,
    (Phase.REMEDIATING, Event.ENDED): Phase.EXHAUSTED,
    (Phase.REMEDIATING, Event.CLEARED): Phase.QUIET,
    (Phase.REMEDIATING, Event.ABANDONED): Phase.QUIET,
    (Phase.SETTLING, Event.SETTLED): Phase.RECOVERING,
    (Phase.SETTLING, Event.RELAPSED): Phase.REMEDIATING,
    (Phase.SETTLING, Event.ABANDONED): Phase.QUIET,
    (Phase.RECOVERING, Event.RELAPSED): Phase.REMEDIATING,
    (Phase.RECOVERING, Event.CLEARED): Phase.QUIET,
    (Phase.RECOVERING, Event.ABANDONED): Phase.QUIET,
    (Phase.EXHAUSTED, Event.CLEARED): Phase.QUIET,
    (Phase.EXHAUSTED, Event.ABANDONED): Phase.QUIET,
}


def move(phase: Phase, event: Event) -> Phase:
    """The phase after the event. Raises InvariantBroken for what the table does not have."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise errors.InvariantBroken(f"an incident in {phase} cannot meet {event}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    rows = [f"    {a} --> {b}: {event}" for (a, event), b in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> QUIET", *rows])
