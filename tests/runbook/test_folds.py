"""Folds: what holds now is the sum of the entries, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.engine import actions, facts, incidents, standings
from lastack.policy import valid, vocabulary
from lastack.runbook import entries, folds, listings, pauses
from tests.runbook import stories

Kind = facts.FactKind
NOW = stories.later(1000)
RESTART = "replace rollingRestart"


def standing(*news: facts.Fact, target: str | None = None) -> standings.Standing:
    """What holds after these facts."""
    return folds.fold(stories.told(news)).standing(target, NOW)


@pytest.mark.parametrize(
    ("news", "counted"),
    [
        (stories.act(1, Kind.ACTION_SUCCEEDED, "", "a", "m", RESTART), (False, True)),
        (stories.act(1, Kind.ACTION_FAILED, "", "a", "m", RESTART, happened="yes"), (False, True)),
        (stories.act(1, Kind.ACTION_FAILED, "", "a", "m", RESTART, happened="no"), None),
        (stories.act(1, Kind.ACTION_INTERRUPTED, "", "a", "m", RESTART, happened="yes"), (False, True)),
        (stories.act(1, Kind.ACTION_INTERRUPTED, "", "a", "m", RESTART, happened="unknown"), (False, True)),
        (stories.act(1, Kind.ACTION_INTERRUPTED, "", "a", "m", RESTART, happened="no"), None),
        (stories.act(1, Kind.ACTION_SIMULATED, "", "a", "m", RESTART), (True, True)),
        (stories.act(1, Kind.ACTION_SIMULATED, "", "a", "m", "evidence threadDump"), None),
        (stories.act(1, Kind.ACTION_SUCCEEDED, "", "a", "m", "evidence threadDump"), None),
        (stories.act(1, Kind.ACTION_PLANNED, "", "a", "m", RESTART), None),
        (stories.fact(1, Kind.MEMBER_RESTARTED, "", member="m"), (False, False)),
        (stories.fact(1, Kind.MEMBER_RESTARTED, ""), None),
    ],
)
def test_a_restart_counts_unless_it_is_known_not_to_have_happened(
    news: facts.Fact, counted: tuple[bool, bool] | None
) -> None:
    """By others too, and simulated ones on the shadow budget."""
    restart = standings.Restart(
        "device-api", actions.MemberName("m"), stories.later(1).wall, *(counted or (True, True))
    )
    assert ((restart,) if counted else ()) == standing(news).restarts


def test_restarts_and_cooldowns_are_those_of_the_target() -> None:
    """What another target spent is not this one's."""
    news = stories.fact(1, Kind.MEMBER_RESTARTED, "", member="m")
    other = dataclasses.replace(news, target="other")
    assert 2 == len(standing(news, other).restarts)
    assert ["other"] == [restart.target for restart in standing(news, other, target="other").restarts]
    assert 1 == len(standing(*stories.STALL, target="device-api").remediations)
    assert () == standing(*stories.STALL, target="other").remediations


def test_the_newest_restarts_are_kept() -> None:
    """The sum does not grow for ever, and no clock that was wrong can make restarts old."""
    news = [stories.fact(n, Kind.MEMBER_RESTARTED, "", member="m") for n in range(folds.KEPT_RESTARTS + 5)]
    kept = standing(*news).restarts
    assert (folds.KEPT_RESTARTS, stories.later(5).wall) == (len(kept), kept[0].at)


@pytest.mark.parametrize(
    ("ending", "seconds"),
    [
        (stories.STALL[-1], 550),
        (stories.fact(560, Kind.INCIDENT_ABANDONED, "its policy is gone", {"why": "gone"}), 560),
    ],
)
def test_a_cooldown_runs_from_the_end_of_the_incident(ending: facts.Fact, seconds: int) -> None:
    """Only for members that a remedy was applied to."""
    found = standing(*stories.STALL[:-1], ending).remediations
    member = actions.MemberName(stories.FIRST)
    assert (standings.Remediation("device-api", member, stories.later(seconds).wall),) == found


def test_a_pause_holds_until_its_end_or_a_resume() -> None:
    """It survives the restart of lastack, because it is an entry."""
    pause = pauses.paused(stories.later(1), "root, pid 1", "deploying 4.2", None)
    assert pauses.pause_of(pause) == standing(pause).pause
    assert (
        standing(pause, pauses.resumed(stories.later(2), "root, pid 1", pauses.pause_of(pause))).pause is None
    )
    short = pauses.paused(stories.later(1), "root, pid 1", "deploying 4.2", dt.timedelta(minutes=1))
    assert standing(short).pause is None
    assert folds.fold(stories.told([short])).standing(None, stories.later(30)).pause is not None


def test_says_what_a_pause_and_a_resume_were() -> None:
    """The sentences name who, why and until when."""
    pause = pauses.paused(stories.later(0), "root, pid 1", "deploying", dt.timedelta(hours=2))
    assert "paused by root, pid 1 until 2026-11-22T12:00:42Z: deploying" == pause.text
    assert "paused by me until resumed: x" == pauses.paused(stories.later(0), "me", "x", None).text
    again = pauses.resumed(stories.later(60), "me", pauses.pause_of(pause))
    assert "resumed by me, after a pause since 2026-11-22T10:00:42Z: deploying" == again.text
    assert "resumed by me; nothing was paused" == pauses.resumed(stories.later(60), "me", None).text


def test_a_lease_is_open_until_it_is_given_back_or_yielded() -> None:
    """Everything that a restore needs is in its entry."""
    (lease,) = standing(stories.LEASED).leases
    assert (
        standings.Lease(
            namespace=4026531840,
            boot_id="boot-1",
            name="net.core.somaxconn",
            original="128",
            desired="4096",
            observed="4096",
            pid=4711,
            scope="host",
            policy=valid.PolicyName("device-api"),
            incident=actions.IncidentId("device-api-k3jq7w2m4a"),
            step=actions.StepId("tune-1"),
            since=stories.later(40).wall,
            until=dt.datetime(2026, 11, 29, 10, 1, 22, tzinfo=dt.UTC),
        )
        == lease
    )
    assert "net.core.somaxconn" == listings.lease_row(lease)["name"]
    assert () == standing(stories.LEASED, stories.GIVEN_BACK).leases
    assert (
        ()
        == standing(stories.LEASED, dataclasses.replace(stories.GIVEN_BACK, kind=Kind.SYSCTL_YIELDED)).leases
    )


def test_a_second_lease_of_a_name_keeps_the_first_original() -> None:
    """What is given back is the value before lastack, not the value of an earlier lease."""
    again = dataclasses.replace(
        stories.LEASED,
        policy=None,
        incident=None,
        action_id=None,
        data={**stories.LEASED.data, "original": "4096", "desired": "8192", "pid": "?", "until": None},
    )
    (lease,) = standing(stories.LEASED, again).leases
    assert ("128", "8192", 0, None) == (lease.original, lease.desired, lease.pid, lease.until)
    assert listings.lease_row(lease)["until"] is None


def test_a_lease_is_of_its_namespace_and_boot() -> None:
    """The same name elsewhere is another lease; an entry without either is kept under what it says."""
    elsewhere = dataclasses.replace(stories.LEASED, data={**stories.LEASED.data, "namespace": 4026532000})
    bare = dataclasses.replace(stories.LEASED, data={"name": "net.core.somaxconn"})
    assert 3 == len(standing(stories.LEASED, elsewhere, bare).leases)


def test_policy_texts_are_known_by_their_hash() -> None:
    """So that a text is written once."""
    loaded = stories.fact(0, Kind.POLICY_LOADED, "in force", {"text": "apiVersion: ..."})
    assert {"sha256:" + "ab" * 32: "apiVersion: ..."} == standing(loaded).texts
    assert (
        {}
        == standing(
            dataclasses.replace(loaded, policy_hash=None), stories.fact(0, Kind.POLICY_LOADED, "")
        ).texts
    )


def test_looking_begins_anew_with_every_start_and_clock_step() -> None:
    """The warm-up runs from there; before any start from now."""
    assert NOW == standing().started
    start = stories.fact(5, Kind.LASTACK_STARTED, "started")
    step = stories.fact(9, Kind.CLOCK_STEPPED, "stepped")
    assert start.at == standing(start).started
    assert step.at == standing(start, step).started


def test_says_what_the_store_says_about_its_room() -> None:
    """The one thing that no entry tells."""
    assert "full" == folds.Folded().standing(None, NOW, disk_full="full").disk_full


def test_an_act_without_an_outcome_is_left_to_be_reconciled() -> None:
    """Also when its incident was abandoned meanwhile: a crash must not forget it."""
    planned = stories.STALL[7]
    gone = stories.fact(40, Kind.INCIDENT_ABANDONED, "its policy is gone", {"why": "gone"})
    folded = folds.fold(stories.told([*stories.STALL[:8], gone])).without_closed()
    assert {planned.action_id: planned} == dict(folded.planned)
    assert {} == dict(folded.told)
    assert {} == dict(folds.fold(stories.told([dataclasses.replace(planned, action_id=None)])).planned)


def test_an_incident_is_listed_as_the_contracts_say() -> None:
    """From its first to its last entry, with the members that were sick."""
    (told,) = folds.history(stories.told(stories.STALL))
    assert {
        "id": "device-api-k3jq7w2m4a",
        "policy": "device-api",
        "target": "device-api",
        "openedAt": "2026-11-22T10:00:42Z",
        "closedAt": "2026-11-22T10:09:52Z",
        "phase": "QUIET",
        "outcome": "verified",
        "diagnosis": "accept-stall",
        "cause": "unknown",
        "members": (stories.FIRST,),
        "firstSeq": 1,
        "lastSeq": 13,
    } == listings.incident_row(told)
    (suspected,) = folds.history(stories.told(stories.STALL[:1]))
    row = listings.incident_row(suspected)
    assert (None, None, (stories.FIRST, stories.SECOND)) == (row["closedAt"], row["outcome"], row["members"])
    assert set(listings.INCIDENT_FIELDS) == set(row)


def test_what_comes_after_the_end_does_not_evolve_the_incident() -> None:
    """A lease that is given back days later names the incident, and changes nothing of it."""
    (told,) = folds.history(stories.told(stories.STALL))
    (later,) = folds.history(stories.told([*stories.STALL, stories.GIVEN_BACK]))
    assert (told.incident, 14) == (later.incident, later.last_seq)


def test_an_entry_of_an_incident_that_never_opened_is_no_incident() -> None:
    """As in an export that starts later."""
    assert () == folds.history(stories.told(stories.STALL[4:6]))


def test_a_move_that_the_ladder_does_not_have_is_never_folded() -> None:
    """The store rolls such a transaction back: what is stored can always be folded."""
    with pytest.raises(errors.InvariantBroken):
        folds.fold(stories.told([stories.OPENED, stories.STALL[10]]))


POOL = [
    *stories.STALL,
    stories.LEASED,
    stories.GIVEN_BACK,
    stories.fact(1, Kind.MEMBER_RESTARTED, "", {"life": "1@1"}, member="m"),
    stories.fact(1, Kind.LASTACK_STARTED, ""),
    stories.fact(1, Kind.POLICY_LOADED, "", {"text": "x"}),
    stories.fact(560, Kind.INCIDENT_ABANDONED, "gone", {"why": "gone"}),
    pauses.paused(stories.later(1), "me", "x", None),
    pauses.resumed(stories.later(1), "me", None),
    *(dataclasses.replace(f, incident=actions.IncidentId("other"), target="other") for f in stories.STALL),
]


@given(st.lists(st.sampled_from(POOL), max_size=25))
def test_step_by_step_is_the_same_as_from_scratch(drawn: list[facts.Fact]) -> None:
    """The sum that a running process keeps is the sum that a rebuild from the stored lines makes."""
    folded, kept, opened = folds.Folded(), [], set()
    for fact in [*drawn, *stories.STALL]:
        if fact.kind is Kind.INCIDENT_OPENED and fact.incident in opened:
            continue  # an id is derived from its place in the chain and never comes again
        (entry,) = stories.told([fact], folded.head)
        try:
            folded = folded.add(entry).without_closed()
        except errors.InvariantBroken:
            continue
        kept.append(entry)
        if fact.kind is Kind.INCIDENT_OPENED:
            opened.add(fact.incident)
    again = [entries.from_line(entries.to_line(entry)) for entry in kept]
    assert folded == folds.fold(again).without_closed()
    half = len(again) // 2
    assert folded == folds.fold(again[half:], folds.fold(again[:half])).without_closed()


def test_what_is_treated_comes_from_the_incident() -> None:
    """The engine says which members were acted on; folds only remember when."""
    (told,) = folds.history(stories.told(stories.STALL))
    assert isinstance(told.incident, incidents.Incident)
    assert (stories.FIRST,) == told.incident.treated
    assert vocabulary.DiagnosisCode.ACCEPT_STALL is told.incident.diagnosis
