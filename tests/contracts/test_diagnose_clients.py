"""`lastack diagnose` on processes that are clients: connections of their own, and servers that they wait for."""

import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts import diagnosis_schema
from tests.scenarios import grounds

pytestmark = pytest.mark.xdist_group("diagnose")

POOL = """
import socket, sys, time
backend = socket.create_server(("127.0.0.1", 7000))
front = socket.create_server(("127.0.0.1", 8000))
pool = []
for _ in range(int(sys.argv[1])):
    pool.append(socket.create_connection(("127.0.0.1", 7000)))
    backend.accept()[0].close()
print("ready", flush=True)
time.sleep(1000)
"""
"""A service that keeps connections of its own whose server has hung up."""

WAITS = """
import socket, time
backend = socket.create_server(("127.0.0.1", 7000))
front = socket.create_server(("127.0.0.1", 8000))
clients = [socket.create_connection(("127.0.0.1", 8000)) for _ in range(3)]
request, _ = front.accept()
call = socket.create_connection(("127.0.0.1", 7000))
print("ready", flush=True)
call.recv(1)
"""
"""A service of one thread that waits for a server that never answers, while two clients wait for it."""


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[grounds.Ground]:
    """An empty network namespace."""
    with grounds.ground(tmp_path / "ground") as found:
        yield found


@contextlib.contextmanager
def running(ground: grounds.Ground, program: str, *words: str) -> Iterator[int]:
    """The program in that namespace, once it is ready; its pid."""
    process = subprocess.Popen(
        ground.inside(sys.executable, "-c", program, *words), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def items(*options: str) -> list[dict[str, Any]]:
    """What the program says, which keeps its contract."""
    done = subprocess.run(
        [grounds.PROGRAM, "diagnose", "-o", "json", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    assert [] == diagnosis_schema.problems(document, done.returncode)
    found: list[dict[str, Any]] = document["items"]
    return found


def test_a_process_with_connections_of_its_own_is_an_item_without_a_listener(ground: grounds.Ground) -> None:
    """With its pid, its signals and its servers with their ports; a few are healthy, with a note."""
    with running(ground, POOL, "3") as pid:
        found = items("--pid", str(pid), "--for", "1s")
    (client,) = [item for item in found if item["listener"] is None]
    assert (pid, [pid], "healthy") == (client["member"]["pid"], client["member"]["pids"], client["code"])
    assert [{"address": "127.0.0.1:7000", "closeWait": 3}] == client["peers"]
    assert {
        "closeWait.outbound",
        "closeWait.oldest",
        "openFiles.count",
        "openFiles.limit",
        "openFiles.fill",
    } == client["signals"].keys()
    assert 3 == client["signals"]["closeWait.outbound"]
    assert "a pool that has not looked yet" in client["summary"]
    assert {7000, 8000} == {item["listener"]["port"] for item in found if item["listener"] is not None}


def test_ports_select_listeners_and_no_clients(ground: grounds.Ground) -> None:
    """Who asks for a port asks about a service; what its owner does elsewhere is not of that port."""
    with running(ground, POOL, "3") as pid:
        found = items("--netns", str(pid), "--port", "8000", "--for", "1s")
    assert [8000] == [item["listener"]["port"] for item in found]


def test_people_are_told_who_does_not_close_what(ground: grounds.Ground) -> None:
    """On a line of the table, as a client; the last line counts it."""
    with running(ground, POOL, "3") as pid:
        done = subprocess.run(
            [grounds.PROGRAM, "diagnose", "--netns", str(pid), "--for", "1s"],
            check=False,
            capture_output=True,
            text=True,
        )
    assert any(line.startswith("as client") and str(pid) in line for line in done.stdout.splitlines())
    assert "2 listeners, 1 client, 0 sick" in done.stdout


def test_a_server_that_is_waited_for_is_the_cause(ground: grounds.Ground) -> None:
    """Its only thread stands on a connection that it made: which one, without stopping it."""
    with running(ground, WAITS) as pid:
        found = items("--netns", str(pid), "--port", "8000", "--for", "11s")
    (item,) = found
    expected = {
        "kind": "downstream",
        "peer": "127.0.0.1:7000",
        "frame": None,
        "stuck": 1,
        "of": 1,
        "source": "threadStands",
        "confidence": "low",
    }
    assert ("accept-stall", expected) == (item["code"], item["cause"])
