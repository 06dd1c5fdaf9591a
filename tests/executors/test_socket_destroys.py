"""Sockets destroyed on request of the engine, on real processes that hang in real connections."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lastack import errors, quantities
from lastack.engine import actions, outcomes, samples, stuck_sockets
from lastack.executors import socket_choices, socket_destroys
from lastack.kernel import blocked_calls, descriptors, netns, sock_destroy
from lastack.policy import valid, vocabulary
from tests import waiting
from tests.executors import worlds

pytestmark = pytest.mark.timeout(120)

Kind = vocabulary.SocketKind
WORKERS = 3
SILENT = dt.timedelta(seconds=31)

WORLD = """
import json, os, select, socket, sys, threading, time
ears = [socket.create_server(("127.0.0.1", port)) for port in (7000, 7001)]
api = socket.create_server(("127.0.0.1", 8080))
kept, ends = [], []
if sys.argv[1] == "loop":
    select.epoll()
    epoll = select.epoll()

def work(port):
    s = socket.socket()
    if sys.argv[1] == "bound":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    s.connect(("127.0.0.1", port))
    s.sendall(b"ask")
    try:
        ends.append(repr(s.recv(10)))
    except OSError as problem:
        ends.append(type(problem).__name__)
    print(ends[-1], flush=True)
    kept.append(s)

for _ in range(3):
    threading.Thread(target=work, args=(7000,), daemon=True).start()
threading.Thread(target=work, args=(7001,), daemon=True).start()
for ear, count in zip(ears, (3, 1)):
    kept += [ear.accept()[0] for _ in range(count)]
for _ in range(2):
    client = socket.create_connection(("127.0.0.1", 8080))
    served, _ = api.accept()
    client.close()
    kept.append(served)
    served.recv(1)
print("up", flush=True)
if sys.argv[1] == "main":
    work(7000)
if sys.argv[1] == "loop":
    work(7000)
time.sleep(600)
"""


@dataclasses.dataclass
class World:
    """A process in a network namespace of its own, whose threads hang in connections to itself."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> samples.Pid:
        """The process."""
        return samples.Pid(self.process.pid)

    @property
    def namespace(self) -> int:
        """Its namespace."""
        return netns.identify(netns.path_of(self.pid)).inode

    def stuck(self, port: int = 7000) -> tuple[stuck_sockets.StuckSocket, ...]:
        """Its threads that read from a port, as the kernel has them."""
        found = []
        for folder in sorted(
            pathlib.Path(f"/proc/{self.pid}/task").iterdir(), key=lambda each: int(each.name)
        ):
            call = blocked_calls.of_thread(self.pid, int(folder.name))
            if (
                not isinstance(call, blocked_calls.BlockedCall)
                or call.descriptor is None
                or call.name is None
            ):
                continue
            inode = descriptors.socket_at(self.pid, call.descriptor)
            peer = self.peers().get(inode)
            if peer == f"127.0.0.1:{port}":
                found.append(stuck_sockets.StuckSocket(self.pid, int(folder.name), inode, peer, call.name))
        return tuple(found)

    def peers(self) -> dict[int, str]:
        """Inode to peer of its connections."""
        with netns.open_sock_diag(netns.path_of(self.pid)) as reader:
            held = descriptors.sockets(self.pid)
            assert not isinstance(held, samples.Missing)
            table = reader.connections(frozenset(held))
            return {inode: table.peer(index) for index, inode in enumerate(table.inodes)}

    def states(self, port: int) -> list[str]:
        """What ss says about connections to or from a port, in the namespace."""
        lines = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", "ss", "-Htan", f"( dport = :{port} or sport = :{port} )"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        return sorted(line.split()[0] for line in lines if not line.startswith("LISTEN"))

    def said(self) -> str:
        """The next line of the process."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def world(way: str = "threads") -> Iterator[World]:
    """The process, once everybody hangs."""
    with subprocess.Popen(
        ["unshare", "-n", "--", "sh", "-c", f'ip link set lo up; exec "{sys.executable}" -c "$0" "$1"', WORLD, way],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        made = World(process)
        try:
            assert "up" == made.said()
            count = WORKERS + (way in {"main", "loop"})
            waiting.wait_until(lambda: len(made.stuck()) == count, within=worlds.WITHIN, what="all to hang")
            yield made
        finally:
            process.kill()


@dataclasses.dataclass
class Silent:
    """Three worlds whose connections have been silent for more than half a minute."""

    threads: World
    loop: World
    bound: World


@pytest.fixture(scope="module")
def silent() -> Iterator[Silent]:
    """Made together, since each takes that long."""
    with world() as threads, world("loop") as loop, world("bound") as bound:
        made = Silent(threads, loop, bound)
        waiting.wait_until(
            lambda: all(
                len(socket_choices.choose(batch(each, sockets=each.stuck())).sockets) == WORKERS
                for each in (threads, loop, bound)
            ),
            within=dt.timedelta(seconds=60),
            what="the connections to be silent for 30 s",
        )
        yield made


def batch(
    of: World,
    *,
    kind: Kind = Kind.STUCK_OUTBOUND,
    peers: tuple[valid.Peer, ...] = (valid.Peer("127.0.0.1", 7000),),
    sockets: tuple[stuck_sockets.StuckSocket, ...] = (),
    ports: frozenset[int] = frozenset(),
    pace: float = 100,
    namespace: int | None = None,
) -> actions.SocketBatch:
    """The work of one step."""
    allowed = peers if kind is Kind.STUCK_OUTBOUND else ()
    settings = valid.SocketDestroy(kind, allowed, 20, quantities.Rate(pace))
    return actions.SocketBatch(settings, of.pid, (of.pid,), namespace or of.namespace, ports, sockets)


def destroyer(of: World, *, life: actions.Incarnation = worlds.LIFE) -> socket_destroys.SocketDestroyer:
    """The executor over a host whose member is that process."""
    host = worlds.OneMemberHost(of.pid, incarnation=life)
    return socket_destroys.SocketDestroyer(lambda _target: host, worlds.RealClock())


def kept(of: World, work: actions.SocketBatch) -> tuple[str, ...]:
    """Why sockets of the plan are left alone."""
    return socket_choices.choose(work).kept


def test_a_connection_that_is_not_silent_is_left_alone() -> None:
    """A second ago something was sent on it: it may be answered any moment, and half a minute is waited for it."""
    with world() as fresh:
        work = batch(fresh, sockets=fresh.stuck())
        choices = socket_choices.choose(work)
        assert () == choices.sockets
        assert WORKERS == sum("s ago; it has to be silent for 30s" in why for why in choices.kept)
        found = destroyer(fresh).begin(worlds.step_of(work))
        assert isinstance(found, outcomes.Running)
        assert found.text in {f"the sockets of a are looked at again in {left}s" for left in range(20, 31)}
        assert ["ESTAB"] * 2 * WORKERS == fresh.states(7000)


def test_a_peer_that_the_policy_does_not_name_is_left_alone(silent: Silent) -> None:
    """The plan may be old, or wrong: what is allowed is asked again."""
    others = batch(silent.threads, sockets=silent.threads.stuck(7001))
    assert ("127.0.0.1:7001: the policy does not name this peer",) == kept(silent.threads, others)


def test_the_main_thread_of_an_event_loop_is_left_alone(silent: Silent) -> None:
    """Every other connection of the process hangs on it, too; its pool threads may be unhooked."""
    found = socket_choices.choose(batch(silent.loop, sockets=silent.loop.stuck()))
    assert WORKERS == len(found.sockets)
    (why,) = found.kept
    assert f"the main thread of process {silent.loop.pid} runs an event loop" in why


def test_a_thread_that_went_on_keeps_its_connection(silent: Silent) -> None:
    """The inode of the plan is another connection's by now, or nobody's."""
    first, second, third = silent.threads.stuck()
    swapped = (
        dataclasses.replace(first, inode=second.inode),
        dataclasses.replace(third, inode=1),
    )
    found = kept(silent.threads, batch(silent.threads, sockets=swapped))
    assert [
        f"127.0.0.1:7000: thread {first.thread} of process {silent.threads.pid} waits for something else now",
        "127.0.0.1:7000: the connection is gone",
    ] == list(found)


def test_another_life_of_the_member_is_not_touched(silent: Silent) -> None:
    """What was diagnosed is not there any more."""
    another = destroyer(silent.threads, life=actions.Incarnation("2@2.00"))
    found = another.begin(worlds.step_of(batch(silent.threads, sockets=silent.threads.stuck())))
    assert isinstance(found, outcomes.Refused)
    assert "incarnation-changed" == found.reason


def test_another_network_namespace_is_not_touched(silent: Silent) -> None:
    """The inode of the namespace is compared before anything is looked at."""
    wrong = batch(silent.threads, sockets=silent.threads.stuck(), namespace=netns.own().inode)
    found = destroyer(silent.threads).begin(worlds.step_of(wrong))
    assert isinstance(found, outcomes.Refused)
    assert f"planned on {netns.own().inode}" in found.text


def test_a_plan_without_sockets_cannot_be_told_after_a_crash(silent: Silent) -> None:
    """Of a class nobody wrote down which ones were meant."""
    work = batch(silent.threads, kind=Kind.CLOSE_WAIT_HELD, ports=frozenset({8080}))
    assert isinstance(destroyer(silent.threads).reconcile(worlds.step_of(work)), outcomes.Unknowable)


def test_a_poll_of_a_batch_that_nobody_began_ends_it(silent: Silent) -> None:
    """Nothing goes on in a process that was started anew."""
    work = batch(silent.threads, sockets=silent.threads.stuck())
    found = destroyer(silent.threads).poll(worlds.step_of(work))
    assert isinstance(found, outcomes.Failed)
    assert not found.happened


def test_a_class_of_close_wait_goes_and_its_files_stay(silent: Silent) -> None:
    """The rows are wiped, said so, and the descriptors are as many as before."""
    files = descriptors.open_files(silent.threads.pid, counted=False)
    work = batch(silent.threads, kind=Kind.CLOSE_WAIT_HELD, ports=frozenset({8080}))
    found = worlds.carried(destroyer(silent.threads), worlds.step_of(work))
    assert isinstance(found, outcomes.Succeeded), found
    assert found.text.endswith("this wipes the symptom: it frees no file and no place in the queue")
    assert [] == [state for state in silent.threads.states(8080) if state == "CLOSE-WAIT"]
    assert files == descriptors.open_files(silent.threads.pid, counted=False)


@pytest.mark.parametrize("kind", [Kind.CLOSE_WAIT_UNREAD, Kind.CLOSE_WAIT_QUEUED, Kind.CLOSE_WAIT_OUTBOUND])
def test_other_classes_of_close_wait_are_not_taken_for_it(silent: Silent, kind: Kind) -> None:
    """Held rows are neither unread, nor queued, nor outbound."""
    work = batch(silent.loop, kind=kind, ports=frozenset({8080}))
    assert () == socket_choices.choose(work).sockets


def test_stuck_threads_go_on_and_other_connections_stay(silent: Silent) -> None:
    """Each gets an error at once; the table is read again; what goes elsewhere is as before."""
    stuck = silent.threads.stuck()
    step = worlds.step_of(batch(silent.threads, sockets=stuck))
    executor = destroyer(silent.threads)
    assert isinstance(executor.reconcile(step), outcomes.NotHappened)
    found = worlds.carried(executor, step)
    assert isinstance(found, outcomes.Succeeded), found
    assert (
        "3 connections of a to 127.0.0.1:7000 destroyed; none of them is in the table any more" == found.text
    )
    rows = found.facts["destroyed"]
    assert isinstance(rows, tuple)
    assert WORKERS == len(rows)
    assert ["ConnectionAbortedError"] * WORKERS == [silent.threads.said() for _ in range(WORKERS)]
    assert ["ESTAB", "ESTAB"] == silent.threads.states(7001)
    assert silent.threads.process.poll() is None
    after = executor.reconcile(step)
    assert isinstance(after, outcomes.Unknowable)
    assert "3 of 3 connections are gone" in after.text


def test_a_connection_that_is_bound_to_a_device_is_destroyed_and_one_that_is_not_found_not_called_gone(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel looks a socket up by its device, too; what it does not find is said, and stands as before."""
    work = batch(silent.bound, sockets=silent.bound.stuck())
    with monkeypatch.context() as patched:
        patched.setattr(sock_destroy, "destroy", lambda *_: (False,))
        found = worlds.carried(destroyer(silent.bound), worlds.step_of(work))
    assert isinstance(found, outcomes.Failed), found
    assert (False, True) == (found.happened, "does not find it by its addresses" in found.text)
    assert ["ESTAB"] * 2 * WORKERS == silent.bound.states(7000)
    found = worlds.carried(destroyer(silent.bound), worlds.step_of(work))
    assert isinstance(found, outcomes.Succeeded), found
    assert ["ConnectionAbortedError"] * WORKERS == [silent.bound.said() for _ in range(WORKERS)]


def test_the_pace_is_kept(silent: Silent) -> None:
    """Two a second: the third is not destroyed before a second has passed."""
    step = worlds.step_of(batch(silent.loop, sockets=silent.loop.stuck(), pace=2))
    executor, clock = destroyer(silent.loop), worlds.RealClock()
    begun = clock.now()
    found = worlds.carried(executor, step)
    assert isinstance(found, outcomes.Succeeded), found
    # A second between the two looks, and one for two more after the first.
    assert clock.now().since(begun) >= dt.timedelta(seconds=2)
    assert "1 left alone" in found.text


def test_a_member_that_ends_in_the_middle_is_an_outcome() -> None:
    """Nothing hangs, nothing is claimed."""
    with world() as dying:
        executor = destroyer(dying)
        work = batch(dying, kind=Kind.CLOSE_WAIT_HELD, ports=frozenset({8080}))
        dying.process.send_signal(signal.SIGKILL)
        dying.process.wait(10)
        with pytest.raises(errors.NotReachable):
            executor.begin(worlds.step_of(work))
