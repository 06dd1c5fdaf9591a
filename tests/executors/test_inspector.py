"""Where the loop of a real Node.js stands, by its inspector: opened for a moment, and closed whatever happens."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from lastack import errors
from lastack.executors.thread_dump import groups, inspector, node_frames, stacks
from tests import waiting
from tests.executors import nodes, series_of, worlds

PAUSE = dt.timedelta(milliseconds=500)
AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
OPENED = "Debugger listening"


def asked(pid: int, *, age: dt.timedelta = dt.timedelta(0)) -> stacks.ProcessDump:
    """Its dump."""
    asking = inspector.Asking(pid, PAUSE, worlds.RealClock().now().steady + age)
    try:
        while (raw := asking.wait(worlds.WITHIN)) is None:
            pass
    finally:
        asking.close()
    return node_frames.read(raw, pid=pid, parent=0, command="node", at=AT)


def refused(pid: int, *, age: dt.timedelta = dt.timedelta(0)) -> errors.WorldError:
    """Why there is none."""
    with pytest.raises(errors.WorldError) as problem:
        asked(pid, age=age)
    return problem.value


def ok(node: nodes.Node) -> bool:
    """Whether it answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/", timeout=10) as answer:
        return bool(answer.read() == b"ok")


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
OWN_NET = (
    "unshare",
    "--net",
    "--pid",
    "--fork",
    "--mount-proc",
    "sh",
    "-c",
    'ip link set lo up && exec "$@"',
    "sh",
)


@pytest.mark.parametrize("around", [(), NOBODY], ids=["plain", "as-nobody"])
def test_the_function_of_a_blocked_loop_is_named(around: tuple[str, ...]) -> None:
    """Also in a loop that never ends; and nobody listens at the debug port afterwards."""
    with nodes.running(path="/busy", around=around) as node:
        found = groups.find(series_of.taken(node.pid, inspector=True).rounds)
        assert not node.listens_for_debuggers()
        assert 2 == node.said.count(OPENED)
    wanted = "1 of 1 worker processes stands in priceOf (app.js:3) running, unchanged in 2 dumps"
    assert found.text.startswith(wanted), found.text
    assert "cpu" == found.meaning.cause.value
    functions = [frame.function for frame in found.groups[0].sample.frames]
    assert ["priceOf", "(anonymous)"] == functions[:2]
    places = [frame.application for frame in found.groups[0].sample.frames]
    assert [True, True, False] == places[:3]


def test_a_loop_that_rests_goes_on_serving() -> None:
    """Nothing stands; the wish for a pause is taken back, and it answers."""
    with nodes.running() as node:
        dump = asked(node.pid)
        assert ok(node)
        assert not node.listens_for_debuggers()
    (loop,) = dump.threads
    assert ("the event loop", True) == (str(loop.place), loop.waits_for_work)


def test_another_network_namespace_is_entered() -> None:
    """The port is that of the process, not ours."""
    with nodes.running(around=OWN_NET) as node:
        dump = asked(node.pid)
        assert not node.listens_for_debuggers()
        assert OPENED in node.said
    assert dump.threads[0].waits_for_work


def test_without_leave_nothing_is_sent() -> None:
    """Whether the loop is blocked is told by the kernel, and by which option more is seen."""
    with nodes.running(path="/busy") as node:
        taken = series_of.taken(node.pid)
        assert OPENED not in node.said
    assert "1 of 1 worker processes stands in code of its own running" in groups.find(taken.rounds).text
    assert f"lastack dump {node.pid} --inspector" in (taken.missing[node.pid].fix or "")


class TestDanger:
    """What must not be asked is not asked, and the kernel's view is taken instead."""

    def test_a_port_that_is_taken(self) -> None:
        """Somebody may be at work there."""
        with nodes.running() as other, nodes.running(debug=other.port) as node:
            assert f"somebody listens at port {other.port} already" in refused(node.pid).message
            taken = series_of.taken(node.pid, inspector=True)
            assert "" == node.said
            assert ok(node)
            assert ok(other)
        assert {"Node.js"} == {each.runtime for each in taken.rounds[-1]}

    def test_a_process_whose_signal_is_not_for_the_inspector(self) -> None:
        """Node.js 22 and newer can be told so."""
        with nodes.running("--disable-sigusr1") as node:
            assert "--disable-sigusr1: a SIGUSR1 is not for its inspector" in refused(node.pid).message
            assert ok(node)

    @pytest.mark.parametrize(
        "option", ["--inspect-port=0.0.0.0:9333", "--debug-port=0", "--inspect-port=shop"]
    )
    def test_a_port_that_others_could_reach(self, option: str) -> None:
        """Whoever reaches it may run code in the process."""
        with nodes.running(option) as node:
            assert "would not open on loopback at a known port" in refused(node.pid).message
            assert "" == node.said

    def test_a_process_that_does_not_catch_the_signal(self) -> None:
        """It would end it."""
        with subprocess.Popen(["sleep", "600"]) as process:
            try:
                assert "does not catch SIGUSR1" in refused(process.pid, age=worlds.WITHIN).message
                assert process.poll() is None
            finally:
                process.kill()

    def test_a_young_process(self) -> None:
        """Its handler may not be there yet."""
        with nodes.running() as node:
            assert "is younger than 2 s" in refused(node.pid, age=-worlds.WITHIN).message

    def test_a_stopped_process(self) -> None:
        """It would open its port when it goes on, with nobody there to close it."""
        with nodes.running() as node:
            os.kill(node.pid, signal.SIGSTOP)
            waiting.wait_until(
                lambda: psutil.Process(node.pid).status() == psutil.STATUS_STOPPED,
                within=worlds.WITHIN,
                what="the stop",
            )
            assert "is stopped (SIGSTOP)" in refused(node.pid).message
            os.kill(node.pid, signal.SIGCONT)
            assert ok(node)
            assert "" == node.said

    def test_a_loop_that_is_blocked_in_a_call(self) -> None:
        """The same; the call is named."""
        with nodes.running(path="/read") as node:
            assert (
                "stands in the system call read: its inspector would open only afterwards"
                in refused(node.pid).message
            )

    def test_a_loop_of_which_that_is_seen_too_late(self) -> None:
        """A child that it waits for looks like rest from outside: what may come of it is said."""
        with nodes.running(path="/run") as node:
            problem = refused(node.pid)
            assert "did not open its inspector in time" in problem.message
            assert f"ss -ltnp 'sport = :{node.debug}'" in (problem.fix or "")
            assert psutil.pid_exists(node.pid)

    def test_a_full_pipe_that_nobody_reads(self) -> None:
        """Node.js writes some lines there when its inspector opens, and would wait for room for ever."""
        code = 'process.stdout.write("up\\n"); setInterval(() => {}, 1000);'
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * 4096)
        os.set_blocking(writes, True)
        with subprocess.Popen(
            ["node", "-e", code], stdout=subprocess.PIPE, stderr=writes, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert "up\n" == process.stdout.readline()
                problem = refused(process.pid, age=worlds.WITHIN)
            finally:
                process.kill()
                os.close(reads)
                os.close(writes)
        assert "is a pipe that is full" in problem.message

    def test_a_dump_that_is_ended_at_any_time(self) -> None:
        """The port is closed all the same."""
        with nodes.running(path="/busy") as node:
            for _ in range(10):
                asking = inspector.Asking(node.pid, PAUSE, worlds.RealClock().now().steady)
                asking.wait(dt.timedelta(milliseconds=random.uniform(0, 300)))
                asking.close()
                assert not node.listens_for_debuggers()
            assert OPENED in node.said


HOSTILE = """
import signal, socket, sys, time
port, manner = int(sys.argv[1]), sys.argv[2]
def opened(*_):
    server = socket.create_server(("127.0.0.1", port))
    while True:
        client, _ = server.accept()
        try:
            client.settimeout(1)
            if manner == "silence":
                time.sleep(600)
            client.recv(65536)
            if manner == "garbage":
                client.sendall(b"SSH-2.0-nothing\\r\\n\\r\\n")
            while manner == "endless":
                client.sendall(b"x" * 65536)
        except OSError:
            pass
        client.close()
signal.signal(signal.SIGUSR1, opened)
print("up", flush=True)
while True:
    pass
"""


@pytest.mark.parametrize("manner", ["garbage", "endless", "silence"])
def test_a_hostile_process_costs_bounded_time_and_room(manner: str) -> None:
    """What calls itself Node.js may answer anything; that its port stays open is said."""
    port = nodes.free_port()
    argv = [sys.executable, "-c", HOSTILE, str(port), manner, f"--inspect-port={port}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "up\n" == process.stdout.readline()
            began = time.monotonic()
            problem = refused(process.pid, age=worlds.WITHIN)
            assert time.monotonic() - began < 15
            assert f"its debug port {port} could not be closed again" in problem.message
            assert psutil.pid_exists(process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"frames": 3}', b'{"frames": [{}]}', b'{"frames": [1]}']
)
def test_a_broken_answer_is_refused(raw: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(errors.Unsupported):
        node_frames.read(raw, pid=1, parent=0, command="node", at=AT)


def test_installed_packages_are_not_the_application() -> None:
    """Nor are the scripts of Node.js."""
    urls = (
        "node:internal/timers",
        "file:///srv/node_modules/express/lib/router.js",
        "file:///srv/app.mjs?v=2",
    )
    frames = [{"function": "f", "url": url, "line": 7} for url in urls]
    dump = node_frames.read(json.dumps({"frames": frames}).encode(), pid=1, parent=0, command="node", at=AT)
    assert "f (app.mjs:7)" == str(dump.threads[0].place)
    assert pathlib.PurePath("router.js").name == dump.threads[0].frames[1].file
