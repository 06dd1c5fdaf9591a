"""The ladder's table: every transition, and that nothing else can happen."""

from __future__ import annotations

import itertools

import pytest

from lastack import errors
from lastack.engine import ladder

Phase, Event = ladder.Phase, ladder.Event
PAIRS = list(itertools.product(Phase, Event))


@pytest.mark.parametrize(("phase", "event"), PAIRS)
def test_what_is_not_in_the_table_cannot_happen(phase: ladder.Phase, event: ladder.Event) -> None:
    """Each pair either moves or is a defect that says which."""
    if (phase, event) in ladder.TRANSITIONS:
        assert ladder.TRANSITIONS[phase, event] == ladder.move(phase, event)
        return
    with pytest.raises(errors.InvariantBroken, match=f"{phase} cannot meet {event}"):
        ladder.move(phase, event)


def test_every_open_phase_can_be_left_for_good() -> None:
    """No incident is caught: from each phase there is a way to QUIET, and an abandonment at any time."""
    for phase in set(Phase) - {Phase.QUIET}:
        assert Phase.QUIET is ladder.TRANSITIONS[phase, Event.ABANDONED]


def test_the_picture_has_every_row() -> None:
    """Drawn from the table, so it cannot differ from it."""
    lines = ladder.mermaid().splitlines()
    assert ["stateDiagram-v2", "    [*] --> QUIET"] == lines[:2]
    assert "    SUSPECTED --> REMEDIATING: fired" in lines
    assert len(ladder.TRANSITIONS) == len(lines) - 2
