"""What holds an act, told as whole stories: pauses, limits, evidence, a full disk, clocks, what cannot be seen."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest

from lastack import errors
from lastack.engine import censuses, facts, ladder, reasons, thresholds
from lastack.policy import valid
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health


def pause(story: stories.Story) -> None:
    """Somebody says stop."""
    story.controls.say("pause", reason="a release")


def resume(story: stories.Story) -> None:
    """And go on."""
    story.controls.say("resume")


def hold(story: stories.Story) -> None:
    """The host has a queued job for a."""
    reason = censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, "a job is queued for a")
    story.ward["a"].hold = reason


def release(story: stories.Story) -> None:
    """The job is done."""
    story.ward["a"].hold = None


def lose_b(story: stories.Story) -> None:
    """Only a is left."""
    story.ward.stop("b")


def find_b(story: stories.Story) -> None:
    """b is back."""
    story.ward.start("b")


def fill(story: stories.Story) -> None:
    """The disk has no room for a new act."""
    story.disk.no_room = "1 MB is free, 64 MB are kept free"


def empty(story: stories.Story) -> None:
    """There is room again."""
    story.disk.no_room = None


HOLDS: list[tuple[Callable[[stories.Story], None], Callable[[stories.Story], None], str, str]] = [
    (pause, resume, "paused", "paused by ada until `lastack resume`: a release"),
    (hold, release, "change-in-progress", "a job is queued for a"),
    (lose_b, find_b, "min-available", "without a 0 of 2 members would serve; limits.minAvailable is 1"),
]


@pytest.mark.parametrize(("first", "then", "reason", "text"), HOLDS)
def test_what_holds_is_refused_once_and_goes_on_when_it_passes(
    first: Callable[[stories.Story], None], then: Callable[[stories.Story], None], reason: str, text: str
) -> None:
    """One entry with the reason, nothing begun meanwhile, and the restart as soon as nothing holds it."""
    story = stories.sick(Health.STALLED)
    first(story)
    story.until(lambda: ("replace", "a", reason) in story.refusals())
    story.tick(30)
    said = [entry.fact.text for entry in story.of(Kind.ACTION_REFUSED) if entry.fact.stage == "replace"]
    assert ([text], []) == (said, story.ward.deeds)
    then(story)
    assert "verified" == story.until_closed().outcome
    assert ["replace a 1000@1"] == story.ward.deeds


def test_a_pause_ends_by_itself() -> None:
    """A pause with an end needs nobody."""
    story = stories.sick(Health.STALLED)
    story.controls.say("pause", reason="a release", **{"for": "1m"})
    assert "verified" == story.until_closed().outcome
    planned = story.of(Kind.ACTION_PLANNED)[1]
    assert dt.timedelta(seconds=70) == planned.fact.at.wall - wards.EPOCH


def test_warm_up_after_a_start_holds_what_disrupts_and_takes_evidence_all_the_same() -> None:
    """A lastack that has just started looks first."""
    policy = makers.policy(limits=makers.limits(warm_up=makers.seconds(60)))
    story = stories.Story(policy=policy)
    story.ward.fall_sick("a", Health.STALLED, ago=makers.seconds(30))
    stored = story.until_kind(Kind.EVIDENCE_STORED)
    planned = story.until_kind(Kind.ACTION_PLANNED, 2)
    assert [("tune", "a", "cannot-help"), ("replace", "a", "warm-up")] == story.refusals()
    assert stored.fact.at.wall - wards.EPOCH < makers.seconds(10)
    assert makers.seconds(60) == planned.fact.at.wall - wards.EPOCH


def test_a_process_that_has_just_started_is_left_alone() -> None:
    """limits.minProcessAge: it may still be starting up."""
    policy = makers.policy(limits=makers.limits(min_process_age=makers.seconds(100)))
    story = stories.sick(Health.STALLED, policy=policy)
    story.ward["a"].born = story.clock.steady
    planned = story.until_kind(Kind.ACTION_PLANNED, 2)
    assert ("replace", "a", "young-process") in story.refusals()
    assert makers.seconds(110) == planned.fact.at.wall - wards.EPOCH


def test_a_member_that_was_treated_cools_down_first() -> None:
    """What a restart did not heal for good, the next one waits for."""
    story = stories.sick(Health.STALLED)
    closed = story.until_closed()
    story.ward.fall_sick("a", Health.STALLED)
    story.until_closed(2)
    assert closed.closed_at is not None
    second = story.of(Kind.ACTION_PLANNED)[-1]
    assert ("replace", "a", "cooldown") in story.refusals()
    assert makers.seconds(60) == second.fact.at.wall - closed.closed_at.wall


def test_a_spent_budget_holds_until_the_oldest_restart_is_old_enough() -> None:
    """Restarts by others count; the refusal says how many, by whom and when the next may be."""
    policy = makers.policy(limits=makers.limits(restarts=valid.RestartBudget(1, makers.seconds(100))))
    story = stories.Story(policy=policy)
    story.tick(10)
    story.ward.restart("b")
    story.tick(1)
    story.ward.fall_sick("a", Health.STALLED)
    planned = story.until_kind(Kind.ACTION_PLANNED, 2)
    text = (
        "1 restart of api in the last 1m40s, 1 of them by others; "
        "limits.restarts allows 1, the next at 2026-11-22T10:01:50Z"
    )
    assert text == story.of(Kind.ACTION_REFUSED)[-1].fact.text
    assert makers.seconds(110) == planned.fact.at.wall - wards.EPOCH


def test_a_disruptive_act_waits_for_its_evidence_and_not_longer_than_it_may() -> None:
    """Dumps that do not end are recorded as missed, with the time waited, before the restart is planned."""
    story = stories.sick(Health.STALLED)
    story.ways.dumps_end = False
    story.until_kind(Kind.ACTION_PLANNED, 2)
    assert ("replace", "a", "evidence-pending") in story.refusals()
    (missed,) = story.of(Kind.EVIDENCE_MISSED)
    planned = story.of(Kind.ACTION_PLANNED)[1]
    assert planned.seq == missed.seq + 1
    assert {"why": "the dumps are not complete after 10s (waitAtMost)", "waited": "10s"} == missed.fact.data


def test_dumps_that_fail_are_missed_on_record_and_hold_nothing() -> None:
    """py-spy is not there: the reason stands before the restart."""
    story = stories.sick(Health.STALLED)
    story.ways.dumps_fail = True
    assert "verified" == story.until_closed().outcome
    assert ["no evidence of a: py-spy is not installed"] == [
        e.fact.text for e in story.of(Kind.EVIDENCE_MISSED)
    ]


def test_a_policy_without_dumps_says_that_there_is_no_evidence() -> None:
    """Before the first disruptive act, always."""
    story = stories.sick(Health.STALLED, policy=makers.policy(stages=(makers.TUNE, makers.REPLACE)))
    story.until_closed()
    kinds = story.kinds()
    assert ["the policy has no threadDump stage"] == [
        e.fact.data["why"] for e in story.of(Kind.EVIDENCE_MISSED)
    ]
    assert kinds.index("evidence.missed") < kinds.index("action.planned")


def test_evidence_of_a_life_that_ended_is_not_evidence_of_the_next() -> None:
    """Restarted by somebody in the middle of its dumps, and sick again: the new life is dumped too."""
    story = stories.sick(Health.STALLED, policy=makers.slow_to_clear())
    story.until_kind(Kind.ACTION_PLANNED)
    story.ward.restart("a", Health.STALLED)
    story.until_closed()
    order = [
        (str(e.fact.kind), e.fact.data.get("expected"))
        for e in story.of(Kind.ACTION_PLANNED, Kind.EVIDENCE_STORED)
    ]
    assert [
        ("action.planned", "1000@1"),
        ("evidence.stored", None),
        ("action.planned", "1010@2"),
        ("evidence.stored", None),
        ("action.planned", "1010@2"),
    ] == order


def test_a_disk_without_room_holds_every_new_act_and_nothing_is_lost() -> None:
    """Refused once each; when there is room the story goes on where it was."""
    story = stories.sick(Health.STALLED)
    fill(story)
    story.tick(40)
    assert [("evidence", "a", "disk-full"), ("tune", "a", "cannot-help"), ("replace", "a", "disk-full")] == (
        story.refusals()
    )
    assert [] == story.of(Kind.ACTION_PLANNED)
    empty(story)
    assert "verified" == story.until_closed().outcome
    kinds = story.kinds()
    assert kinds.index("evidence.stored") < len(kinds) - 1 - kinds[::-1].index("action.planned")


def test_a_disk_that_cannot_be_written_begins_nothing_and_gives_leases_back() -> None:
    """Each tick says so; a human's restore and status are answered, a pause when it is on record."""
    story = stories.sick(Health.DROPPING)
    story.until_closed()
    story.disk.unwritable = True
    story.ward.fall_sick("b", Health.STALLED, ago=makers.seconds(30))
    before = len(story.disk.lines)
    story.controls.say("restore")
    story.controls.say("status")
    story.controls.say("pause", reason="the disk is full")
    for _ in range(20):
        with pytest.raises(errors.StateUnusable):
            story.loop.tick()
        story.clock.advance(wards.SECOND)
    assert before == len(story.disk.lines)
    assert "128" == story.ward.sysctls[wards.SOMAXCONN]
    assert ["giving back net.core.somaxconn", "Status"] == [
        str(reply.get("text") or reply.get("kind")) for reply in story.controls.replies
    ]
    story.disk.unwritable = False
    story.tick(1)
    assert ["paused by ada until resumed: the disk is full"] == [
        str(reply["text"]) for reply in story.controls.replies[2:]
    ]
    assert 1 == len(story.of(Kind.OPERATOR_PAUSED))
    assert 1 == len(story.of(Kind.SYSCTL_RESTORED))
    story.controls.say("resume")
    assert "verified" == story.until_closed(2).outcome
    story.assert_whole()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_step_of_the_wall_clock_counts_what_was_sustained_anew(hours: int) -> None:
    """It is on record, warm-up begins again, and a cooldown is no shorter than before."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.clock.step(dt.timedelta(hours=hours))
    story.tick(2)
    assert ladder.Phase.SUSPECTED is story.incident.phase
    (entry,) = story.of(Kind.CLOCK_STEPPED)
    assert f"set {'forward' if hours > 0 else 'back'} by 1h" in entry.fact.text
    planned = story.until_kind(Kind.ACTION_PLANNED, 2)
    assert planned.fact.at.since(entry.fact.at) >= makers.policy().limits.warm_up
    assert "verified" == story.until_closed().outcome


def test_a_host_that_slept_is_looked_at_anew() -> None:
    """What was seen before the gap was not sustained through it."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.clock.advance(thresholds.GAP + makers.seconds(1))
    story.tick(1)
    assert ["nothing was seen for 32s; what was sustained is counted anew"] == [
        e.fact.text for e in story.of(Kind.CLOCK_STEPPED)
    ]
    assert ladder.Phase.SUSPECTED is story.incident.phase


def test_a_host_that_cannot_be_asked_is_not_acted_on() -> None:
    """The members of before are unknown now, nothing begins, and it goes on when the host answers."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.ward.unreachable = "the system bus does not answer"
    story.tick(60)
    assert [] == [e for e in story.of(Kind.ACTION_PLANNED) if e.fact.stage == "replace"]
    story.ward.unreachable = None
    assert "verified" == story.until_closed().outcome


def test_a_census_of_before_makes_no_restart_by_somebody_else() -> None:
    """The host falls silent while it replaces a member: what is known of the members is older than what was done."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: any(e.fact.stage == "replace" for e in story.of(Kind.ACTION_PLANNED)))
    story.ward.unreachable = "the system bus does not answer"
    story.until(lambda: any(e.fact.stage == "replace" for e in story.of(Kind.ACTION_SUCCEEDED)))
    story.tick(3)
    story.ward.unreachable = None
    assert "verified" == story.until_closed().outcome
    assert [] == story.of(Kind.MEMBER_RESTARTED)


def test_a_suspect_that_somebody_stops_ends_the_incident() -> None:
    """Nobody is left to become well; that it was stopped is what the record says."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.EVIDENCE_STORED)
    story.ward.stop("a")
    closed = story.until_closed()
    assert ("inconclusive", ()) == (closed.outcome, closed.treated)
    (resolved,) = story.of(Kind.INCIDENT_RESOLVED)
    assert resolved.fact.text.startswith("a does not run any more; what ailed it cannot be told")


def test_a_sick_member_that_is_stopped_while_its_restart_is_held_ends_the_incident() -> None:
    """Here it was the only one, which minAvailable protects."""
    story = stories.sick(Health.STALLED, "a")
    story.until(lambda: ("replace", "a", "min-available") in story.refusals())
    story.ward.stop("a")
    assert "inconclusive" == story.until_closed().outcome


def test_a_suspect_that_is_being_restarted_by_somebody_is_waited_for() -> None:
    """A change in progress is no end."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.EVIDENCE_STORED)
    story.ward.stop("a")
    story.ward["a"].hold = censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, "a job is queued")
    story.tick(60)
    assert [] == story.closed()
    story.ward["a"].hold = None
    story.ward.start("a")
    assert "recovered-unaided" == story.until_closed().outcome


@pytest.mark.parametrize("settled", [1, 2])
def test_a_member_that_dies_after_its_restart_is_handed_to_a_human(settled: int) -> None:
    """While it settles or is watched: the incident stays open until the member runs and is well."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_SETTLED, settled)
    story.ward.stop("a")
    told = story.until_kind(Kind.NOTIFICATION_RAISED)
    assert "api needs a human: accept-stall, a does not run any more" == told.fact.text
    story.tick(60)
    assert [] == story.closed()
    story.ward.start("a")
    assert "exhausted" == story.until_closed().outcome
    story.assert_whole()


def test_a_host_that_cannot_be_found_ends_no_tick() -> None:
    """The other targets go on; what is wrong is in the status."""
    story = stories.Story()
    story.unfound = "no supervisor is known by the name 'api'"
    story.tick(3)
    story.controls.say("status")
    story.tick(1)
    assert story.unfound in str(story.controls.replies[-1]["targets"])
    story.unfound = None
    story.ward.fall_sick("a", Health.STALLED)
    assert "verified" == story.until_closed().outcome


def test_members_that_cannot_be_seen_are_never_acted_on() -> None:
    """UNKNOWN opens nothing."""
    story = stories.sick(Health.UNSEEN)
    story.tick(60)
    assert [] == story.kinds()


def test_members_whose_namespace_cannot_be_seen_are_not_called_silent() -> None:
    """Not seen is not the same as not listening."""
    trigger = dataclasses.replace(makers.STALLED, diagnoses=frozenset({makers.Code.NOT_LISTENING}))
    anything = makers.stage(makers.REPLACE, when=valid.When())
    story = stories.Story(policy=makers.policy(triggers=(trigger,), stages=(makers.DUMP, anything)))
    story.ward.namespaces_seen = False
    story.tick(60)
    assert [] == story.kinds()


def test_a_member_that_listens_nowhere_is_restarted_where_that_is_asked_for() -> None:
    """It runs, it can be seen, and it has no listener."""
    trigger = dataclasses.replace(makers.STALLED, diagnoses=frozenset({makers.Code.NOT_LISTENING}))
    anything = makers.stage(makers.REPLACE, when=valid.When())
    policy = makers.policy(triggers=(trigger,), stages=(makers.DUMP, anything))
    story = stories.sick(Health.NOT_LISTENING, policy=policy)
    assert "verified" == story.until_closed().outcome


def test_a_suspect_that_somebody_stops_while_another_settles_ends_the_incident() -> None:
    """The ladder has a way from there to the end, and nobody claims to have healed it."""
    story = stories.sick(Health.STALLED, "a", "b", "c", policy=makers.slow_to_clear(20))
    story.ward.fall_sick("b", Health.STALLED)
    story.until(lambda: bool(story.ward.deeds))
    story.ward.stop("b")
    assert "inconclusive" == story.until_closed().outcome
    assert ["replace a 1000@1"] == story.ward.deeds
    (settled,) = [e for e in story.of(Kind.INCIDENT_SETTLED) if "nothing left to settle" in e.fact.text]
    assert settled.fact.text == "b does not run any more: there is nothing left to settle"
    story.assert_whole()
