"""A probe is a real request: only an answer in time, with the right status, passes."""

import contextlib
import datetime as dt
import os
import pathlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lastack.engine import actions, censuses, samples
from lastack.policy import valid
from lastack.sensors import probes
from tests.scenarios import grounds

PROBE = valid.HttpProbe(path="/health", expect=((200, 399),), timeout=dt.timedelta(seconds=1))
Answering = Callable[[socket.socket], None]


def _member(pid: int = os.getpid()) -> censuses.Member:
    return censuses.Member(
        name=actions.MemberName("device-api-1"),
        incarnation=actions.Incarnation("1"),
        pids=(samples.Pid(pid),),
        main_pid=samples.Pid(pid),
        ready=True,
        age=dt.timedelta(hours=1),
        state="running",
    )


@contextlib.contextmanager
def _server(answer: Answering, host: str = "127.0.0.1") -> Iterator[samples.ListenerAddress]:
    """Answers every connection with what `answer` does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        address = samples.ListenerAddress(host, listener.getsockname()[1], "inet6" if ":" in host else "inet")
        try:
            yield address
        finally:
            over.set()
            socket.create_connection((host, address.port)).close()
            thread.join()


def _say(status: str) -> Answering:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())

    return answer


def _drip(connection: socket.socket) -> None:
    """A byte now and then, so that no single wait is ever long."""
    connection.recv(4096)
    for byte in b"HTTP/1.1 200 OK\r\n" * 3:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def _silence(connection: socket.socket) -> None:
    connection.settimeout(2)
    while connection.recv(4096):
        pass


def _reset(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("answer", "passed", "text"),
    [
        (_say("200 OK"), True, "200 in "),
        (_say("302 Found"), True, "302 in "),
        (_say("503 Busy"), False, "503 in "),
        (_silence, False, "no answer within 1s"),
        (_drip, False, "no answer within 1s"),
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n"), False, "not an HTTP answer"),
        (_reset, False, "connection failed"),
    ],
    ids=["200", "302", "503", "silence", "dripping", "another protocol", "a reset"],
)
def test_only_an_expected_answer_in_time_passes(answer: Answering, passed: bool, text: str) -> None:
    """The time-out bounds the whole exchange, and the text says what came in how long."""
    with _server(answer) as address:
        begun = time.monotonic()
        found, said = probes.HttpProber().ask(_member(), PROBE, [address])
        took = time.monotonic() - begun
    assert (passed, text) == (found, said[: len(text)])
    assert took < 1.5


def test_an_unexpected_status_says_what_was_expected() -> None:
    """The next reader wants to know which answer would have passed."""
    probe = valid.HttpProbe("/", expect=((200, 204), (301, 301)), timeout=dt.timedelta(seconds=1))
    with _server(_say("404 Not Found")) as address:
        _, said = probes.HttpProber().ask(_member(), probe, [address])
    assert said.endswith(", expected 200-204 or 301")


def test_nobody_there_is_said() -> None:
    """A refused connection and a member without listeners."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = samples.ListenerAddress("127.0.0.1", listener.getsockname()[1], "inet")
    prober = probes.HttpProber()
    assert (False, "connection refused") == prober.ask(_member(), PROBE, [address])
    assert (False, "nothing to ask: the member has no listener") == prober.ask(_member(), PROBE, [])


def test_every_listener_has_to_pass() -> None:
    """One that is silent fails the member, and the text names each."""
    with _server(_say("200 OK")) as good, _server(_say("500 No"), "::1") as bad:
        passed, said = probes.HttpProber().ask(_member(), PROBE, [good, bad])
    assert passed is False
    assert said.startswith(f"127.0.0.1:{good.port}: 200 in ")
    assert f"[::1]:{bad.port}: 500 in " in said


def test_a_probe_that_is_given_up_leaves_no_close_wait() -> None:
    """Its sockets count nowhere: a reset takes the row away that a FIN would leave in the sick server's queue."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = samples.ListenerAddress("127.0.0.1", port, "inet")
        passed, said = probes.HttpProber().ask(_member(), PROBE, [address])
        rows = subprocess.run(
            ["ss", "-Htan", "state", "close-wait", f"sport = :{port}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    assert (False, "no answer within 1s", "") == (passed, said, rows)


def test_a_member_is_asked_in_its_own_namespace(tmp_path: pathlib.Path) -> None:
    """Its loopback is not ours: the same address elsewhere is somebody else."""
    with grounds.ground(tmp_path) as ground, _server(_say("503 Busy")) as here:
        process = ground.start(
            "python3", "-m", "http.server", "-b", "127.0.0.1", str(here.port), name="server"
        )
        prober, probe = probes.HttpProber(), valid.HttpProbe("/", PROBE.expect, PROBE.timeout)

        def until_it_listens() -> tuple[bool, str]:
            deadline = time.monotonic() + 10
            while not (answer := prober.ask(_member(process.pid), probe, [here]))[0]:
                assert time.monotonic() < deadline, answer
                time.sleep(0.05)
            return answer

        passed, said = until_it_listens()
    assert (True, "200 in ") == (passed, said[:7])
