"""Incidents through the loop in which something is missing: members that vanish, settings that cannot be written."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack.engine import facts, guards, ladder, reasons
from lastack.policy import valid
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health


def test_a_new_life_that_does_not_listen_stops_the_rollout() -> None:
    """Quiet is not well: who listens nowhere has no symptom, and serves nobody."""
    story = stories.sick(Health.STALLED, "a", "b", "c", policy=makers.policy(probe=None))
    story.ward.fall_sick("b", Health.STALLED)
    story.until_kind(Kind.ACTION_SUCCEEDED, 2)
    story.until(lambda: story.ward["a"].lives == 2)
    story.ward.fall_sick("a", Health.NOT_LISTENING)
    story.until_kind(Kind.INCIDENT_EXHAUSTED, within=60)
    assert ["replace a 1000@1"] == story.ward.deeds
    assert [] == story.of(Kind.MEMBER_VERIFIED)


def test_a_new_life_that_cannot_be_seen_stops_the_rollout() -> None:
    """What is not seen within the time to become ready is not waited for for ever."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: story.ward["a"].lives == 2)
    story.ward.fall_sick("a", Health.UNSEEN)
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED, within=60)
    assert "first look" in entry.fact.text


def test_a_member_that_vanishes_while_it_is_replaced_stops_the_rollout() -> None:
    """It is not waited for for ever."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.until_kind(Kind.ACTION_PLANNED, 2)
    del story.ward.patients[story.ward["a"].name]
    story.until_kind(Kind.INCIDENT_EXHAUSTED, within=60)
    assert "exhausted" == story.until_closed().outcome


def test_a_member_that_dies_after_it_was_replaced_stops_the_rollout() -> None:
    """A replacement that does not live is no replacement."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_SUCCEEDED, 2)
    story.ward.stop("a")
    story.until_kind(Kind.INCIDENT_EXHAUSTED, within=60)
    story.tick(30)
    assert [] == story.closed()
    story.ward.start("a")
    assert "exhausted" == story.until_closed().outcome


def test_a_stopped_member_that_was_never_sick_does_not_hold_the_end() -> None:
    """Somebody stopped c on purpose; a was healed all the same."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.ward.stop("c")
    assert "verified" == story.until_closed().outcome


def test_a_stopped_member_that_is_started_has_joined_and_was_not_restarted() -> None:
    """A start is no restart: it does not count on the budget."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.ward.stop("c")
    story.until_kind(Kind.INCIDENT_OPENED)
    story.ward.start("c")
    story.until_closed()
    assert ([], ["c"]) == (
        story.of(Kind.MEMBER_RESTARTED),
        [e.fact.member for e in story.of(Kind.MEMBER_JOINED)],
    )


def test_a_member_that_can_never_be_seen_does_not_hold_the_end() -> None:
    """Nothing is concluded about it, and the record says so."""
    story = stories.sick(Health.STALLED, "a", "b", "c")
    story.ward.fall_sick("c", Health.UNSEEN)
    assert "verified" == story.until_closed().outcome
    assert "nothing is known of c" in story.of(Kind.INCIDENT_RESOLVED)[0].fact.text


def test_a_suspect_that_cannot_be_seen_any_more_holds_the_end() -> None:
    """What is not seen is not over."""
    story = stories.sick(Health.STALLED)
    story.tick(12)
    story.ward.fall_sick("a", Health.UNSEEN)
    story.tick(60)
    assert [] == story.closed()
    assert [] == story.ward.deeds


def test_a_young_leak_is_refused_and_does_not_hold_up_the_member_that_is_stalled() -> None:
    """The first that fell sick is held by what concerns it alone; the next is not."""
    story = stories.sick(Health.LEAKING, "a", "b", "c", ago=dt.timedelta(seconds=60))
    story.tick(8)
    story.ward.fall_sick("b", Health.STALLED)
    story.until_kind(Kind.MEMBER_VERIFIED)
    assert ("replace", "a", "low-confidence") in story.refusals()
    assert ["replace b 1001@1"] == story.ward.deeds


def test_drops_that_no_setting_can_help_are_handed_to_a_human_without_a_restart() -> None:
    """The application's own backlog is the cap: a restart would listen with the same one."""
    story = stories.sick(Health.DROPPING)
    story.ward["a"].backlog = story.ward["a"].limit = 50
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert "a restart is not for what is wrong" in entry.fact.text
    assert [("tune", "a", "cannot-help"), ("replace", "a", "cannot-help")] == story.refusals()
    assert [] == story.ward.deeds


@pytest.mark.parametrize("way", ["sysctls_refused", "sysctls_fail"])
def test_a_setting_that_cannot_be_written_restarts_nobody(way: str) -> None:
    """Without the larger cap the next listen() is as short as the last."""
    story = stories.sick(Health.DROPPING)
    setattr(story.ways, way, True)
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert [] == story.ward.deeds


def test_bursts_that_end_while_the_restart_is_held_end_the_incident() -> None:
    """A lease that had no effect yet heals nothing, and the incident does not stay open for ever."""
    story = stories.sick(Health.DROPPING, "a")
    story.until(lambda: ("replace", "a", "min-available") in story.refusals())
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "inconclusive" == story.until_closed().outcome


def test_a_target_that_is_restarted_by_a_refusing_host_is_handed_over() -> None:
    """What the host refuses twice will not pass by itself."""
    story = stories.sick(Health.STALLED)
    story.ward["a"].cures = [wards.Cure.REFUSED, wards.Cure.REFUSED]
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert "start-limit" in entry.fact.text
    assert [reasons.Reason.START_LIMIT] * 2 == [e.fact.reason for e in story.of(Kind.ACTION_FAILED)]
    assert [] == story.ward.deeds


def test_a_signal_opens_an_incident_that_says_which_number_it_was() -> None:
    """The finding may be healthy: the record names what fired."""
    trigger = valid.SignalTrigger(
        valid.TriggerName("piling"),
        makers.Name.CLOSE_WAIT_TOTAL,
        10,
        5,
        makers.seconds(2),
        makers.seconds(3),
    )
    story = stories.sick(Health.LEAKING, policy=makers.policy(triggers=(trigger,)))
    opened = story.until_kind(Kind.INCIDENT_OPENED)
    assert "a: closeWait.total is 11, above 10" == opened.fact.text
    assert "healthy" == opened.fact.data["diagnosis"]
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert [("tune", "a", "cannot-help"), ("replace", "a", "cannot-help")] == story.refusals()
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome
    assert guards.SERVING_NOTHING.isdisjoint({makers.Code.HEALTHY, makers.Code.FD_LEAK})


def test_a_replaced_member_that_fires_again_while_it_is_watched_stops_the_rollout() -> None:
    """Sick again within the time that it had to become well."""
    patient = makers.stage(makers.REPLACE, action=valid.RollingRestart(makers.seconds(60), makers.seconds(3)))
    story = stories.sick(Health.STALLED, policy=makers.policy(stages=(makers.DUMP, patient)))
    story.ward["a"].cures = [wards.Cure.SICK_AGAIN]
    entry = story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert entry.fact.text.endswith("a was replaced and is sick again")


def test_a_treated_member_that_is_gone_cannot_be_verified() -> None:
    """It was scaled away while it was being watched: nobody can say that it was healed."""
    story = stories.sick(Health.STALLED, "a", "b", "c", policy=makers.slow_to_clear(20))
    story.until(lambda: len(story.history()) > 0 and story.incident.phase is ladder.Phase.SETTLING)
    del story.ward.patients[story.ward["a"].name]
    assert "ineffective" == story.until_closed().outcome


def test_an_answer_to_a_question_of_a_policy_that_is_gone_is_dropped() -> None:
    """The probe was under way when the policy went."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: len(story.history()) > 0 and story.incident.phase is ladder.Phase.RECOVERING)
    story.ways.mute = True
    story.tick(1)
    story.put()
    story.tick(1)
    story.ways.mute = False
    story.tick(1)
    assert "abandoned" == story.closed()[0].outcome
