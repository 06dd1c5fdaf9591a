"""Whole incidents through the loop: what heals, what does not, and how each of them ends."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack.engine import facts, ladder
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health
EVIDENCE = ["action.planned", "action.succeeded", "evidence.stored"]
VERIFIED = [
    "action.succeeded",
    "member.verified",
    "incident.settled",
    "incident.settled",
    "incident.resolved",
]


def test_a_stall_is_evidenced_replaced_verified_and_closed() -> None:
    """The whole path in its order: evidence first, the sysctl refused with its reason, one member replaced."""
    story = stories.sick(Health.STALLED)
    closed = story.until_closed()
    assert [
        "incident.opened",
        *EVIDENCE,
        "member.sickened",
        "incident.fired",
        "action.refused",
        "incident.escalated",
        "action.planned",
        *VERIFIED,
    ] == story.kinds()
    assert [("tune", "a", "cannot-help")] == story.refusals()
    assert "nobody accepts from it" in story.of(Kind.ACTION_REFUSED)[0].fact.text
    assert ("verified", ("a",)) == (closed.outcome, closed.treated)
    assert ["replace a 1000@1"] == story.ward.deeds
    story.assert_whole()


def test_a_backlog_too_small_is_tuned_first_and_restarted_for_it_to_count() -> None:
    """The lease waits for the next listen(), which the restart brings; the new limit is the leased one."""
    story = stories.sick(Health.DROPPING)
    closed = story.until_closed()
    assert [
        "incident.opened",
        *EVIDENCE,
        "member.sickened",
        "incident.fired",
        "action.planned",
        "action.succeeded",
        "sysctl.leased",
        "incident.escalated",
        "action.planned",
        *VERIFIED,
    ] == story.kinds()
    assert "waits for the next listen()" in story.of(Kind.INCIDENT_ESCALATED)[0].fact.text
    assert "verified" == closed.outcome
    assert ["write net.core.somaxconn 4096", "replace a 1000@1"] == story.ward.deeds
    assert 4096 == story.ward["a"].limit
    story.assert_whole()


def test_a_leak_that_is_old_enough_is_replaced() -> None:
    """Ten minutes of held connections, still growing, are a leak of high confidence."""
    story = stories.sick(Health.LEAKING, ago=dt.timedelta(minutes=10))
    assert ("verified", "fd-leak") == (story.until_closed().outcome, story.incident.diagnosis)


def test_two_sick_members_are_replaced_one_after_the_other() -> None:
    """The second goes only when the first was verified and is warm; with 3 members one may always be missed."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.ward.fall_sick("b", Health.STALLED)
    closed = story.until_closed()
    steps = [
        (str(e.fact.kind), e.fact.member)
        for e in story.of(Kind.ACTION_PLANNED, Kind.MEMBER_VERIFIED)
        if e.fact.stage == "replace"
    ]
    assert [
        ("action.planned", "a"),
        ("member.verified", "a"),
        ("action.planned", "b"),
        ("member.verified", "b"),
    ] == steps
    assert ("verified", ("a", "b")) == (closed.outcome, closed.treated)


@pytest.mark.parametrize(
    ("cure", "ends", "why"),
    [
        (wards.Cure.FAILS, "action.failed", "the replacement of a failed; the rollout stops"),
        (wards.Cure.NEVER_READY, "action.failed", "the replacement of a failed; the rollout stops"),
        (
            wards.Cure.SICK_AGAIN,
            "action.succeeded",
            "a was replaced and is not well after 13s: waiting for a to serve",
        ),
    ],
)
def test_a_canary_that_does_not_come_back_well_stops_the_rollout(
    cure: wards.Cure, ends: str, why: str
) -> None:
    """The second sick member is left alone, and a human is told once."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.ward.fall_sick("b", Health.STALLED)
    story.ward["a"].cures = [cure]
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    story.tick(60)
    assert ends in {str(e.fact.kind) for e in story.of(Kind.ACTION_FAILED, Kind.ACTION_SUCCEEDED)}
    assert why in story.of(Kind.INCIDENT_EXHAUSTED)[0].fact.text
    (notice,) = story.of(Kind.NOTIFICATION_RAISED)
    assert notice.fact.text.startswith(f"api needs a human: accept-stall, {why}")
    assert ["replace a 1000@1"] == story.ward.deeds
    assert ladder.Phase.EXHAUSTED is story.incident.phase


def test_what_a_human_healed_after_the_ladder_ended_is_exhausted_not_verified() -> None:
    """The restart did not help; the record does not claim the healing."""
    story = stories.sick(Health.STALLED)
    story.ward["a"].cures = [wards.Cure.SICK_AGAIN]
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    story.ward.restart("a")
    closed = story.until_closed()
    assert "exhausted" == closed.outcome
    assert [("a", "not by lastack")] == [
        (e.fact.member, e.fact.text[-14:]) for e in story.of(Kind.MEMBER_RESTARTED)
    ]


@pytest.mark.parametrize("seconds", [11, 13])
def test_what_passes_by_itself_is_recovered_unaided(seconds: int) -> None:
    """A suspicion that goes away leaves a record and no act but its evidence."""
    story = stories.sick(Health.STALLED)
    story.tick(seconds)
    assert ladder.Phase.SUSPECTED is story.incident.phase
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome
    assert [] == story.ward.deeds


def test_what_passes_while_it_is_held_is_recovered_unaided() -> None:
    """A restart that a guard held until the symptom went has no part in it."""
    story = stories.sick(Health.STALLED, "a")
    story.until(lambda: bool(story.refusals()))
    story.until(lambda: ("replace", "a", "min-available") in story.refusals())
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome
    assert [] == story.ward.deeds


def test_a_restart_by_somebody_else_is_on_record_and_never_claimed() -> None:
    """It resets the verdicts, counts on the budget, and the end is nobody's merit."""
    story = stories.sick(Health.STALLED)
    story.tick(12)
    story.ward.restart("a")
    closed = story.until_closed()
    assert ("recovered-unaided", ()) == (closed.outcome, closed.treated)
    (entry,) = story.of(Kind.MEMBER_RESTARTED)
    assert {"life": "1010@2", "before": "1000@1"} == entry.fact.data
    kept = story.ledger.folded.standing("api", story.clock.now()).restarts
    assert [("a", False, False)] == [(r.member, r.ours, r.shadow) for r in kept]


def test_a_restart_by_somebody_else_without_an_incident_is_on_record_too() -> None:
    """The budget counts every restart of the target."""
    story = stories.Story()
    story.tick(3)
    story.ward.restart("b")
    story.tick(3)
    assert [("b", None)] == [(e.fact.member, e.fact.incident) for e in story.of(Kind.MEMBER_RESTARTED)]


def test_a_member_that_falls_sick_while_the_first_settles_is_treated_and_verified_too() -> None:
    """New acts of a stage settle anew; they do not end the ladder."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.ward.fall_sick("b", Health.STALLED, ago=dt.timedelta(seconds=2))
    closed = story.until_closed()
    assert [] == story.of(Kind.INCIDENT_EXHAUSTED)
    assert ("verified", ("a", "b")) == (closed.outcome, closed.treated)
    assert ["replace a 1000@1", "replace b 1001@1"] == story.ward.deeds


def test_a_symptom_that_comes_back_to_a_replaced_member_ends_the_ladder() -> None:
    """Relapsed while it was being watched: the same rung is not climbed twice for one member."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: len(story.history()) > 0 and story.incident.phase is ladder.Phase.SETTLING)
    story.ward.fall_sick("a", Health.STALLED, ago=dt.timedelta(seconds=30))
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert "a was replaced and is sick again (accept-stall)" in entry.fact.text
    assert ["replace a 1000@1"] == story.ward.deeds


def test_a_relapse_in_recovery_is_taken_up_again() -> None:
    """From RECOVERING back to the ladder, and on to its end."""
    story = stories.sick(Health.STALLED, policy=makers.slow_to_clear())
    story.until(lambda: len(story.history()) > 0 and story.incident.phase is ladder.Phase.RECOVERING)
    story.ward.fall_sick("a", Health.STALLED, ago=dt.timedelta(seconds=30))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert "the symptom came back while it was being watched" in [
        e.fact.text for e in story.of(Kind.INCIDENT_FIRED)
    ]


def test_without_a_probe_traffic_verifies() -> None:
    """Connections that are accepted again are as good as an answer."""
    story = stories.sick(Health.STALLED, policy=makers.policy(probe=None))
    closed = story.until_closed()
    assert "verified" == closed.outcome
    assert "connections are being accepted" in story.of(Kind.INCIDENT_RESOLVED)[0].fact.text


def test_without_a_probe_and_without_traffic_the_end_is_inconclusive() -> None:
    """Nobody can say that a service serves that nobody asks."""
    story = stories.sick(Health.STALLED, policy=makers.policy(probe=None))
    for name in ("a", "b"):
        story.ward[name].traffic = False
    assert "inconclusive" == story.until_closed().outcome


def test_a_member_that_does_not_answer_any_more_after_it_was_ready_stops_the_rollout() -> None:
    """A probe that never passes is not waited for longer than the member had time to become ready."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_SUCCEEDED, 2)
    story.ward["a"].answers = False
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED, within=60)
    assert "answer the probe" in entry.fact.text


def test_a_probe_that_fails_while_the_symptom_is_gone_is_ineffective() -> None:
    """Quiet and not answering is not healed; a human should look."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: len(story.history()) > 0 and story.incident.phase is ladder.Phase.SETTLING)
    story.ward["a"].answers = False
    assert "ineffective" == story.until_closed().outcome
