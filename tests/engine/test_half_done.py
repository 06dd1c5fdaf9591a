"""Acts that do not end, or end half-way: what they leave is taken care of."""

from __future__ import annotations

from lastack.engine import absorptions, facts, outcomes, plans
from lastack.policy import vocabulary
from tests.engine import stories
from tests.wards import Health

Kind = facts.FactKind


def test_a_dump_that_never_ends_holds_up_the_evidence_of_others_for_its_bounded_wait_only() -> None:
    """One dump at a time, but not for ever: the second member's evidence begins after waitAtMost."""
    story = stories.Story("a", "b")
    story.ways.dumps_end = False
    story.ward.fall_sick("a", Health.STALLED)
    story.ward.fall_sick("b", Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    first, second = (entry.fact for entry in story.of(Kind.ACTION_PLANNED))
    assert {"a", "b"} == {first.member, second.member}
    assert second.at.since(first.at) >= story.policies[0].stages[0].action.wait_at_most  # type: ignore[union-attr] # it is the dump


def test_a_setting_that_was_written_by_a_failed_act_is_leased() -> None:
    """What was changed and could not be undone is owed all the same; what was not changed is not."""
    story = stories.sick(Health.DROPPING)
    story.until(
        lambda: any(e.fact.action is vocabulary.ActionKind.SYSCTL for e in story.of(Kind.ACTION_PLANNED))
    )
    planned = next(
        e.fact for e in story.of(Kind.ACTION_PLANNED) if e.fact.action is vocabulary.ActionKind.SYSCTL
    )
    ends = {
        happened: [
            fact.kind
            for fact in absorptions.absorb(
                planned,
                plans.step_of(planned),
                outcomes.Failed("it broke", happened=happened),
                story.clock.now(),
            )
        ]
        for happened in (True, False)
    }
    assert {True: [Kind.ACTION_FAILED, Kind.SYSCTL_LEASED], False: [Kind.ACTION_FAILED]} == ends
