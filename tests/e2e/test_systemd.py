"""`lastack run` on real units of a real systemd: the whole story, and every way to interrupt it."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
from collections.abc import Iterator

import pytest

from tests.box import boxes
from tests.e2e.systemd import beds, scenarios, theatres, warehouses

pytestmark = [pytest.mark.xdist_group("box"), pytest.mark.timeout(300)]

STUCK = warehouses.wait_for_stock_lock.__name__
KILLED = ["intent", "job", "outcome", "dumps", "sigterm"]


def of(*names: str) -> pytest.MarkDecorator:
    """The scenarios that a test makes claims about."""
    return pytest.mark.parametrize("played", names, indirect=True)


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest, box: boxes.Box) -> Iterator[theatres.Theatre]:
    """Everything that the selected tests need is played at the same time."""
    wanted = {
        str(item.callspec.params["played"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    }
    with theatres.Theatre(box, theatres.program(box, wanted)) as made:
        yield made


@pytest.fixture
def played(request: pytest.FixtureRequest, theatre: theatres.Theatre) -> scenarios.Played:
    """One scenario, when it has ended."""
    return theatre.played(request.param)


@of("story")
class TestTheStory:
    """One of two units stalls; everything is as it should be."""

    def test_the_incident_ends_verified(self, played: scenarios.Played) -> None:
        """Suspicion, firing, one act, a probe, and the end."""
        assert ["accept-stall"] == [e["data"]["diagnosis"] for e in played.where("incident.opened")]
        assert ["verified"] == [e["data"]["outcome"] for e in played.where("incident.resolved")]
        (well,) = played.where("member.verified")
        assert played.units[0] == well["member"]
        assert "the probe answers" in well["text"]

    def test_three_real_dumps_name_the_stuck_function(self, played: scenarios.Played) -> None:
        """They are stored before the restart is planned, with the hashes that the ledger holds."""
        (stored,) = played.where("evidence.stored")
        (planned,) = played.where("action.planned", action="rollingRestart")
        assert stored["seq"] < planned["seq"]
        assert 3 == stored["data"]["dumps"]
        assert STUCK in stored["data"]["frame"]
        kept = [gzip.decompress(path.read_bytes()) for path in played.evidence]
        told = {file["sha256"] for file in stored["data"]["files"]}
        assert {hashlib.sha256(content).hexdigest() for content in kept} == told
        assert 4 == sum(STUCK.encode() in content for content in kept), (
            "the worker three times, and the summary"
        )

    def test_the_setting_that_cannot_help_is_refused(self, played: scenarios.Played) -> None:
        """A larger queue does nothing for a service that accepts nothing."""
        refused = played.where("action.refused", stage="tune")
        assert [("cannot-help", played.units[0])] == [(e["reason"], e["member"]) for e in refused]
        assert [] == played.where("action.planned", action="sysctl")

    def test_only_the_sick_unit_is_restarted(self, played: scenarios.Played) -> None:
        """Its InvocationID is new, the other's is not."""
        assert played.before[0] != played.after[0]
        assert played.before[1] == played.after[1]
        assert (2, 1) == played.starts
        assert [played.units[0]] == [
            e["member"] for e in played.where("action.planned", action="rollingRestart")
        ]

    def test_the_clients_of_the_other_unit_lost_no_request(self, played: scenarios.Played) -> None:
        """While those of the sick one did."""
        sick, well = (played.counts[unit] for unit in played.units)
        assert sick.failed > 0
        assert (0, {}) == (well.failed, well.failures)
        assert well.answered > 0

    def test_the_record_tells_it(self, played: scenarios.Played) -> None:
        """Markdown, with the unit, the function and the end."""
        assert played.record.startswith("# ")
        for word in (STUCK, played.units[0], "verified"):
            assert word in played.record


@of(*KILLED)
class TestAnInterruptedOperator:
    """kill -9 at four points, and SIGTERM in the middle of the restart; then lastack is started again."""

    def test_nothing_is_done_twice(self, played: scenarios.Played) -> None:
        """systemd has started the unit twice: when the test did, and when lastack did."""
        assert (2,) == played.starts
        assert played.before[0] != played.after[0]
        assert ("active",) == played.states

    def test_every_plan_has_exactly_one_end(self, played: scenarios.Played) -> None:
        """Whatever happened in between."""
        planned = played.where("action.planned")
        assert [] != planned
        assert [1] * len(planned) == [len(played.ends(each)) for each in planned]
        assert len({each["actionId"] for each in planned}) == len(planned)

    def test_the_incident_ends_verified(self, played: scenarios.Played) -> None:
        """The same incident that was open when lastack ended."""
        first, *_ = played.where("incident.opened")
        ended = played.where("incident.resolved", incident=first["incident"])
        assert ["verified"] == [e["data"]["outcome"] for e in ended]


@of("story", *KILLED, "limit", "reload")
def test_the_chain_holds(played: scenarios.Played) -> None:
    """`ledger verify` says so, over all starts of lastack."""
    assert played.verdict.startswith(f"ok {len(played.entries)} entries from seq 1")
    assert [*range(1, len(played.entries) + 1)] == [e["seq"] for e in played.entries]


class TestWhatTheWorldTells:
    """After a crash, from the unit alone."""

    @of("intent")
    def test_a_restart_that_never_arrived_did_not_happen(self, played: scenarios.Played) -> None:
        """happened: no; and it is planned again under another id."""
        lost, again = played.where("action.planned", action="rollingRestart")
        (end,) = played.ends(lost)
        assert ("action.interrupted", "no") == (end["kind"], end["data"]["happened"])
        assert ["action.succeeded"] == [e["kind"] for e in played.ends(again)]
        assert lost["seq"] <= played.marks["killed"] < end["seq"]

    @of("job", "sigterm")
    def test_a_restart_that_runs_is_followed_to_its_end(self, played: scenarios.Played) -> None:
        """The job went on without lastack, and its end is seen by the next one."""
        (planned,) = played.where("action.planned", action="rollingRestart")
        (end,) = played.ends(planned)
        assert "action.succeeded" == end["kind"]
        assert played.marks["killed"] < end["seq"]
        assert played.after[0] == end["data"]["new"]

    @of("outcome")
    def test_a_restart_that_nobody_saw_has_happened(self, played: scenarios.Played) -> None:
        """happened: yes, with the life that is there now; it is verified and not done again."""
        (planned,) = played.where("action.planned", action="rollingRestart")
        (end,) = played.ends(planned)
        assert ("action.interrupted", "yes") == (end["kind"], end["data"]["happened"])
        assert played.after[0] == end["data"]["life"]
        assert planned["seq"] <= played.marks["killed"] < end["seq"]

    @of("dumps")
    def test_dumps_that_were_cut_short_are_missed_on_record(self, played: scenarios.Played) -> None:
        """The restart goes on without them, after saying so."""
        (series,) = played.where("action.planned", action="threadDump")
        assert ["action.interrupted"] == [e["kind"] for e in played.ends(series)]
        (missed,) = played.where("evidence.missed")
        (planned,) = played.where("action.planned", action="rollingRestart")
        assert missed["seq"] < planned["seq"]

    @of("sigterm")
    def test_sigterm_ends_within_five_seconds(self, played: scenarios.Played) -> None:
        """Between steps, also while a restart runs that takes longer; what runs is on record."""
        assert 0 == played.status
        assert played.seconds < 5
        stopped, _ = played.where("lastack.stopped")
        assert 1 == len(stopped["data"]["running"])


class TestLimits:
    """What holds, and still holds after a restart of lastack."""

    @of("limit")
    def test_a_unit_at_its_start_limit_is_refused_and_then_restarted(self, played: scenarios.Played) -> None:
        """With the numbers; never driven into `failed`, and restarted when one more start is safe."""
        refused, *_ = played.where("action.refused", reason="start-limit")
        (planned,) = played.where("action.planned", action="rollingRestart")
        assert "2 times within 1m" in refused["text"]
        assert refused["seq"] < planned["seq"]
        assert ["action.succeeded"] == [e["kind"] for e in played.ends(planned)]
        assert ((3,), ("active",)) == (played.starts, played.states)
        assert ["verified"] == [e["data"]["outcome"] for e in played.where("incident.resolved")]

    @of("dumps")
    def test_the_warm_up_begins_anew(self, played: scenarios.Played) -> None:
        """The symptom was there all the time; the restart waits for 15 s after the second start."""
        _, started = played.where("lastack.started")
        (planned,) = played.where("action.planned", action="rollingRestart")
        # Of the first life where its dumps were slow: what is refused already is not said again for the same reason.
        held = [e for e in played.entries if e["reason"] == "warm-up"]
        assert 1 == len(held), [(e["at"], e["kind"], e["reason"], e["text"]) for e in played.entries]
        assert 15 <= seconds_between(started, planned)

    @of("intent")
    def test_the_cooldown_holds_after_a_crash(self, played: scenarios.Played) -> None:
        """It runs from the end of the incident, whoever was there to see it; then the unit recovered by itself."""
        (held,) = [e for e in played.since("healed") if e["reason"] == "cooldown"]
        assert "its cooldown of 1m ends" in held["text"]
        assert ["verified", "recovered-unaided"] == [
            e["data"]["outcome"] for e in played.where("incident.resolved")
        ]

    @of("outcome")
    def test_a_spent_budget_stays_spent(self, played: scenarios.Played) -> None:
        """Also a restart counts that nobody lived to see; the refusal is there again after one more crash."""
        refused = [e for e in played.since("killed again") if e["reason"] == "budget-spent"]
        assert 1 == len(refused)
        assert "of outcome in the last 1h; limits.restarts allows 1, the next at" in refused[0]["text"]
        assert ["verified", "recovered-unaided"] == [
            e["data"]["outcome"] for e in played.where("incident.resolved")
        ]

    @of("reload")
    def test_a_young_process_stays_young(self, played: scenarios.Played) -> None:
        """Its age is the unit's and not the time that lastack has watched: refused before and after the crash."""
        for unit in played.units:
            young = played.where("action.refused", reason="young-process", member=unit)
            assert 2 == len(young)
            assert "minProcessAge (1h)" in young[1]["text"]


@of("reload")
class TestOtherPolicies:
    """SIGHUP, in the middle of two incidents."""

    def test_an_invalid_set_is_refused_whole(self, played: scenarios.Played) -> None:
        """Where and what is on record, and that the old set stays in force; nothing is abandoned for it."""
        (rejected,) = played.where("policy.rejected")
        assert "broken.yaml:2" in rejected["data"]["problems"]
        assert "the old one stays in force" in rejected["text"]
        abandoned = played.where("incident.abandoned")
        assert all(e["seq"] > rejected["seq"] for e in abandoned)

    def test_incidents_of_a_removed_and_of_a_lowered_policy_are_abandoned(
        self, played: scenarios.Played
    ) -> None:
        """Each with its reason."""
        abandoned = {e["target"]: e["data"]["why"] for e in played.where("incident.abandoned")}
        assert {"reload-8171", "reload-8172"} == abandoned.keys()
        assert "modes" in abandoned["reload-8171"]
        assert "not in force" in abandoned["reload-8172"]

    def test_no_new_act_begins(self, played: scenarios.Played) -> None:
        """Under the second set nothing is planned, and no unit lives anew."""
        assert [] == [e for e in played.since("rejected") if e["kind"] == "action.planned"]
        assert played.before == played.after
        assert (1, 1) == played.starts

    def test_without_a_mode_everything_is_only_simulated(self, played: scenarios.Played) -> None:
        """observe is the default: the dumps and the restart are on record as what would have been done."""
        simulated = [e for e in played.since("rejected") if e["kind"] == "action.simulated"]
        assert ["threadDump", "rollingRestart"] == [e["action"] for e in simulated]
        assert {("observe", "reload@8171.service")} == {(e["mode"], e["member"]) for e in simulated}


def seconds_between(first: beds.Entry, second: beds.Entry) -> float:
    """From one entry to another."""
    return (_instant(second) - _instant(first)).total_seconds()


def _instant(entry: beds.Entry) -> dt.datetime:
    return dt.datetime.fromisoformat(entry["at"])
