"""Observe mode: the same story on the same record, and nothing is touched."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import facts
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health


@pytest.mark.parametrize("health", [Health.STALLED, Health.DROPPING])
def test_nothing_is_touched_in_observe(health: Health) -> None:
    """No step is begun, no process dumped, no setting written; each act is one simulated entry."""
    story = stories.sick(health, policy=makers.policy(observe=True))
    story.tick(100)
    assert ([], {}) == (story.ward.deeds, story.works.running())
    assert [] == story.of(Kind.ACTION_PLANNED)
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome


@pytest.mark.parametrize("health", [Health.STALLED, Health.DROPPING])
def test_observe_writes_what_enforce_would_up_to_the_first_act(health: Health) -> None:
    """The same refusals and the same acts, in the same order, each told as what would be done."""
    enforced = stories.sick(health)
    enforced.until_closed()
    observed = stories.sick(health, policy=makers.policy(observe=True))
    observed.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert enforced.refusals() == observed.refusals()[: len(enforced.refusals())]
    planned = [(e.fact.stage, e.fact.member, e.fact.action) for e in enforced.of(Kind.ACTION_PLANNED)]
    simulated = [(e.fact.stage, e.fact.member, e.fact.action) for e in observed.of(Kind.ACTION_SIMULATED)]
    assert planned == simulated
    assert all(e.fact.text.startswith("observe: would ") for e in observed.of(Kind.ACTION_SIMULATED))


def test_what_follows_a_simulated_act_is_counterfactual() -> None:
    """Up to the restart that was not done the record is what enforce would have written; after it, it is not."""
    story = stories.sick(Health.STALLED, policy=makers.policy(observe=True))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    marks = [(str(e.fact.kind), str(e.fact.stage), e.fact.counterfactual) for e in story.disk.entries()]
    assert ("action.simulated", "evidence", False) in marks
    assert ("action.simulated", "replace", False) in marks
    after = marks[marks.index(("action.simulated", "replace", False)) + 1 :]
    assert {True} == {mark for kind, _, mark in after if kind != "incident.fired"}


def test_a_simulated_restart_says_that_no_dump_was_taken() -> None:
    """Evidence first, also where nothing is done."""
    story = stories.sick(Health.STALLED, policy=makers.policy(observe=True))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert ["the stage is in observe mode, so no dump was taken"] == [
        e.fact.data["why"] for e in story.of(Kind.EVIDENCE_MISSED)
    ]


def test_dumps_may_be_taken_while_the_rest_observes() -> None:
    """A stage has a mode of its own."""
    stages = (
        makers.DUMP,
        *(dataclasses.replace(s, mode=makers.Mode.OBSERVE) for s in (makers.TUNE, makers.REPLACE)),
    )
    policy = makers.policy(mode=makers.Mode.OBSERVE, stages=stages)
    story = stories.sick(Health.STALLED, policy=policy)
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert ["threadDump"] == [e.fact.action for e in story.of(Kind.ACTION_PLANNED)]
    assert 1 == len(story.of(Kind.EVIDENCE_STORED))


def test_simulated_restarts_count_on_a_budget_of_their_own() -> None:
    """Observe is held as enforce would be, and never uses up what enforce may do."""
    story = stories.sick(Health.STALLED, policy=makers.policy(observe=True))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    kept = story.ledger.folded.standing("api", story.clock.now()).restarts
    assert [(True, True)] == [(restart.shadow, restart.ours) for restart in kept]
