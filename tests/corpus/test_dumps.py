"""What `lastack dump` says about servers that we did not write, stuck on purpose: code, count, peer and cause.

The rooms, handlers and clients are those of the honest proof; Go with its profiles is in tests/executors/test_go.py.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib
import subprocess
from typing import Any

import pytest

from tests import waiting
from tests.corpus import conditions, rooms, servers, shapes
from tests.scenarios import grounds

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("corpus")]

WITHIN = dt.timedelta(seconds=30)
PEER = f"127.0.0.1:{shapes.DOWNSTREAM_PORT}"
LOCKED = "waiting for a lock"
PYTHON_LOCK = ("_wait_for_lock (", f"handlers.py:25) {LOCKED}")
PYTHON_ASKS = ("_ask_downstream (", f"handlers.py:32) reading from {PEER}")
PYTHON_COMPUTES = ("_compute (", "handlers.py:", "running")


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """The sentence, by its beginning and its words, and the cause."""

    begins: str
    words: tuple[str, ...]
    cause: str | None
    missing: str = ""


TABLE: dict[tuple[str, str], Said] = {
    ("tomcat", "lock"): Said(
        "200 of 200 worker threads stand in Serve$Device.lock (Serve.java:",
        (f"{LOCKED} (ReentrantLock) that main holds, unchanged in 2 dumps",),
        "lock",
    ),
    ("tomcat", "downstream"): Said(
        "200 of 200 worker threads stand in Serve$Device.ask (Serve.java:",
        (f"reading from {PEER}, unchanged in 2 dumps",),
        "downstream",
    ),
    ("tomcat", "cpu"): Said(
        "2 of ", ("worker threads stand in Serve$Device.cpu (Serve.java:", "running, unchanged"), "cpu"
    ),
    ("gunicorn-sync", "lock"): Said("1 of 1 worker processes stands in ", PYTHON_LOCK, "lock"),
    ("gunicorn-sync", "downstream"): Said("1 of 1 worker processes stands in ", PYTHON_ASKS, "downstream"),
    ("gunicorn-sync", "cpu"): Said("1 of 1 worker processes stands in ", PYTHON_COMPUTES, "cpu"),
    ("gunicorn-gthread", "lock"): Said("4 of 4 worker threads stand in ", PYTHON_LOCK, "lock"),
    ("gunicorn-gthread", "downstream"): Said("4 of 4 worker threads stand in ", PYTHON_ASKS, "downstream"),
    ("uvicorn", "lock"): Said("1 of 1 worker processes stands in ", PYTHON_LOCK, "lock"),
    ("uvicorn", "downstream"): Said("1 of 1 worker processes stands in ", PYTHON_ASKS, "downstream"),
    ("uvicorn", "cpu"): Said("1 of 1 worker processes stands in ", PYTHON_COMPUTES, "cpu"),
    ("node-http", "lock"): Said(
        "1 of 1 worker processes stands in block (serve.js:18) waiting for a lock, unchanged", (), "lock"
    ),
    ("node-http", "downstream"): Said(
        "1 of 1 worker processes stands in ask (serve.js:53) waiting for a program that it runs",
        (f"), which is reading from {PEER}, unchanged in 2 dumps",),
        "downstream",
    ),
    ("node-http", "cpu"): Said(
        "1 of 1 worker processes stands in ", ("serve.js:", "running, unchanged"), "cpu"
    ),
    ("go-http", "lock"): Said(
        "none of ", ("stands still outside of waiting for work",), None, "net/http/pprof"
    ),
    ("express", "lock"): Said(
        "1 of 1 worker processes stands in waitForLock (serve.js:36) waiting for a lock, unchanged",
        (),
        "lock",
    ),
    ("express", "downstream"): Said(
        "1 of 1 worker processes stands in askDownstream (serve.js:55) waiting for a program that it runs",
        (f"), which is reading from {PEER}, unchanged in 2 dumps",),
        "downstream",
    ),
    ("express", "cpu"): Said(
        "1 of 1 worker processes stands in compute (serve.js:", ("running, unchanged",), "cpu"
    ),
}


def cell_of(server: str, condition: str) -> shapes.Cell:
    """The cell of the honest proof, with clients that come at once and stay."""
    one = next(each for each in servers.ALL if each.name == server)
    sick = next(each for each in conditions.SICK if each.name == condition)
    count = "2" if condition == "cpu" else "{stuck}"
    clients = (f"hang path={condition} count={count} every=0.01 patience=120",)
    return shapes.Cell(one, dataclasses.replace(sick, clients=clients))


def dumped(pid: int) -> dict[str, Any]:
    """By the real program."""
    done = subprocess.run(
        [grounds.PROGRAM, "dump", str(pid), "--count", "2", "--every", "300ms", "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asks(room: rooms.Room) -> bool:
    """Whether a handler is connected to the downstream: before, a loop that rests is one that nobody has asked."""
    return bool(room.ground.run("ss", "-Htn", "state", "established", "dst", PEER).strip())


@pytest.mark.parametrize(("server", "condition"), TABLE)
def test_the_sentence_names_code_count_and_peer(tmp_path: pathlib.Path, server: str, condition: str) -> None:
    """And the cause is right."""
    cell, said = cell_of(server, condition), TABLE[server, condition]
    if cell.server.build is not None:
        cell.server.build()
    with rooms.opened(cell, tmp_path) as room:
        room.begin()
        if cell.downstream is not None:
            waiting.wait_until(lambda: asks(room), within=WITHIN, what=f"a connection to {PEER}")

        def told() -> dict[str, Any] | None:
            document = dumped(room.server.pid)
            summary = str(document["summary"])
            right = summary.startswith(said.begins) and all(word in summary for word in said.words)
            last.append(summary)
            return document if right else None

        last: list[str] = []
        try:
            document = waiting.wait_until(told, within=WITHIN, what=str(said))
        except AssertionError as late:
            raise AssertionError(f"{late}\nlast: {last[-1]}") from late
    assert said.cause == document["cause"]
    assert (PEER if said.cause == "downstream" else None) == document["peer"]
    assert said.missing in " ".join(row["why"] for row in document["missing"])
