"""Servers that we did not write, at their default settings: sick by their handlers only, and healthy under load.

All of them run side by side, each in a network namespace of its own, since a stall has to be ten seconds old and a
leak half a minute before anybody may name it.
"""

import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios import grounds

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("honest-servers")]

BIN = pathlib.Path(sys.executable).parent
SERVERS = {
    "gunicorn": [str(BIN / "gunicorn"), "-w", "2", "-b", f"127.0.0.1:{grounds.PORT}", "wsgi:application"],
    "uvicorn": [str(BIN / "uvicorn"), "--port", str(grounds.PORT), "asgi:application"],
    "node": ["node", "serve.js", str(grounds.PORT)],
}
ADDRESSES = {"gunicorn": "127.0.0.1", "uvicorn": "127.0.0.1", "node": "*"}
COMMANDS = {"gunicorn": "gunicorn", "uvicorn": "uvicorn", "node": "node"}
WORKERS = {"gunicorn": 2, "uvicorn": 1, "node": 1}
SERVICE_SECONDS = {"gunicorn": 0.02, "uvicorn": 0.01, "node": 0.01}
PAUSE_SECONDS = {"gunicorn": "0.025", "uvicorn": "0.03", "node": "0.03"}
VISITORS = 6
STALLED_FOR_SECONDS = 11
LEAKING_FOR_SECONDS = 35
LOOKS_AT_HEALTH = 3


@dataclasses.dataclass(slots=True)
class Sick:
    """A sick server as the program and ss saw it, one right after the other."""

    exit_code: int
    document: dict[str, Any]
    rows: list[grounds.SsRow]
    listed: dt.datetime
    """When ss was done."""

    @property
    def between(self) -> dt.timedelta:
        """No less than what lies between the last look of the program and the rows of ss."""
        return self.listed - dt.datetime.fromisoformat(self.document["observedAt"])

    @property
    def item(self) -> dict[str, Any]:
        """The one item of the document."""
        (found,) = self.document["items"]
        assert isinstance(found, dict)
        return found

    @property
    def listener(self) -> grounds.SsRow:
        """The LISTEN row of ss."""
        (found,) = [row for row in self.rows if row.state == "LISTEN"]
        return found

    def half_closed(self, *, accepted: bool) -> list[grounds.SsRow]:
        """The CLOSE_WAIT rows of ss on the port of the server."""
        return [
            row
            for row in self.rows
            if row.state == "CLOSE-WAIT" and row.port == grounds.PORT and row.accepted is accepted
        ]


@dataclasses.dataclass(slots=True)
class Healthy:
    """A server under load: every look of the program, and what its clients got."""

    looks: list[tuple[int, dict[str, Any]]]
    served: dict[str, float]


@dataclasses.dataclass(slots=True)
class Story:
    """Everything that happened, for all the claims below."""

    stalled: dict[str, Sick]
    healthy: dict[str, Healthy]
    leaking: Sick


def _settle_until(deadline: float) -> None:
    """A stall has to grow old: nothing can be awaited but the time itself."""
    time.sleep(max(0.0, deadline - time.monotonic()))


def _sick(ground: grounds.Ground, diagnosis: subprocess.Popen[str]) -> Sick:
    code, document = grounds.finished(diagnosis)
    rows = grounds.parse_ss(ground.run("ss", "-HOtanpie"))
    return Sick(code, document, rows, dt.datetime.now(dt.UTC))


def _diagnose_stalled(sick: dict[str, grounds.Ground], begun: float) -> dict[str, Sick]:
    _settle_until(begun + STALLED_FOR_SECONDS)
    running = {name: ground.begin_diagnosis() for name, ground in sick.items()}
    return {name: _sick(sick[name], diagnosis) for name, diagnosis in running.items()}


def _diagnose_healthy(well: dict[str, grounds.Ground]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    looks: dict[str, list[tuple[int, dict[str, Any]]]] = {name: [] for name in well}
    for _ in range(LOOKS_AT_HEALTH):
        running = {name: ground.begin_diagnosis("--for", "3s") for name, ground in well.items()}
        for name, diagnosis in running.items():
            looks[name].append(grounds.finished(diagnosis))
    return looks


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Three stalled servers, the same three healthy under load, and one that leaks."""
    folder = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:

        def started(kind: str, name: str) -> grounds.Ground:
            ground = stack.enter_context(grounds.ground(folder / f"{kind}-{name}"))
            ground.start(*SERVERS[name], name="server")
            return ground

        sick = {name: started("sick", name) for name in SERVERS}
        well = {name: started("well", name) for name in SERVERS}
        leaking = started("leaking", "node")
        for ground in (*sick.values(), *well.values(), leaking):
            ground.await_answer()
        leaking.visitors("leave", str(grounds.PORT), "0.7")
        leak_begun = time.monotonic()
        # Four clients with these pauses: four fifths of what the servers can do, more than half on a slow machine.
        loads = {
            name: ground.visitors("load", str(grounds.PORT), "4", PAUSE_SECONDS[name])
            for name, ground in well.items()
        }
        looks = _diagnose_healthy(well)
        for load in loads.values():
            # nsenter became the clients' process, so that this is their pid.
            load.send_signal(signal.SIGTERM)
        for load in loads.values():
            load.wait(30)
        served = {name: json.loads(ground.said("visitors")) for name, ground in well.items()}
        for ground in sick.values():
            ground.visitors("stall", str(grounds.PORT), str(VISITORS))
        stalled = _diagnose_stalled(sick, time.monotonic())
        _settle_until(leak_begun + LEAKING_FOR_SECONDS)
        diagnosis = leaking.begin_diagnosis()
        found = _sick(leaking, diagnosis)
        yield Story(stalled, {name: Healthy(looks[name], served[name]) for name in well}, found)


@pytest.mark.parametrize("name", SERVERS)
def test_a_blocked_server_is_an_accept_stall(story: Story, name: str) -> None:
    """Its queue is nearly empty against its limit, and nobody is taken out of it."""
    item = story.stalled[name].item
    assert (1, "accept-stall", "high", ADDRESSES[name], grounds.PORT, COMMANDS[name]) == (
        story.stalled[name].exit_code,
        item["code"],
        item["confidence"],
        item["listener"]["address"],
        item["listener"]["port"],
        item["member"]["command"],
    )
    assert item["signals"]["acceptQueue.depth"] < item["signals"]["acceptQueue.limit"] / 50


@pytest.mark.parametrize("name", SERVERS)
def test_the_numbers_of_a_stall_are_those_of_ss(story: Story, name: str) -> None:
    """Queue, limit, CLOSE_WAIT by class and the age of the head, as another program reads them."""
    sick = story.stalled[name]
    signals = sick.item["signals"]
    queued, accepted = sick.half_closed(accepted=False), sick.half_closed(accepted=True)
    waiting = [
        row
        for row in sick.rows
        if row.port == grounds.PORT and row.state in {"ESTAB", "CLOSE-WAIT"} and not row.accepted
    ]
    assert {
        "acceptQueue.depth": sick.listener.recv_q,
        "acceptQueue.limit": sick.listener.send_q,
        "acceptProgress": 0,
        "closeWait.total": len(queued) + len(accepted),
        "closeWait.queued": len(queued),
        "closeWait.unread": len([row for row in accepted if row.recv_q]),
        "closeWait.held": len([row for row in accepted if not row.recv_q]),
        "listen.dropRate": 0,
        "synQueue.depth": 0,
    }.items() <= signals.items()
    assert len(waiting) == VISITORS - WORKERS[name]
    later = max(row.numbers["lastsnd"] for row in waiting) / 1000 - signals["acceptQueue.headAge"]
    assert 0 <= later < sick.between.total_seconds() + 0.5


@pytest.mark.parametrize("name", SERVERS)
def test_a_stall_leaves_nothing_unknown(story: Story, name: str) -> None:
    """As root every signal can be read, and the answer says so."""
    document = story.stalled[name].document
    assert (True, []) == (document["complete"], document["missing"])


@pytest.mark.parametrize("name", SERVERS)
def test_the_peers_of_a_stall_are_its_clients(story: Story, name: str) -> None:
    """Everybody came from loopback, v4-mapped or not."""
    sick = story.stalled[name]
    total = sick.item["signals"]["closeWait.total"]
    assert [{"address": "127.0.0.1", "closeWait": total}] == sick.item["peers"]


def test_the_owner_of_workers_is_their_master(story: Story) -> None:
    """Gunicorn's listener is held by its master and both workers; ss names the same three."""
    sick = story.stalled["gunicorn"]
    member = sick.item["member"]
    assert sick.listener.pids == member["pids"]
    assert (3, min(member["pids"])) == (len(member["pids"]), member["pid"])


@pytest.mark.parametrize("name", SERVERS)
def test_a_busy_server_is_healthy_in_every_look(story: Story, name: str) -> None:
    """About four fifths of what it can do is no disease, at any of the looks."""
    healthy = story.healthy[name]
    found = [(code, [item["code"] for item in document["items"]]) for code, document in healthy.looks]
    assert [(0, ["healthy"])] * LOOKS_AT_HEALTH == found


@pytest.mark.parametrize("name", SERVERS)
def test_the_load_was_a_load(story: Story, name: str) -> None:
    """The servers answered everybody and were busy for more than half of the time: silence has to mean something."""
    served = story.healthy[name].served
    busy = served["answers"] * SERVICE_SECONDS[name] / (served["seconds"] * WORKERS[name])
    assert served["failures"] == 0
    assert 0.5 < busy < 1


def test_a_leak_is_named_with_the_confidence_of_its_age(story: Story) -> None:
    """Half a minute old it may still be slow handlers: named, at low confidence, as a warning."""
    item = story.leaking.item
    assert ("fd-leak", "warning", "low", "*", grounds.PORT) == (
        item["code"],
        item["severity"],
        item["confidence"],
        item["listener"]["address"],
        item["listener"]["port"],
    )


def test_the_numbers_of_a_leak_are_those_of_ss(story: Story) -> None:
    """Clients go on leaving while both look: held rows and the age of the oldest agree within a second or two."""
    signals = story.leaking.item["signals"]
    rows = [row for row in story.leaking.half_closed(accepted=True) if row.recv_q == 0]
    oldest = max(row.numbers["lastack"] for row in rows) / 1000
    assert 0 <= len(rows) - signals["closeWait.held"] <= 3
    assert 0 <= oldest - signals["closeWait.oldest"] < dt.timedelta(seconds=1.5).total_seconds()
    assert signals["openFiles.count"] > signals["closeWait.held"]
