"""The path that a sysctl helps, on servers that we did not write: see it, name it, lease, restart, verify, give back.

The story is played once, against the real kernel and real gunicorns; then its lease is given back in every way, each
time from a copy of the state directory that the story left.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import waiting
from tests.contracts import entry_contract
from tests.e2e import backlogs

pytestmark = [pytest.mark.timeout(150), pytest.mark.xdist_group("small-backlog")]

SOON = dt.timedelta(seconds=20)
NAME = "net.core.somaxconn"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[backlogs.Told]:
    """One story for all; its namespace, members and clients stay while the tests look."""
    with backlogs.stage(tmp_path_factory.mktemp("backlog")) as stage:
        yield backlogs.play(stage)


def copy_of(told: backlogs.Told, name: str) -> pathlib.Path:
    """The state directory as the story left it, with the lease open, and the kernel as the lease says."""
    told.stage.write_somaxconn(backlogs.LEASED)
    place = told.stage.folder / name
    shutil.copytree(told.stage.state_dir, place)
    return place


def ends_of_lease(place: pathlib.Path) -> list[dict[str, Any]]:
    """What the ledger says of how the lease ended."""
    return [e for e in backlogs.entries(place) if e["kind"] in ("sysctl.restored", "sysctl.yielded")]


def open_leases(place: pathlib.Path) -> list[str]:
    """Names of the leases that are open, by the command."""
    done = backlogs.ask("sysctl", "leases", "-o", "json", at=place)
    assert 0 == done.returncode, done.stderr
    return [lease["name"] for lease in json.loads(done.stdout)["items"]]


@contextlib.contextmanager
def running(told: backlogs.Told, place: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    """lastack on a copy, once it answers."""
    with told.stage.lastack(place) as process:
        waiting.wait_until(
            lambda: backlogs.ask("status", at=place).returncode in (0, 1),
            within=SOON,
            what=f"lastack to answer: {told.stage.log(place)}",
        )
        yield process


def test_the_kernel_capped_the_backlog_before(told: backlogs.Told) -> None:
    """Both asked for 2048 and got 16: what the story starts from, read by ss."""
    expected = dict.fromkeys(backlogs.MEMBERS.values(), backlogs.SOMAXCONN)
    assert expected == told.limits_before


def test_the_disease_is_named(told: backlogs.Told) -> None:
    """backlog-too-small, of both members, critical because requests are dropped."""
    found = {(e["member"], e["data"]["diagnosis"]) for e in told.where("member.sickened")}
    assert {(name, "backlog-too-small") for name in backlogs.MEMBERS} == found


def test_three_dumps_of_each_member_are_stored_before_it_is_disturbed(told: backlogs.Told) -> None:
    """Evidence first, also where a setting is to blame."""
    for name in backlogs.MEMBERS:
        (stored,) = [e for e in told.where("evidence.stored") if e["member"] == name]
        dumps = [file for file in stored["data"]["files"] if "dump " in file["what"]]
        assert (3, 3 * backlogs.PROCESSES) == (stored["data"]["dumps"], len(dumps))
        assert all((told.stage.state_dir / file["path"]).stat().st_size for file in dumps)
    first = min(e["seq"] for e in told.where("action.planned", "rollingRestart"))
    assert min(e["seq"] for e in told.where("evidence.stored")) < first


def test_the_setting_is_leased_once_for_the_namespace(told: backlogs.Told) -> None:
    """Two members share one namespace: one write, original value and end on record."""
    (leased,) = told.where("sysctl.leased")
    data = leased["data"]
    expected = (NAME, str(backlogs.SOMAXCONN), str(backlogs.LEASED), str(backlogs.LEASED))
    assert expected == tuple(data[key] for key in ("name", "original", "desired", "observed"))
    inode = pathlib.Path(f"/proc/{told.stage.ground.pid}/ns/net").stat().st_ino
    assert (inode, True) == (data["namespace"], data["until"] is not None)
    assert backlogs.LEASED == told.somaxconn


def test_it_is_said_that_the_setting_waits_for_the_next_listen(told: backlogs.Told) -> None:
    """A raised somaxconn changes nothing for a socket that listens already; nobody judges it before."""
    (written,) = told.where("action.succeeded", "sysctl")
    assert "acts at the next listen()" in written["text"]
    assert "next-listen" == written["data"]["takesEffect"]
    escalated = [e["text"] for e in told.where("incident.escalated")]
    assert any("waits for the next listen()" in text for text in escalated), escalated


def test_the_members_are_replaced_one_by_one(told: backlogs.Told) -> None:
    """The second begins only when the first is ready, warm and verified."""
    planned = told.where("action.planned", "rollingRestart")
    assert sorted(backlogs.MEMBERS) == sorted(e["member"] for e in planned)
    first, second = planned
    (verified,) = [e for e in told.where("member.verified") if e["member"] == first["member"]]
    assert first["seq"] < verified["seq"] < second["seq"]
    assert [] == told.where("member.restarted")


def test_one_member_listens_at_every_instant(told: backlogs.Told) -> None:
    """minAvailable 1, as /proc saw it 50 times a second and not as the ledger says."""
    ports = set(backlogs.MEMBERS.values())
    fewer = {seen for seen in told.listeners_seen if seen != ports}
    assert fewer == {frozenset({port}) for port in ports}


def test_the_new_limit_is_the_applications_own(told: backlogs.Told) -> None:
    """Read back from the kernel by ss: min(2048, 4096), not what the policy asked for."""
    assert dict.fromkeys(backlogs.MEMBERS.values(), backlogs.OWN_BACKLOG) == told.limits_after


def test_the_drops_stop(told: backlogs.Told) -> None:
    """Two more bursts at each member: not one connection attempt dropped, not one request lost."""
    assert told.drops_before_heal > 0
    assert told.sent_after_heal > 2 * len(backlogs.MEMBERS) * backlogs.BURST
    assert (0, 0) == (told.drops_after_heal - told.drops_before_heal, told.failures_after_heal)


def test_the_incident_is_verified(told: backlogs.Told) -> None:
    """Queue, progress, files and a real probe; and one incident it was, not two."""
    assert 1 == len(told.where("incident.opened"))
    (resolved,) = told.where("incident.resolved")
    assert "verified" == resolved["data"]["outcome"]
    assert "200" in resolved["text"]


def test_every_act_ended_exactly_once(told: backlogs.Told) -> None:
    """Two dump series, one setting, two replacements; nothing failed, nothing was interrupted."""
    planned = sorted(e["actionId"] for e in told.where("action.planned"))
    assert 5 == len(planned)
    assert planned == sorted(e["actionId"] for e in told.where("action.succeeded"))
    assert [] == told.where("action.failed") + told.where("action.interrupted")


def test_the_ledger_keeps_every_promise(told: backlogs.Told) -> None:
    """Fields, types, hashes, one end for each act, evidence first: checked without anything of lastack."""
    assert [] == entry_contract.faults(told.entries)


def test_sysctl_leases_shows_what_is_leased(told: backlogs.Told) -> None:
    """The command says name, both values, since when and until when."""
    assert "lastack.dev/v1alpha1" == told.leases["apiVersion"]
    (lease,) = told.leases["items"]
    expected = (NAME, str(backlogs.SOMAXCONN), str(backlogs.LEASED))
    assert expected == (lease["name"], lease["original"], lease["observed"])
    assert lease["since"] < lease["until"]


def test_sigterm_ends_it_and_leaves_the_lease_open(told: backlogs.Told) -> None:
    """Within 5 s, exit 0; the end of lastack is no reason to undo what heals, and nothing is forgotten."""
    assert 0 == told.ended_with
    assert told.ended_in_seconds < 5
    assert ("lastack.stopped", []) == (
        told.entries[-1]["kind"],
        told.where("sysctl.restored") + told.where("sysctl.yielded"),
    )
    assert [NAME] == open_leases(told.stage.state_dir)


def test_restore_works_after_lastack_has_ended(told: backlogs.Told) -> None:
    """The command takes the lock itself; the value is back, and the ledger says who did it."""
    place = copy_of(told, "ended")
    done = backlogs.ask("sysctl", "restore", at=place)
    assert 0 == done.returncode, done.stderr
    assert backlogs.SOMAXCONN == told.stage.somaxconn()
    (end,) = ends_of_lease(place)
    assert ("sysctl.restored", NAME) == (end["kind"], end["data"]["name"])
    assert [] == open_leases(place)
    assert 0 == backlogs.ask("ledger", "verify", at=place).returncode


def test_restore_works_while_lastack_runs(told: backlogs.Told) -> None:
    """The writer does it, asked through its socket; and it does not lease again."""
    place = copy_of(told, "running")
    with running(told, place) as process:
        done = backlogs.ask("sysctl", "restore", NAME, at=place)
        assert 0 == done.returncode, done.stderr
        waiting.wait_until(
            lambda: told.stage.somaxconn() == backlogs.SOMAXCONN, within=SOON, what="the original value"
        )
        (end,) = waiting.wait_until(lambda: ends_of_lease(place), within=SOON, what="the entry")
        assert ("sysctl.restored", None) == (end["kind"], process.poll())
        assert [] == open_leases(place)
    assert backlogs.SOMAXCONN == told.stage.somaxconn()


@pytest.mark.parametrize("alive", [False, True], ids=["ended", "running"])
def test_a_humans_edit_in_between_wins(told: backlogs.Told, *, alive: bool) -> None:
    """Compare and swap: somebody else's value is left alone, the lease ends as yielded and is not tried again."""
    place = copy_of(told, f"edited-{alive}")
    with running(told, place) if alive else contextlib.nullcontext():
        told.stage.write_somaxconn(1000)
        backlogs.ask("sysctl", "restore", at=place)
        (end,) = waiting.wait_until(lambda: ends_of_lease(place), within=SOON, what="the entry")
        assert ("sysctl.yielded", NAME) == (end["kind"], end["data"]["name"])
        assert "1000" in end["text"]
        assert ([], 1000) == (open_leases(place), told.stage.somaxconn())


def test_a_policy_that_goes_takes_its_lease_along(told: backlogs.Told) -> None:
    """The file is removed and SIGHUP sent: what was changed under it is given back without being asked."""
    place = copy_of(told, "removed")
    with running(told, place) as process:
        (told.stage.folder / "policies.d" / "demo.yaml").unlink()
        process.send_signal(signal.SIGHUP)
        waiting.wait_until(
            lambda: told.stage.somaxconn() == backlogs.SOMAXCONN,
            within=SOON,
            what=f"the original value: {told.stage.log(place)}",
        )
        (end,) = waiting.wait_until(lambda: ends_of_lease(place), within=SOON, what="the entry")
        assert "sysctl.restored" == end["kind"]


def test_observe_touches_nothing_and_says_everything(tmp_path: pathlib.Path) -> None:
    """The same disease under the same policy in observe: what would be done is simulated, nothing is planned."""
    with backlogs.stage(tmp_path) as stage:
        lives, limits = stage.lives(), stage.limits()
        with stage.lastack(stage.state_dir, mode="observe"):
            wanted = {"threadDump", "sysctl", "rollingRestart"}
            waiting.wait_until(
                lambda: wanted <= {e["action"] for e in stage.days() if e["kind"] == "action.simulated"},
                within=dt.timedelta(seconds=60),
                what=f"{wanted} to be simulated: {stage.log(stage.state_dir)}",
            )
        entries = backlogs.entries(stage.state_dir)
        kinds = {entry["kind"] for entry in entries}
        assert set() == kinds & {"action.planned", "action.succeeded", "sysctl.leased", "evidence.stored"}
        assert [] == entry_contract.faults(entries)
        assert {"observe", None} == {entry["mode"] for entry in entries}
        assert backlogs.SOMAXCONN == stage.somaxconn()
        assert (lives, limits) == (stage.lives(), stage.limits())
        assert [] == list((stage.state_dir / "evidence").iterdir())
