"""`lastack dump` as a person and a script call it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lastack.kernel import procfs
from tests import waiting
from tests.executors import worlds

MAIN = "import sys\nfrom lastack import cli\nsys.exit(cli.main())"
STALLED = """
import threading, time
def stall_with_a_name_that_is_longer_than_anybody_would_like_it_to_be_on_a_small_terminal():
    time.sleep(600)
for number in range(4):
    threading.Thread(
        target=stall_with_a_name_that_is_longer_than_anybody_would_like_it_to_be_on_a_small_terminal,
        name=f"worker\\x1b[2J{number}",
    ).start()
print("up", flush=True)
threading.Event().wait()
"""


def dump(*arguments: str | int) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    argv = [sys.executable, "-c", MAIN, "dump", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def stalled() -> Iterator[int]:
    """The pid of a stalled server."""
    with worlds.running_python(STALLED) as process:
        yield process.pid


def test_the_text_names_the_stuck_threads_within_80_columns(stalled: int) -> None:
    """The finding first; nothing of the process's names reaches the terminal as a control character."""
    done = dump(stalled, "--count", 2, "--every", "100ms")
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("4 of 4 worker threads stand in stall_with_a_name")
    assert [] == [line for line in done.stdout.splitlines() if len(line) > 80]
    assert done.stdout.replace("\n", "").isprintable()


WAITING_FOR_CLIENTS = """
import socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
def read_request(connection):
    connection.settimeout(600)
    return connection.recv(100)
def work():
    while True:
        connection, _ = server.accept()
        read_request(connection)
for number in range(2):
    threading.Thread(target=work, daemon=True).start()
print(server.getsockname()[1], flush=True)
threading.Event().wait()
"""


def test_workers_whose_clients_send_nothing_wait_for_them() -> None:
    """As under overload, when the kernel dropped the request: a restart would not bring it (docs: diagnosis)."""
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", WAITING_FOR_CLIENTS], stdout=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        waiting.wait_until(
            lambda: (
                "reading from a client" in (done := dump(process.pid, "--count", 2)).stdout or done.stderr
            ),
            within=worlds.WITHIN,
            what="both workers with a client each",
        )
        done = dump(process.pid, "--count", 2, "-o", "json")
    found = json.loads(done.stdout)
    assert (2, 2, "client") == (found["stuck"], found["of"], found["cause"]), found


LONG = "stall_with_a_name_that_is_longer_than_anybody_would_like_it_to_be_on_a_small_terminal"


def test_a_frame_that_is_too_long_keeps_its_line(stalled: int) -> None:
    """The file and the line are what is looked for; packages, at the beginning, are not."""
    done = dump(stalled, "--count", 1)
    assert f"    …{LONG[-62:]} (<string>:4)" in done.stdout.splitlines()


def test_the_json_is_one_document(stalled: int) -> None:
    """Groups with whole stacks, for scripts."""
    done = dump(stalled, "--count", 2, "--every", "100ms", "-o", "json")
    found = json.loads(done.stdout)
    assert ("lastack.dev/v1alpha1", "ThreadDump", True, []) == tuple(
        found[key] for key in ("apiVersion", "kind", "complete", "missing")
    )
    assert (stalled, 2, 4, 4) == tuple(found[key] for key in ("pid", "dumps", "stuck", "of"))
    group = found["groups"][0]
    assert (4, 4, False) == (len(group["threads"]), group["unchanged"], group["waitsForWork"])
    assert found["frame"] == f"{group['frames'][0]['function']} (<string>:4)"


def test_raw_is_what_py_spy_said(stalled: int) -> None:
    """One line per process and dump."""
    done = dump(stalled, "--count", 2, "--every", "100ms", "-o", "raw")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(1, stalled, 5), (2, stalled, 5)] == [
        (one["dump"], one["pid"], len(one["threads"])) for one in lines
    ]


def test_a_process_that_is_gone_is_status_3_and_still_a_document() -> None:
    """Unknown values are null, with the reason in `missing`."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    done = dump(process.pid, "-o", "json")
    found = json.loads(done.stdout)
    assert 3 == done.returncode
    assert (None, [], False) == (found["stuck"], found["groups"], found["complete"])
    assert f"process {process.pid} does not exist" == found["missing"][0]["why"]
    assert f"lastack: process {process.pid} does not exist" in done.stderr


def test_a_program_that_cannot_be_asked_is_told_as_the_kernel_sees_it() -> None:
    """With the runtime, and the next step how to see more by hand."""
    with subprocess.Popen(["sleep", "600"]) as process:
        waiting.wait_until(
            lambda: procfs.command_line(process.pid) == ("sleep", "600"),
            within=worlds.WITHIN,
            what="the exec",
        )
        done = dump(process.pid)
        process.kill()
    assert 0 == done.returncode, done.stderr
    assert "clock_nanosleep" in done.stdout
    assert f"process {process.pid} is a native program" in done.stderr
    assert f"next step: by hand: lastack dump {process.pid} --native-stacks" in done.stderr


def test_a_kernel_thread_is_status_3() -> None:
    """It runs no program."""
    pids = [pid for pid in procfs.pids() if procfs.command_line(pid) == () and _is_kernel_thread(pid)]
    if not pids:
        pytest.fail("no kernel thread is seen here: run the tests outside of a pid namespace of their own")
    done = dump(pids[0])
    assert (3, "") == (done.returncode, done.stdout)
    assert f"process {pids[0]} is a kernel thread" in done.stderr


def _is_kernel_thread(pid: int) -> bool:
    facts = procfs.process(pid)
    return isinstance(facts, procfs.ProcessFacts) and (facts.parent == 2 or pid == 2)


def test_an_ordinary_user_may_not_look_into_others(stalled: int) -> None:
    """Status 3, and the right that is missing."""
    if os.geteuid() != 0:
        pytest.fail("this test changes to nobody: run it as root")
    root = pathlib.Path(__file__).parents[2]
    code = (
        f"import os, sys\nsys.path[:0] = [{str(root / 'operator')!r}]\n"
        "from lastack import cli\nfrom lastack.cli import dump, dumping\n"
        "from lastack.executors.thread_dump import groups\n"
        "os.setgroups([])\nos.setresgid(65534, 65534, 65534)\nos.setresuid(65534, 65534, 65534)\n"
        f"sys.exit(cli.main(['dump', '{stalled}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (3, "") == (done.returncode, done.stdout)
    assert "not permitted" in done.stderr
    assert "next step: run as root" in done.stderr


def test_a_unit_without_a_process_is_status_3() -> None:
    """With the command that tells why; a name without a suffix is a service."""
    done = dump("no-such-unit", "-o", "json")
    assert 3 == done.returncode
    document = json.loads(done.stdout)
    assert ("no-such-unit.service", None, []) == (document["unit"], document["pid"], document["processes"])
    assert "no process that can be seen belongs to unit no-such-unit.service" in done.stderr
    assert "systemctl status no-such-unit.service" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("0",), "'0' is neither a process number nor the name of a unit"),
        (("a b",), "expected something like 4711 or device-api@1.service"),
        (("1", "--every", "5"), "'5' is not a duration"),
        (("1", "--every", "2h"), "2h is too long; expected 1h or less"),
        (("1", "--count", "0"), "'--count'"),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: tuple[str, ...], said: str) -> None:
    """Before anything is looked at."""
    done = dump(*arguments)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr


def test_ctrl_c_is_status_130_and_leaves_nothing(stalled: int) -> None:
    """In the middle of the series."""
    argv = [sys.executable, "-c", MAIN, "dump", str(stalled), "--every", "1m"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        status = pathlib.Path(f"/proc/{process.pid}/status")

        def catches_sigint() -> bool:
            (caught,) = [line for line in status.read_text().splitlines() if line.startswith("SigCgt")]
            # SIGTERM (15) is caught only inside of the command: Python itself catches SIGINT alone.
            return bool(int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1)))

        waiting.wait_until(catches_sigint, within=worlds.WITHIN, what="the command")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert (130, "") == (process.returncode, stdout)
    assert "Traceback" not in stderr
