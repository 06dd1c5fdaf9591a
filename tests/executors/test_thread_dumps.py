"""Series of dumps by the real py-spy, of servers that really stand still."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from lastack import errors, ports
from lastack.engine import actions, outcomes, reasons
from lastack.executors import thread_dumps
from lastack.executors.thread_dump import readers
from lastack.executors.thread_dump.cpython import py_spy
from tests import waiting
from tests.contracts import executor_contract
from tests.executors import worlds

THREADED = """
import threading, time
def stall():
    while True: time.sleep(60)
def handler():
    stall()
for number in range(4):
    threading.Thread(target=handler, name=f"worker-{number}").start()
print("up", flush=True)
threading.Event().wait()
"""

APPLICATION = """
import time
def stall():
    time.sleep(600)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/stall":
        stall()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Stage:
    """A dumper over a host whose one member has these processes."""

    def __init__(self, folder: pathlib.Path, *pids: int, program: pathlib.Path | None = None) -> None:
        self.host = worlds.OneMemberHost(*pids)
        self.evidence = worlds.KeptEvidence(folder)
        self.program = program

    def dumper(self) -> thread_dumps.ThreadDumper:
        """A new instance."""
        return thread_dumps.ThreadDumper(
            lambda _: self.host, self.evidence, worlds.RealClock(), readers.all_readers(self.program)
        )


@pytest.fixture
def threaded() -> Iterator[int]:
    """The pid of a server whose four worker threads stand in stall."""
    with worlds.running_python(THREADED) as process:
        yield process.pid


class DumpBed:
    """A member that can be dumped."""

    def __init__(self, folder: pathlib.Path, pid: int) -> None:
        self._stage = Stage(folder, pid)
        self.step = worlds.step_of(worlds.dump_series(pid))
        self.stale = worlds.step_of(worlds.dump_series(pid), expected=actions.Incarnation("9@9.00"))
        self.leaves_traces = False

    def executor(self) -> ports.Executor:
        """A new instance."""
        return self._stage.dumper()


class TestThreadDumpsKeepTheContract(executor_contract.ExecutorContract):
    """The claims of every executor, on a real process."""

    @pytest.fixture
    def bed(self, tmp_path: pathlib.Path, threaded: int) -> executor_contract.Bed:
        """A threaded server."""
        return DumpBed(tmp_path, threaded)


def test_the_stuck_threads_of_a_server_are_named(tmp_path: pathlib.Path, threaded: int) -> None:
    """How many of how many, where, for how long; every raw dump and the summary are kept."""
    stage = Stage(tmp_path, threaded)
    found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded)))
    assert isinstance(found, outcomes.Succeeded), found
    assert found.text.startswith(
        "4 of 4 worker threads stand in stall (<string>:4) sleeping, unchanged in 3 dumps over 0."
    )
    assert ("stall (<string>:4)", 4, 4, 3) == tuple(
        found.facts[key] for key in ("frame", "stuck", "of", "dumps")
    )
    assert "4 threads, did not move: worker-" in str(found.facts["top"])
    assert worlds.LIFE == found.incarnation
    *raw, summary = found.evidence
    assert 3 == len(raw)
    for number, file in enumerate(raw, 1):
        content = (tmp_path / file.path).read_bytes()
        assert file.path.endswith(f"-{threaded}-dump-{number}.json")
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert 5 == len(json.loads(content))
    assert found.text in (tmp_path / summary.path).read_text()


@contextlib.contextmanager
def stalled_gunicorn(folder: pathlib.Path, *options: str, clients: int) -> Iterator[int]:
    """A gunicorn at its defaults, `clients` of whose requests hang in their handler; its master's pid."""
    (folder / "app.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *options, "app:app"]
    with (folder / "gunicorn.log").open("wb") as log, contextlib.ExitStack() as stack:
        server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(clients):
                client = waiting.wait_until(lambda: connected(port), within=worlds.WITHIN, what="gunicorn")
                stack.enter_context(client)
                client.sendall(b"GET /stall HTTP/1.1\r\nHost: a\r\n\r\n")
            yield server.pid
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def connected(port: int) -> socket.socket | None:
    """A connection, once somebody listens."""
    with contextlib.suppress(ConnectionRefusedError):
        return socket.create_connection(("127.0.0.1", port))
    return None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--workers", "3"),
            "3 of 3 worker processes stand in stall (app.py:4) sleeping, unchanged in 2 dumps",
        ),
        (
            ("--threads", "3"),
            "3 of 3 worker threads stand in stall (app.py:4) sleeping, unchanged in 2 dumps",
        ),
    ],
    ids=["sync", "gthread"],
)
def test_the_stuck_workers_of_gunicorn_are_named(
    tmp_path: pathlib.Path, options: tuple[str, ...], sentence: str
) -> None:
    """A server that is not ours, at its defaults: the whole tree is dumped from the pid of its master."""
    with stalled_gunicorn(tmp_path, *options, clients=3) as master:
        stage = Stage(tmp_path, master)

        def all_stuck() -> str | None:
            work = worlds.dump_series(master, count=2)
            found = worlds.carried(stage.dumper(), worlds.step_of(work))
            assert isinstance(found, outcomes.Succeeded), found
            return found.text if found.facts["stuck"] == 3 else None

        text = waiting.wait_until(all_stuck, within=worlds.WITHIN, what="three handlers in their stall")
    assert text.startswith(sentence)


def test_a_healthy_server_has_nothing_that_stands_still(tmp_path: pathlib.Path) -> None:
    """Accept loops and idle workers are waiting for work, not stuck."""
    with stalled_gunicorn(tmp_path, "--workers", "2", clients=0) as master:
        waiting.wait_until(
            lambda: len(psutil.Process(master).children()) == 2, within=worlds.WITHIN, what="two workers"
        )
        (folder := tmp_path / "evidence").mkdir()
        stage = Stage(folder, master)

        def settled() -> outcomes.Succeeded | None:
            found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(master, count=2)))
            # A worker that is still importing is moving, or gone on to its loop in the next look.
            return found if isinstance(found, outcomes.Succeeded) and found.facts["stuck"] == 0 else None

        found = waiting.wait_until(settled, within=worlds.WITHIN, what="idle workers")
    assert found.facts["frame"] is None
    assert "stands still outside of waiting for work" in found.text


def test_a_process_that_dies_in_the_middle_fails_with_what_was_stored(
    tmp_path: pathlib.Path, threaded: int
) -> None:
    """The dumps that were taken are evidence all the same."""
    stage = Stage(tmp_path, threaded)
    dumper, step = stage.dumper(), worlds.step_of(worlds.dump_series(threaded, every_ms=300))
    assert isinstance(dumper.begin(step), outcomes.Running)
    waiting.wait_until(
        lambda: bool(dumper.poll(step)) and list(tmp_path.glob("*-dump-1.json")),
        within=worlds.WITHIN,
        what="the first dump",
    )
    os.kill(threaded, signal.SIGKILL)
    found: outcomes.Running | outcomes.Outcome = outcomes.Running("")
    while isinstance(found, outcomes.Running):
        found = dumper.poll(step)
    assert isinstance(found, outcomes.Failed)
    assert f"process {threaded}" in found.text
    assert "has ended" in found.text
    assert len(found.evidence) >= 2
    assert 4 == found.facts["stuck"]


def test_a_worker_that_ends_does_not_end_the_series(tmp_path: pathlib.Path) -> None:
    """A master that replaces its worker is the same member; the summary says who is missing."""
    code = f"import os\nif os.fork() == 0:\n    import time\n    time.sleep(600)\n{THREADED}"
    with worlds.running_python(code) as process:
        (worker,) = psutil.Process(process.pid).children()
        stage = Stage(tmp_path, process.pid)
        dumper, step = stage.dumper(), worlds.step_of(worlds.dump_series(process.pid, every_ms=300))
        dumper.begin(step)
        # Another dump of this machine may have the turn: then it is taken by a later poll.
        waiting.wait_until(
            lambda: bool(dumper.poll(step)) and list(tmp_path.glob(f"*-{worker.pid}-dump-1.json")),
            within=worlds.WITHIN,
            what="its dump",
        )
        worker.kill()
        found: outcomes.Running | outcomes.Outcome = outcomes.Running("")
        while isinstance(found, outcomes.Running):
            found = dumper.poll(step)
    assert isinstance(found, outcomes.Succeeded), found
    assert 4 == found.facts["stuck"]


def test_a_process_that_is_not_there_is_a_failure_that_did_not_happen(tmp_path: pathlib.Path) -> None:
    """Nothing was touched."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    found = Stage(tmp_path, process.pid).dumper().begin(worlds.step_of(worlds.dump_series(process.pid)))
    assert isinstance(found, outcomes.Failed)
    assert not found.happened
    assert f"process {process.pid} does not exist" in found.text


FAKE = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *--nonblocking*) echo "Error: Failed to read memory" >&2; exit 1;; esac
{then}
"""


def fake_py_spy(folder: pathlib.Path, then: str) -> tuple[pathlib.Path, pathlib.Path]:
    """A py-spy that catches a stack in motion without a stop, and its log."""
    program, log = folder / "py-spy", folder / "calls"
    program.write_text(FAKE.format(log=log, then=then))
    program.chmod(0o755)
    return program, log


def test_a_stop_is_the_last_resort(tmp_path: pathlib.Path, threaded: int) -> None:
    """Three looks without stopping the process come first."""
    program, log = fake_py_spy(tmp_path, "echo []")
    stage = Stage(tmp_path, threaded, program=program)
    found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded, count=1)))
    assert isinstance(found, outcomes.Succeeded), found
    expected = f"dump --pid {threaded} --json"
    assert [f"{expected} --nonblocking"] * 3 + [expected] == log.read_text().splitlines()


def test_a_stop_is_never_longer_than_max_pause(tmp_path: pathlib.Path, threaded: int) -> None:
    """py-spy is killed then, which lets the process go on."""
    program, _ = fake_py_spy(tmp_path, "exec sleep 60")
    stage = Stage(tmp_path, threaded, program=program)
    began = worlds.RealClock().now()
    found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded, count=1)))
    assert isinstance(found, outcomes.Failed)
    assert "did not end in time" in found.text
    assert worlds.RealClock().now().since(began) < dt.timedelta(seconds=5)


def test_an_answer_that_is_not_understood_is_a_failure(tmp_path: pathlib.Path, threaded: int) -> None:
    """Another py-spy may speak another JSON."""
    program = tmp_path / "py-spy"
    program.write_text("#!/bin/sh\necho '[{\"thread\": 1}]'\n")
    program.chmod(0o755)
    stage = Stage(tmp_path, threaded, program=program)
    found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded, count=1)))
    assert isinstance(found, outcomes.Failed)
    assert "the answer of py-spy is not understood" in found.text


def test_without_py_spy_the_failure_says_how_to_get_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.Unsupported) as absent:
        py_spy.find_program()
    assert "lastack[python-dumps]" in (absent.value.fix or "")


def test_a_full_disk_is_a_failure_and_harms_nothing(tmp_path: pathlib.Path, threaded: int) -> None:
    """No room for evidence is told; the process goes on."""

    class Full(worlds.KeptEvidence):
        def keep(self, incident: str, name: str, content: bytes, what: str) -> outcomes.EvidenceFile:
            raise errors.StateUnusable("no room for evidence")

    stage = Stage(tmp_path, threaded)
    stage.evidence = Full(tmp_path)
    found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded)))
    assert isinstance(found, outcomes.Failed)
    assert "no room for evidence" in found.text
    assert psutil.pid_exists(threaded)


def test_a_member_that_is_gone_is_not_dumped(tmp_path: pathlib.Path, threaded: int) -> None:
    """The pid of another life is not looked into."""
    stage = Stage(tmp_path, threaded)
    stage.host.incarnation = None
    found = stage.dumper().begin(worlds.step_of(worlds.dump_series(threaded)))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.INCARNATION_CHANGED == found.reason
    assert [] == list(tmp_path.iterdir())
