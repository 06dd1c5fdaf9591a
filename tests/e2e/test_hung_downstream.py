"""A hung service behind real servers: freed without a restart where the policy names it, left alone where all hang.

Both stories are played once, one after the other, on the same members; the tests look at them from many sides.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import waiting
from tests.contracts import entry_contract
from tests.e2e import hungs

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("hung-downstream")]

PEER = "127.0.0.1:7000"


@dataclasses.dataclass(frozen=True)
class Told:
    """A story's ledger and record, and the members' processes before and after."""

    entries: list[dict[str, Any]]
    record: str
    before: dict[str, frozenset[int]]
    after: dict[str, frozenset[int]]
    answers: dict[int, str]

    def of(self, kind: str, stage: str | None = None) -> list[dict[str, Any]]:
        """Entries of a kind."""
        return hungs.moments(self.entries, kind, stage)


@dataclasses.dataclass(frozen=True)
class Well:
    """Beside them all the while: a service that is well, under a policy that names all that it is connected with."""

    entries: list[dict[str, Any]]
    before: dict[int, frozenset[str]]
    after: dict[int, frozenset[str]]


@dataclasses.dataclass(frozen=True)
class Both:
    """All members wait for a dead peer that comes back; then one hangs on connections to a peer that was replaced."""

    common: Told
    unhooked: Told
    well: Well


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Played once, the service that is well beside the other two."""
    with (
        hungs.stage(tmp_path_factory.mktemp("well"), {"well-1": 8001}, "idle:application") as well,
        hungs.stage(tmp_path_factory.mktemp("hung"), hungs.MEMBERS, "wsgi:application") as stage,
    ):
        asks = "import urllib.request as u; u.urlopen('http://127.0.0.1:8001/report', timeout=280)"
        patient = well.ground.start(sys.executable, "-c", asks, name="patient")
        waiting.wait_until(
            lambda: all(len(well.held(port)) == count for port, count in hungs.IDLE.items()),
            within=hungs.SOON,
            what="the pool, the bus and the query",
        )
        before = {port: well.held(port) for port in hungs.IDLE}
        with well.lastack("well", '"127.0.0.1"') as running:
            common, unhooked = _common(stage), _unhooked(stage)
        after = {port: well.held(port) for port in hungs.IDLE}
        assert patient.poll() is None
        yield Both(common, unhooked, Well(running.entries(), before, after))


def _common(stage: hungs.Stage) -> Told:
    """Everybody hangs; nothing is allowed to be destroyed, everything to be restarted; then the peer answers."""
    before = stage.lives()
    with stage.lastack("common", "10.9.9.9") as running:
        stage.call(*hungs.MEMBERS.values())
        running.until("notification.raised", hungs.OLD)
        # All dumps are there, and a rollout had every occasion.
        waiting.wait_until(
            lambda: running.said().count('"kind": "evidence.stored"') == len(hungs.MEMBERS),
            within=hungs.OLD,
            what="the evidence of all members",
        )
        stage.far.send_signal(signal.SIGUSR2)
        running.until_closed(hungs.OLD)
    answers = {port: stage.answers(port) for port in hungs.MEMBERS.values()}
    return Told(running.entries(), running.record(), before, stage.lives(), answers)


def _unhooked(stage: hungs.Stage) -> Told:
    """One member hangs, the policy names the peer, which answers whoever asks anew."""
    far = stage.far
    far.kill()
    far.wait(10)
    stage.far = stage.ground.start(
        sys.executable, str(hungs.FILES / "far_service.py"), str(hungs.FAR), name="far-again"
    )
    waiting.wait_until(
        lambda: "ready" in stage.ground.said("far-again"), within=hungs.SOON, what="the peer to listen"
    )
    before = stage.lives()
    with stage.lastack("unhooked", f'"{PEER}"') as running:
        stage.call(hungs.MEMBERS["shop-1"])
        assert hungs.THREADS == len(stage.held())
        stage.far.send_signal(signal.SIGUSR1)
        running.until_closed(hungs.OLD)
    answers = {port: stage.answers(port) for port in hungs.MEMBERS.values()}
    return Told(running.entries(), running.record(), before, stage.lives(), answers)


def test_a_shared_dead_peer_restarts_nobody(told: Both) -> None:
    """The same processes listen afterwards, and not one restart was even planned."""
    assert told.common.before == told.common.after
    assert [] == told.common.of("action.planned", "replace"), hungs.shown(told.common.entries)


def test_people_are_told_of_the_peer_once(told: Both) -> None:
    """One notification and one refusal, which name the peer and who waits."""
    (raised,) = told.common.of("notification.raised")
    assert (PEER, sorted(hungs.MEMBERS)) == (raised["data"]["peer"], raised["data"]["waiting"])
    refused = [e for e in told.common.of("action.refused") if e["reason"] == "common-cause"]
    assert 1 == len(refused)
    assert PEER in refused[0]["text"]


def test_all_is_over_when_the_peer_returns_and_nobody_claims_it(told: Both) -> None:
    """The incident ends by itself; every member answers again."""
    (resolved,) = told.common.of("incident.resolved")
    assert "recovered-unaided" == resolved["data"]["outcome"]
    assert dict.fromkeys(hungs.MEMBERS.values(), "b'42\\n'") == told.common.answers


def test_a_hung_member_is_freed_without_a_restart(told: Both) -> None:
    """The threads went on; the same process listens, and answers."""
    assert told.unhooked.before == told.unhooked.after, hungs.shown(told.unhooked.entries)
    assert [] == told.unhooked.of("action.planned", "replace")
    (resolved,) = told.unhooked.of("incident.resolved")
    assert "verified" == resolved["data"]["outcome"]
    assert dict.fromkeys(hungs.MEMBERS.values(), "b'42\\n'") == told.unhooked.answers


def test_the_dumps_name_the_code_and_the_peer(told: Both) -> None:
    """Count, function, file, line and peer in one sentence, before anything is disturbed."""
    (stored,) = told.unhooked.of("evidence.stored")
    assert "4 of 4 worker threads stand in ask_far_service (wsgi.py:" in stored["text"], stored["text"]
    assert f"reading from {PEER}" in stored["text"]
    assert ("downstream", PEER) == (stored["data"]["cause"], stored["data"]["peer"])
    (planned,) = told.unhooked.of("action.planned", "unhook")
    assert stored["seq"] < planned["seq"]


def test_every_destroyed_connection_is_on_record_before_and_after(told: Both) -> None:
    """The plan has the threads and sockets, the outcome what was done and that none is left in the table."""
    (planned,) = told.unhooked.of("action.planned", "unhook")
    (done,) = told.unhooked.of("action.succeeded", "unhook")
    meant = {(each["pid"], each["thread"]) for each in planned["data"]["with"]["sockets"]}
    was = {(each["pid"], each["thread"]) for each in done["data"]["destroyed"]}
    assert hungs.THREADS == len(meant)
    assert meant == was
    assert (
        f"4 connections of shop-1 to {PEER} destroyed; none of them is in the table any more" == done["text"]
    )


def test_the_record_says_so(told: Both) -> None:
    """Cause, peer, what was changed and what is left, for whoever reads it after the outage."""
    record = told.unhooked.record
    assert "healed and verified" in record.splitlines()[0]
    assert f"cause downstream (`{PEER}`)" in record
    assert f"**Changed by lastack**: destroyed 4 connections to `{PEER}`" in record
    assert "Look at the service that they wait for" in record
    assert "../runbooks/downstream.md" in record


@pytest.mark.parametrize(("port", "what"), [(7001, "an idle pool"), (7002, "a bus"), (7003, "a long query")])
def test_what_only_looks_hung_is_never_destroyed(told: Both, port: int, what: str) -> None:
    """For minutes under a policy that names the peer: the very same connections stand there."""
    assert told.well.before[port] == told.well.after[port], what
    assert hungs.IDLE[port] == len(told.well.after[port])


def test_a_service_that_is_well_is_not_touched_at_all(told: Both) -> None:
    """No incident, no dump, no plan."""
    kinds = {entry["kind"] for entry in told.well.entries}
    assert {"lastack.started", "policy.loaded", "lastack.stopped"} == kinds, hungs.shown(told.well.entries)


@pytest.mark.parametrize("story", ["common", "unhooked"])
def test_the_ledger_of_each_story_holds(told: Both, story: str) -> None:
    """As the contract says, entry by entry."""
    assert [] == entry_contract.faults(getattr(told, story).entries)
