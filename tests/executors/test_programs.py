"""A process that waits for a program that it runs: whom that waits for is whom the process waits for."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests import waiting

pytestmark = pytest.mark.timeout(120)

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
WITHIN = dt.timedelta(seconds=40)
RUNS = """
import subprocess, sys

def ask_by_shell(words):
    subprocess.run(["bash", "-c", *words], capture_output=True)

ask_by_shell(sys.argv[1:])
"""
READS = "exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3"


@contextlib.contextmanager
def running(script: str, *, beside: bool = False) -> Iterator[int]:
    """A Python program in a function that runs a shell, and waits for it; its pid. `beside`: it has another child."""
    code = f"import subprocess; other = subprocess.Popen(['sleep', '1000'])\n{RUNS}" if beside else RUNS
    process = subprocess.Popen([sys.executable, "-c", code, script], start_new_session=True)
    try:
        yield process.pid
    finally:
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
        process.wait()


@contextlib.contextmanager
def deaf(count: int) -> Iterator[Sequence[int]]:
    """The ports of servers that take every connection and never say anything."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        yield [server.getsockname()[1] for server in servers]


def says(pid: int, words: str) -> dict[str, Any]:
    """The dump, once it says these words."""
    last: list[str] = []

    def told() -> dict[str, Any] | None:
        command = [str(PROGRAM), "dump", str(pid), "--count", "2", "--every", "200ms", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        document: dict[str, Any] = json.loads(done.stdout)
        last.append(str(document["summary"]))
        return document if words in last[-1] else None

    try:
        return waiting.wait_until(told, within=WITHIN, what=words)
    except AssertionError as late:
        raise AssertionError(f"{late}; last: {last[-1]}") from late


def test_the_peer_of_a_program_is_named_with_the_code_that_runs_it() -> None:
    """Also when the one that waits is a child of the child."""
    with deaf(1) as (port,), running(READS.format(port)) as pid:
        document = says(pid, f"which is reading from 127.0.0.1:{port}, unchanged")
        assert ("downstream", f"127.0.0.1:{port}") == (document["cause"], document["peer"])
        assert "stands in ask_by_shell (" in document["summary"]
        assert "waiting for a program that it runs (" in document["summary"]


def test_a_program_that_waits_for_nobody_is_no_downstream() -> None:
    """It sleeps: why is not known."""
    with running("sleep 1000") as pid:
        document = says(pid, "waiting for a program that it runs, unchanged")
        assert ("unknown", None) == (document["cause"], document["peer"])


def test_two_peers_are_none() -> None:
    """Which of them it is that keeps the call waiting cannot be told."""
    with deaf(2) as (one, other), running(f"({READS.format(one)}) & {READS.format(other)}") as pid:

        def both() -> bool:
            listed = subprocess.run(
                ["ss", "-Htn", "state", "established"], capture_output=True, text=True, check=True
            )
            return all(f"127.0.0.1:{port} " in listed.stdout for port in (one, other))

        waiting.wait_until(both, within=WITHIN, what="both connections")
        document = says(pid, "waiting for a program that it runs, unchanged")
        assert ("unknown", None) == (document["cause"], document["peer"])


def test_a_child_beside_makes_it_untellable() -> None:
    """The process runs two programs, and one of them has nothing to do with the peer."""
    with deaf(1) as (port,), running(READS.format(port), beside=True) as pid:

        def asked() -> bool:
            command = ["ss", "-Htn", "state", "established", "dport", f"= :{port}"]
            return bool(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())

        waiting.wait_until(asked, within=WITHIN, what="the connection")
        document = says(pid, "waiting for a program that it runs, unchanged")
        assert ("unknown", None) == (document["cause"], document["peer"])
