"""The control socket: who asks is known, and no client can hurt the server or hold up a tick."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lastack import errors, ports
from lastack.engine import outcomes
from lastack.stores import control, peers, state_dir
from tests import waiting

SOON = dt.timedelta(seconds=10)
Answer = Mapping[str, outcomes.Json]


@pytest.fixture
def server(where: state_dir.StateDir) -> Iterator[control.ControlServer]:
    """A server whose tick thread is the test."""
    found = control.ControlServer(where)
    yield found
    found.close()


@contextlib.contextmanager
def ticking(
    server: control.ControlServer, answer: Callable[[ports.ControlRequest], Answer]
) -> Iterator[None]:
    """A tick thread that answers every request."""
    ending = threading.Event()

    def tick() -> None:
        while not ending.wait(0.005):
            for request in server.pending():
                request.reply(answer(request))

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def echo(request: ports.ControlRequest) -> Answer:
    """What was asked."""
    return {"verb": request.verb, "arguments": dict(request.arguments), "actor": request.actor}


@contextlib.contextmanager
def connected(where: state_dir.StateDir) -> Iterator[socket.socket]:
    """A raw client."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SOON.total_seconds())
        client.connect(str(where.control_socket))
        yield client


def heard(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while block := client.recv(65536):
        found += block
    return found


def test_a_request_is_answered_and_its_asker_is_named(
    where: state_dir.StateDir, server: control.ControlServer
) -> None:
    """By the kernel's word, not by the client's."""
    with ticking(server, echo):
        answer = control.ask(where, "pause", {"reason": "deploying ü", "for": "2h"})
    assert ("pause", {"reason": "deploying ü", "for": "2h"}) == (answer["verb"], answer["arguments"])
    assert str(peers.myself()) == answer["actor"]
    assert str(answer["actor"]).endswith(f", pid {os.getpid()}")


def test_the_socket_is_for_its_owner_only(where: state_dir.StateDir, server: control.ControlServer) -> None:
    """Whoever can connect can pause."""
    assert "0o140600" == oct(where.control_socket.stat().st_mode)


def test_another_user_is_refused_even_with_the_socket_open() -> None:
    """As nobody, after somebody opened the modes by mistake."""
    program = (
        "import os, pathlib, sys\nfrom lastack import errors\nfrom lastack.stores import control, state_dir\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: control.ask(state_dir.StateDir(pathlib.Path(sys.argv[1])), 'pause', {})\n"
        "except errors.NotPermitted as error: print(error.message)"
    )
    # Not below pytest's own folder, which nobody but its owner can enter.
    with tempfile.TemporaryDirectory() as place:
        where = state_dir.prepare(pathlib.Path(place) / "state")
        server = control.ControlServer(where)
        for path, mode in ((where.path.parent, 0o755), (where.path, 0o755), (where.control_socket, 0o666)):
            path.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", program, str(where.path)], capture_output=True, text=True, check=True
        )
        pending = server.pending()
        server.close()
    assert "only root and the user of lastack" in done.stdout
    assert [] == pending


def test_an_answer_that_is_an_error_is_raised(
    where: state_dir.StateDir, server: control.ControlServer
) -> None:
    """The command's exit code is that of a usage error."""
    refusing = ticking(server, lambda request: {"error": "a pause needs a reason"})
    with refusing, pytest.raises(errors.UsageError, match="needs a reason"):
        control.ask(where, "pause", {})


def test_a_large_answer_comes_whole(where: state_dir.StateDir, server: control.ControlServer) -> None:
    """A status of many members is longer than the kernel's buffer."""
    with ticking(server, lambda request: {"text": "x" * 3_000_000}):
        assert 3_000_000 == len(str(control.ask(where, "status", {})["text"]))


def test_where_nobody_listens_is_not_reachable(where: state_dir.StateDir) -> None:
    """The command may then take the lock itself; a socket left by a kill is the same."""
    with pytest.raises(errors.NotReachable, match="no lastack runs on"):
        control.ask(where, "status", {})
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(where.control_socket))
    with pytest.raises(errors.NotReachable, match="no lastack runs on"):
        control.ask(where, "status", {})
    found = control.ControlServer(where)
    with ticking(found, echo):
        assert "status" == control.ask(where, "status", {})["verb"]
    found.close()
    assert not where.control_socket.exists()


def test_a_directory_however_deep_has_a_socket(tmp_path: pathlib.Path) -> None:
    """The address of a Unix socket holds 107 bytes; a path may be longer."""
    where = state_dir.prepare(tmp_path / ("deep" * 40) / ("er" * 60))
    found = control.ControlServer(where)
    with ticking(found, echo):
        assert "status" == control.ask(where, "status", {})["verb"]
    found.close()


def test_a_tick_that_never_comes_is_said(where: state_dir.StateDir) -> None:
    """And that it may still be done."""
    found = control.ControlServer(where, answer_within_seconds=0.05)
    with pytest.raises(
        errors.NotReachable, match=r"no answer within 0.05 s; what was asked may still be done"
    ):
        control.ask(where, "status", {})
    (request,) = found.pending()
    request.reply({"text": "too late"})
    found.close()
    request.reply({"text": "later still"})


def test_an_end_before_the_answer_is_said(where: state_dir.StateDir) -> None:
    """Whoever waits is not left waiting."""
    found = control.ControlServer(where)
    said: list[str] = []

    def ask() -> None:
        try:
            control.ask(where, "status", {})
        except errors.NotReachable as error:
            said.append(error.message)

    asking = threading.Thread(target=ask)
    asking.start()
    waiting.wait_until(found.pending, within=SOON, what="the request")
    found.close()
    asking.join()
    assert [f"the lastack on {where.path} ended before it answered"] == said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"rubbish", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "no verb"),
        (b'{"verb": 5}', "no verb"),
        (b'{"verb": "pause", "arguments": []}', "wrong kind"),
        (b'{"verb": "pause", "arguments": {"reason": 5}}', "has to be a string"),
        (
            b'{"verb": "pause", "arguments": {' + b",".join(b'"%d": ""' % n for n in range(9)) + b"}}",
            "wrong kind",
        ),
        (b'{"verb": "' + b"x" * control.LARGEST_REQUEST + b'"}', "larger than 16384 bytes"),
        (b"[" * 10_000, "cannot be read"),
    ],
)
def test_what_is_no_request_is_answered_with_what_was_expected(
    where: state_dir.StateDir, server: control.ControlServer, line: bytes, why: str
) -> None:
    """And reaches no tick."""
    with connected(where) as client:
        client.sendall(line + b"\n")
        assert why in json.loads(heard(client))["error"]
    assert [] == server.pending()


def test_an_endless_line_is_cut_off(where: state_dir.StateDir, server: control.ControlServer) -> None:
    """The server reads no more than it has to; what the client has in flight then may reset its connection."""
    with connected(where) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(10_000):
                client.sendall(b"x" * 65536)
        with contextlib.suppress(ConnectionResetError):
            assert "larger than" in json.loads(heard(client))["error"]


def test_who_shuts_its_half_down_and_waits_is_answered(
    where: state_dir.StateDir, server: control.ControlServer
) -> None:
    """As `socat` and `nc -N` do."""
    with ticking(server, echo), connected(where) as client:
        client.sendall(b'{"verb": "status"}\n')
        client.shutdown(socket.SHUT_WR)
        assert "status" == json.loads(heard(client))["verb"]


def test_clients_that_stay_silent_or_leave_hold_up_nobody(
    where: state_dir.StateDir, server: control.ControlServer
) -> None:
    """Half requests, vanished askers, readers who never read: the next one is served."""
    with contextlib.ExitStack() as open_ones:
        for half in (b"", b"{", b'{"verb": "status"'):
            open_ones.enter_context(connected(where)).sendall(half)
        for _ in range(5):
            with connected(where) as gone:
                gone.sendall(b'{"verb": "status"}\n')
        deaf = open_ones.enter_context(connected(where))
        deaf.sendall(b'{"verb": "status"}\n')
        with ticking(server, lambda request: {"text": "x" * 1_000_000}):
            assert "text" in control.ask(where, "status", {})


def test_too_many_at_once_are_turned_away_and_it_goes_on(
    where: state_dir.StateDir, server: control.ControlServer
) -> None:
    """Descriptors are bounded; when they leave there is room again."""
    with contextlib.ExitStack() as open_ones:
        for _ in range(control.MOST_CONNECTIONS):
            open_ones.enter_context(connected(where))
        with connected(where) as late:
            assert b"" == heard(late)

    def asked() -> bool:
        try:
            return "verb" in control.ask(where, "status", {})
        except errors.NotReachable:
            return False

    with ticking(server, echo):
        waiting.wait_until(asked, within=SOON, what="room for another client")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_leave_the_server_whole(
    where: state_dir.StateDir, server: control.ControlServer, blocks: list[bytes]
) -> None:
    """Afterwards it answers the next one."""
    with connected(where) as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for block in blocks:
            client.sendall(block)
    with ticking(server, echo):
        assert "status" == control.ask(where, "status", {})["verb"]


def test_the_login_behind_a_sudo_is_named() -> None:
    """Who became root stays known to the kernel."""
    assert "root (login uid 1000), pid 4711" == str(peers.Peer(4711, 0, 1000))
    assert "root, pid 4711" == str(peers.Peer(4711, 0, None))
    assert "uid 4294967000, pid 1" == str(peers.Peer(1, 4294967000, 4294967000))
    assert peers.login_uid(2**22 + 1) is None
