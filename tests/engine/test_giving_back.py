"""Leases and policies in mid-incident: what is given back, when, and what is abandoned on record."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from lastack.engine import facts
from lastack.policy import valid
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health


def leased(policy: valid.Policy | None = None) -> stories.Story:
    """A story in which somaxconn is leased and the restart that it waits for is held: only one member is left."""
    story = stories.sick(Health.DROPPING, "a", policy=policy)
    story.until_kind(Kind.SYSCTL_LEASED)
    story.until(lambda: ("replace", "a", "min-available") in story.refusals())
    assert "4096" == story.ward.sysctls[wards.SOMAXCONN]
    return story


def test_a_lease_is_given_back_when_its_time_is_over() -> None:
    """restore.after counts from the write."""
    story = leased()
    since = story.of(Kind.SYSCTL_LEASED)[0].fact.at.wall
    story.clock.advance(dt.timedelta(minutes=14))
    for _ in range(4):
        story.tick(1)
        story.clock.advance(dt.timedelta(minutes=14))
    entry = story.until_kind(Kind.SYSCTL_RESTORED)
    assert entry.fact.at.wall - since >= dt.timedelta(hours=1)
    assert ("128", []) == (story.ward.sysctls[wards.SOMAXCONN], story.leases())


def test_a_lease_is_given_back_when_its_policy_is_removed() -> None:
    """Also when it was the only one; the incident is abandoned on record first."""
    story = leased()
    story.put()
    story.tick(3)
    assert ["incident.abandoned", "sysctl.restored"] == [
        kind for kind in story.kinds() if kind in {"incident.abandoned", "sysctl.restored"}
    ]
    assert ["policy api is not in force any more"] == [e.fact.text for e in story.of(Kind.POLICY_REMOVED)]
    assert ("128", []) == (story.ward.sysctls[wards.SOMAXCONN], story.leases())


def test_a_lease_is_given_back_when_lastack_is_started_without_its_policy() -> None:
    """Nothing is forgotten by a restart."""
    story = leased()
    story.policies = []
    story.boot()
    story.tick(3)
    assert "128" == story.ward.sysctls[wards.SOMAXCONN]
    assert "abandoned" == story.closed()[0].outcome


def test_a_lease_is_given_back_when_its_incident_is_abandoned() -> None:
    """The mode was lowered in mid-incident: no new act begins, and what was written goes back."""
    story = leased()
    story.put(makers.policy(observe=True, digest="sha256:" + "2" * 64))
    story.tick(3)
    assert "abandoned" == story.closed()[0].outcome
    assert "128" == story.ward.sysctls[wards.SOMAXCONN]


def test_a_lease_is_kept_while_nothing_ends_it() -> None:
    """A restart of lastack does not give back blindly."""
    story = leased()
    story.boot()
    story.tick(20)
    assert ("4096", 1) == (story.ward.sysctls[wards.SOMAXCONN], len(story.leases()))


def test_a_later_edit_wins_and_is_on_record() -> None:
    """Compare and swap: a human's value stays."""
    story = leased()
    story.ward.sysctls[wards.SOMAXCONN] = "1024"
    story.controls.say("restore", name=wards.SOMAXCONN)
    story.tick(2)
    assert ["a later edit wins"] == [e.fact.text for e in story.of(Kind.SYSCTL_YIELDED)]
    assert ("1024", []) == (story.ward.sysctls[wards.SOMAXCONN], story.leases())


@pytest.mark.parametrize(
    ("way", "why"),
    [("restores_fail", "the namespace cannot be entered"), ("restores_refused", "run as root")],
)
def test_a_lease_that_cannot_be_given_back_stays_owed(way: str, why: str) -> None:
    """It is said once per reason, and tried again until it works."""
    story = leased()
    setattr(story.ways, way, True)
    story.put()
    story.tick(5)
    assert ("4096", 1) == (story.ward.sysctls[wards.SOMAXCONN], len(story.leases()))
    assert [f"net.core.somaxconn is 4096 and could not be given back, which stays owed: {why}"] == [
        e.fact.text for e in story.of(Kind.NOTIFICATION_RAISED)
    ]
    setattr(story.ways, way, False)
    story.tick(2)
    assert ("128", []) == (story.ward.sysctls[wards.SOMAXCONN], story.leases())


def test_a_lease_of_another_boot_is_over() -> None:
    """Its namespace died with the boot; the keeper finds nothing to give back."""
    story = leased()
    story.clock.boot_id = "b0071d00-0000-4000-8000-000000000002"
    story.ward.sysctls[wards.SOMAXCONN] = "128"
    story.boot()
    story.tick(3)
    assert [] == story.leases()


CHANGED = makers.policy(digest="sha256:" + "2" * 64)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (
            dataclasses.replace(CHANGED, target=valid.SupervisedTarget("other")),
            "abandoned: its policy has another target now",
        ),
        (
            dataclasses.replace(CHANGED, stages=(makers.DUMP, makers.REPLACE)),
            "abandoned: the stages of its policy, or their modes, were changed",
        ),
    ],
)
def test_an_incident_ends_on_record_when_its_policy_becomes_another(after: valid.Policy, why: str) -> None:
    """Rungs and members of before mean nothing under the new one."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.put(after)
    story.tick(1)
    assert [why] == [e.fact.text for e in story.of(Kind.INCIDENT_ABANDONED)]


def test_an_incident_goes_on_when_only_limits_of_its_policy_changed() -> None:
    """The new limits are in force at once."""
    story = stories.sick(Health.STALLED, "a")
    story.until(lambda: ("replace", "a", "min-available") in story.refusals())
    story.put(makers.policy(digest="sha256:" + "2" * 64, limits=makers.limits(min_available=0)))
    assert ("verified", 1) == (story.until_closed().outcome, len(story.history()))


def test_an_incident_whose_policy_changed_while_lastack_was_away_is_abandoned() -> None:
    """What was changed cannot be told, so nothing is assumed."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.policies = [makers.policy(digest="sha256:" + "2" * 64)]
    story.boot()
    story.tick(1)
    assert "abandoned: its policy was changed while lastack was away" == (
        story.of(Kind.INCIDENT_ABANDONED)[0].fact.text
    )


def test_an_incident_goes_on_after_a_restart_with_the_same_policy() -> None:
    """Whatever holds survives the restart of lastack itself."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.boot()
    assert ("verified", 1) == (story.until_closed().outcome, len(story.history()))


def test_a_policy_set_that_is_refused_changes_nothing() -> None:
    """The old one stays in force, and the problems are on record."""
    story = stories.sick(Health.STALLED)
    story.source.put(rejected="api.yaml:3:1: error: modee is not a field\nand one more")
    assert "verified" == story.until_closed().outcome
    assert [
        "the new policy set was refused, the old one stays in force: api.yaml:3:1: error: modee is not a field"
    ] == [e.fact.text for e in story.of(Kind.POLICY_REJECTED)]


def test_a_policy_that_did_not_change_is_not_loaded_twice() -> None:
    """A reload of the same files is no news, and no count begins anew."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.INCIDENT_OPENED)
    story.put(makers.policy())
    story.tick(1)
    assert 1 == len(story.of(Kind.POLICY_LOADED))
    assert "verified" == story.until_closed().outcome


def test_a_replacement_that_outlives_its_incident_is_not_called_somebody_elses() -> None:
    """The policy went in the middle of it: its end is on record, and it counts once."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.put(dataclasses.replace(CHANGED, stages=(makers.DUMP, makers.REPLACE)))
    story.tick(10)
    assert "abandoned" == story.closed()[0].outcome
    kept = story.ledger.folded.standing("api", story.clock.now()).restarts
    assert ([], [True]) == (story.of(Kind.MEMBER_RESTARTED), [restart.ours for restart in kept])
    story.assert_whole()


def test_a_restart_that_outlives_its_incident_still_cools_down() -> None:
    """The policy was changed in mid-restart: the next incident does not restart the same member at once."""
    story = stories.sick(Health.STALLED)
    story.ward["a"].cures = [wards.Cure.SICK_AGAIN]
    story.until(lambda: any(e.fact.stage == "replace" for e in story.of(Kind.ACTION_PLANNED)))
    before = makers.policy()
    story.put(
        dataclasses.replace(before, stages=(before.stages[0], before.stages[2]), digest="sha256:" + "4" * 64)
    )
    story.until(lambda: ("replace", "a", "cooldown") in story.refusals())
    (restarted,) = (e for e in story.of(Kind.ACTION_SUCCEEDED) if e.fact.stage == "replace")
    again = story.until_kind(Kind.ACTION_PLANNED, 4)
    assert "replace" == again.fact.stage
    assert again.fact.at.since(restarted.fact.at) >= before.limits.cooldown
    story.assert_whole()
