"""Where threads stand: for whose connection each of them waits, as ss sees the same sockets."""

import contextlib
import dataclasses
import json
import pathlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from lastack import ports
from lastack.engine import samples
from lastack.kernel import sock_diag
from lastack.sensors import listeners, sampler, stands
from tests import waiting
from tests.kernel import namespaces
from tests.sensors import given

PROGRAM = pathlib.Path(__file__).with_name("workers.py")
NAMES = ("inbound", "outbound", "timed", "accepting", "connecting", "unix", "lock")


@dataclasses.dataclass(frozen=True, slots=True)
class Workers:
    """The server with its backend and one client."""

    pid: int
    port: int
    threads: Mapping[str, int]
    backend: int
    client: str


@contextlib.contextmanager
def _workers(extra: int = 0) -> Iterator[Workers]:
    """In the namespace of this thread; ends with everything."""
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        port = backend.getsockname()[1]
        server = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(PROGRAM), str(port), str(extra)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert server.stdout is not None
        own = json.loads(server.stdout.readline())
        client = stack.enter_context(socket.create_connection(("127.0.0.1", own)))
        threads = json.loads(server.stdout.readline())
        host, client_port = client.getsockname()
        yield Workers(server.pid, own, threads, port, f"{host}:{client_port}")
        server.kill()


def _stands(eye: sampler.SocketSampler, selection: ports.Selection, count: int) -> samples.Look:
    """The look at the only listener of the selection, when so many threads stand in a call."""

    def settled() -> samples.Look | None:
        (look,) = eye.look(selection).looks
        those = look.stands
        standing = [] if isinstance(those, samples.Missing) else [each for each in those if not each.running]
        return look if len(standing) == count else None

    return waiting.wait_until(settled, within=given.SOON, what=f"{count} threads that stand")


def _peers_by_ss(pid: int) -> dict[int, str]:
    """Inode -> peer of the connections of a process, as `ss -tnpe` prints them."""
    found = {}
    for line in namespaces.printed("ss", "-HOtnpe").splitlines():
        inode = re.search(r" ino:(\d+)", line)
        if inode is not None and f"pid={pid}," in line:
            found[int(inode[1])] = line.split()[4].replace("[::ffff:127.0.0.1]", "127.0.0.1")
    return found


def test_every_wait_is_named_with_side_and_peer() -> None:
    """Inbound and outbound by the listener of the local port, v4-mapped peers as IPv4; ss agrees by inode."""

    def work() -> tuple[Workers, samples.Look, dict[int, str]]:
        with _workers() as workers:
            selection = ports.Selection(ports=frozenset({workers.port}), deep=True, stands=True)
            look = _stands(given.eye(), selection, len(NAMES) + 1)
            return workers, look, _peers_by_ss(workers.pid)

    workers, look, by_ss = given.alone(work)
    assert not isinstance(look.stands, samples.Missing)
    by_thread = {stand.thread: stand for stand in look.stands}
    found = {name: by_thread[workers.threads[name]] for name in NAMES}
    backend = f"127.0.0.1:{workers.backend}"
    assert {
        "inbound": ("recvfrom", "inbound", workers.client),
        "outbound": ("recvfrom", "outbound", backend),
        "timed": ("poll", "outbound", backend),
        "accepting": ("accept4", "listening", None),
        "connecting": ("connect", "outbound", found["connecting"].peer),
        "unix": ("recvfrom", "other", None),
        "lock": ("futex", "other", None),
    } == {name: (stand.call, stand.side, stand.peer) for name, stand in found.items()}
    named = {stand.inode: stand.peer for stand in look.stands if stand.peer is not None}
    assert 4 == len(named)
    assert {inode: by_ss[inode] for inode in named} == named


def test_nobody_s_threads_are_read_while_nobody_waits() -> None:
    """A healthy service costs nothing: only a queue, or old CLOSE_WAIT rows, are worth a read."""

    def work() -> list[samples.Look]:
        with given.service() as service:
            eye = given.eye()
            before = given.look(eye, service, deep=False)
            service.connect()
            return [before, given.look(eye, service, deep=False)]

    before, after = given.alone(work)
    assert isinstance(before.stands, samples.Missing)
    assert not isinstance(after.stands, samples.Missing)
    assert given.OWN in {stand.pid for stand in after.stands}


@pytest.mark.parametrize(
    ("depth", "ages", "expected"),
    [
        (0, [], False),
        (1, [], True),
        (0, [30_000] * 2, False),
        (0, [29_999] * 9, False),
        (0, [30_000] * 3, True),
    ],
)
def test_a_queue_or_three_old_rows_are_worth_a_read(depth: int, ages: list[int], expected: bool) -> None:
    """Sensors ask for no more than the engine needs for a stall."""
    assert expected == stands.somebody_waits(depth, given.rows(ages))


def test_more_threads_than_a_look_reads_are_missing_with_the_next_step() -> None:
    """A part of the threads would mislead: say so, and name what reads all of them."""

    def work() -> samples.Look:
        with _workers(extra=520) as workers:
            (look,) = given.eye().look(ports.Selection(ports=frozenset({workers.port}), stands=True)).looks
            return look

    look = given.alone(work)
    assert isinstance(look.stands, samples.Missing)
    assert f"lastack dump {look.owner.pid}" in (look.stands.fix or "")
    assert "528 threads" in look.stands.why


def test_many_workers_share_the_bound_of_a_look() -> None:
    """What is left of it after the first process is not enough for the second, which says so."""

    def work() -> list[bool]:
        with _workers() as workers, sock_diag.SockDiag.open() as reader, given.forked(lambda: None) as other:
            directory = listeners.Directory((), {})
            pids = sorted((samples.Pid(workers.pid), samples.Pid(other)))
            found = stands.StandReader(most_in_all=8).read(reader, directory, 1, pids)
            return [isinstance(found[samples.Pid(pid)], samples.Missing) for pid in pids]

    assert [False, True] == given.alone(work)
