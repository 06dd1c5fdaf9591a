"""What a process leaves half-closed as a client: found by process and peer, as ss sees it, and only where it can be."""

import collections
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from lastack import ports
from lastack.engine import samples
from lastack.sensors import sampler
from tests import waiting
from tests.kernel import namespaces
from tests.sensors import given

CLIENT = """
import json, socket, sys
held = []
for port, amount in json.loads(sys.argv[1]):
    for _ in range(amount):
        held.append(socket.create_connection(("127.0.0.1", port)))
print(len(held), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def _upstreams(count: int) -> Iterator[list[socket.socket]]:
    """Servers on IPv4 loopback."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256)) for _ in range(count)]


def _port(upstream: socket.socket) -> int:
    return int(upstream.getsockname()[1])


@contextlib.contextmanager
def _client(*pools: tuple[socket.socket, int]) -> Iterator[int]:
    """A process that keeps so many connections to each upstream, all of which the upstream has closed; its pid."""
    wanted = json.dumps([(_port(upstream), amount) for upstream, amount in pools])
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, wanted], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for upstream, amount in pools:
            for _ in range(amount):
                upstream.accept()[0].close()
        try:
            yield process.pid
        finally:
            process.kill()


def _await(
    eye: sampler.SocketSampler, selection: ports.Selection, amount: int
) -> tuple[samples.OutboundLook, ...]:
    """The outbound looks, when they hold so many rows in all."""

    def settled() -> tuple[samples.OutboundLook, ...] | None:
        found = eye.look(selection).outbound
        return found if sum(len(each.rows.cookies) for each in found) == amount else None

    return waiting.wait_until(settled, within=given.SOON, what=f"{amount} outbound rows")


def _by_ss() -> dict[int, collections.Counter[str]]:
    """pid -> peers of CLOSE_WAIT rows, as `ss -tnpe` prints them."""
    found: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for line in namespaces.printed("ss", "-HOtnpe", "state", "close-wait").splitlines():
        owner = re.search(r"pid=(\d+),", line)
        if owner is not None:
            found[int(owner[1])][line.split()[3]] += 1
    return found


def _counted(look: samples.OutboundLook) -> collections.Counter[str]:
    return collections.Counter(look.peers[which] for which in look.peer_of)


def test_every_process_with_such_sockets_has_a_look_that_agrees_with_ss() -> None:
    """By pid and peer; rows, ages and peers are columns of one length."""
    begun = time.monotonic()

    def work() -> tuple[tuple[samples.OutboundLook, ...], dict[int, collections.Counter[str]]]:
        with (
            _upstreams(2) as (one, two),
            _client((one, 3), (two, 2)),
            _client((two, 4)),
        ):
            looks = _await(given.eye(), ports.Selection(deep=True), 9)
            return looks, _by_ss()

    looks, by_ss = given.alone(work)
    elapsed_ms = (time.monotonic() - begun) * 1000
    assert by_ss == {each.process.pid: _counted(each) for each in looks}
    assert sorted(by_ss) == [each.process.pid for each in looks]
    for each in looks:
        rows = each.rows
        assert {len(each.peer_of)} == {
            len(column) for column in (rows.cookies, rows.inodes, rows.unread, rows.ages_ms, rows.sent_ms)
        }
        assert each.process.outbound == len(rows.cookies)
        assert 0 <= min(rows.ages_ms) <= max(rows.ages_ms) <= elapsed_ms


def test_only_the_processes_that_were_asked_for_are_joined() -> None:
    """`diagnose --pid`, and `run`, which knows its target: nobody else's descriptors are walked."""

    def work() -> tuple[int, list[int]]:
        with _upstreams(1) as (one,), _client((one, 3)) as asked, _client((one, 3)):
            eye = given.eye()
            _await(eye, ports.Selection(deep=True), 6)
            selection = ports.Selection(pids=frozenset({samples.Pid(asked)}), deep=True)
            return asked, [each.process.pid for each in _await(eye, selection, 3)]

    asked, found = given.alone(work)
    assert [asked] == found


def test_a_cheap_look_asks_only_where_a_leak_could_be() -> None:
    """Below twenty rows in the namespace no descriptor is walked, and nothing is claimed about them."""

    def work() -> tuple[samples.Sample, samples.Sample]:
        with given.service() as service, _upstreams(1) as (one,):
            own = ports.Selection(pids=frozenset({given.OWN}), ports=frozenset({service.port}))
            eye = given.eye()
            clients = [socket.create_connection(one.getsockname()) for _ in range(19)]
            for _ in clients:
                one.accept()[0].close()
            _await(given.eye(), ports.Selection(pids=own.pids, deep=True), 19)
            few = eye.look(own)
            clients.append(socket.create_connection(one.getsockname()))
            one.accept()[0].close()
            _await(given.eye(), ports.Selection(pids=own.pids, deep=True), 20)
            many = eye.look(own)
            for client in clients:
                client.close()
            return few, many

    few, many = given.alone(work)
    assert ((), True) == (few.outbound, isinstance(_outbound_of(few), samples.Missing))
    assert (20, [20]) == (_outbound_of(many), [len(each.rows.cookies) for each in many.outbound])


def _outbound_of(sample: samples.Sample) -> int | samples.Missing:
    (look,) = sample.looks
    (process,) = look.owner.processes
    return process.outbound


def test_a_cheap_look_at_everybody_asks_those_that_are_known() -> None:
    """Between the deep looks of `diagnose`: new rows of a known process are joined, nobody new is asked."""

    def work() -> tuple[list[samples.Pid], int, list[samples.Pid]]:
        with _upstreams(1) as (one,), _client((one, 30)) as known:
            eye = given.eye()
            first = [each.process.pid for each in _await(eye, ports.Selection(deep=True), 30)]
            with _client((one, 30)):
                waiting.wait_until(
                    lambda: sum(len(each) for each in _by_ss().values()) == 2,
                    within=given.SOON,
                    what="60",
                )
                return first, known, [each.process.pid for each in eye.look(ports.Selection()).outbound]

    first, known, then = given.alone(work)
    assert ([known], [known]) == (first, then)


def test_an_accepted_connection_is_never_outbound() -> None:
    """Its local port has a listener, also one of another process, on another address family or shared."""

    def work() -> samples.Sample:
        with given.service("::", family=socket.AF_INET6, dual=True) as service:
            client = service.connect("127.0.0.1")
            service.accept()
            client.close()
            eye = given.eye()
            given.await_look(
                eye, service, lambda look: len(look.listener.close_wait.cookies) == 1, what="a FIN"
            )
            return eye.look(ports.Selection(deep=True))

    assert () == given.alone(work).outbound


def test_a_socket_that_was_inherited_counts_once_for_the_master() -> None:
    """A worker that was forked after the pool was filled holds the same sockets."""

    def work() -> dict[int, int]:
        with _upstreams(1) as (one,):
            clients = [socket.create_connection(one.getsockname()) for _ in range(4)]
            for _ in clients:
                one.accept()[0].close()
            with given.forked(lambda: None):
                found = _await(given.eye(), ports.Selection(deep=True), 4)
                for client in clients:
                    client.close()
                return {each.process.pid: len(each.rows.cookies) for each in found}

    assert {given.OWN: 4} == given.alone(work)


def test_without_the_right_it_says_that_somebody_holds_them() -> None:
    """An ordinary user sees the rows, not their process, and is told so with the next step."""
    program = (
        "import os\n"
        "from lastack import ports\n"
        "from tests.sensors import given\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sample = given.eye().look(ports.Selection(deep=True))\n"
        "print(len(sample.outbound), *dict(sample.missing)['closeWait.outbound'].why.split()[:3])\n"
        "print(dict(sample.missing)['closeWait.outbound'].fix)\n"
    )

    def work() -> str:
        with _upstreams(1) as (one,), _client((one, 3)) as client:
            _await(given.eye(), ports.Selection(pids=frozenset({samples.Pid(client)}), deep=True), 3)
            return namespaces.printed(
                "env", f"PYTHONPATH={given.search_path()}", sys.executable, "-c", program
            )

    assert "0 3 sockets in\nrun as root, or grant both capabilities\n" == given.alone(work)


def test_a_process_that_may_not_be_seen_is_missing_by_its_own_name() -> None:
    """Who asks for one pid is told about that pid; the others that were asked for are not blind for it."""
    program = (
        "import os, sys\n"
        "from lastack import ports\n"
        "from tests.sensors import given\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sample = given.eye().look(ports.Selection(pids=frozenset({int(sys.argv[1])}), deep=True))\n"
        "print(sys.argv[1] in [what.removeprefix('pid/') for what, _ in sample.missing], len(sample.missing))\n"
    )

    def work() -> str:
        with _upstreams(1) as (one,), _client((one, 3)) as client:
            _await(given.eye(), ports.Selection(pids=frozenset({samples.Pid(client)}), deep=True), 3)
            path = f"PYTHONPATH={given.search_path()}"
            return namespaces.printed("env", path, sys.executable, "-c", program, str(client))

    assert "True 1\n" == given.alone(work)
