"""Rounds over many namespaces say what a sampler says of each, and take a whole look only where it is needed."""

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import signal
import socket
import subprocess
import sys
from array import array

import pytest

from lastack import ports
from lastack.engine import instants, samples
from lastack.kernel import clocks, dump_sockets, features, listening, netns
from lastack.sensors import budgets, kept_namespaces, namespace_index, rounds, sampler
from tests import own_descriptors, waiting
from tests.kernel import namespaces
from tests.sensors import given, tenants

pytestmark = pytest.mark.timeout(180)

NONE_BUT_FIRST = 0.0
AS_MANY_AS_NEEDED = 1000.0
SERVING = ("listen 8080", "listen 8081 5")
IDLE = (*SERVING, "connect 8080", "accept 8080")


def watching(share: float, most_kept: int | None = None, *, pidfd: bool = True) -> rounds.Rounds:
    """Rounds with the features of this kernel, less a pidfd if so wished."""
    offered = dataclasses.replace(features.probe(), pidfd=pidfd)
    clock = clocks.SystemClock()
    return rounds.Rounds(
        clock, offered, sampler.SocketSampler(clock, offered), share=share, most_kept=most_kept
    )


def told(look: samples.Look) -> samples.Look:
    """What does not change from one moment to the next by itself."""
    listener, rows, queued = look.listener, look.listener.close_wait, look.listener.queued
    if isinstance(queued, samples.QueuedRows):
        queued = dataclasses.replace(queued, ages_ms=array("I"), oldest_fin_ms=0)
    processes = tuple(
        dataclasses.replace(each, cpu=dt.timedelta(0), state="S", group=samples.Missing("left out"))
        for each in look.owner.processes
    )
    empty = array("I")
    return samples.Look(
        at=instants.Now(dt.datetime.min.replace(tzinfo=dt.UTC), dt.timedelta(0), "boot"),
        listener=dataclasses.replace(
            listener, queued=queued, close_wait=dataclasses.replace(rows, ages_ms=empty, sent_ms=empty)
        ),
        owner=dataclasses.replace(look.owner, processes=processes),
        namespace=dataclasses.replace(look.namespace, counters=samples.Missing("left out")),
        stands=samples.Missing("left out"),
    )


@pytest.mark.parametrize(
    "orders",
    [
        (),
        SERVING,
        IDLE,
        (*SERVING, "connect 8080", "connect 8080"),
        (*IDLE, "finish"),
        (*IDLE, "close 8080"),
        (*SERVING, "fork"),
    ],
    ids=[
        "nothing",
        "listeners",
        "an idle connection",
        "a queue",
        "a half-closed connection",
        "a client",
        "fork",
    ],
)
@pytest.mark.parametrize("most_kept", [None, 0], ids=["kept", "not kept"])
def test_a_round_says_what_a_sampler_says(orders: tuple[str, ...], most_kept: int | None) -> None:
    """Of quiet and of busy namespaces, in the first round and after several."""
    eye = given.eye()
    with tenants.tenant(*orders) as tenant, watching(AS_MANY_AS_NEEDED, most_kept) as all_namespaces:
        seen = []
        for _ in range(4):
            found = all_namespaces.look().found[tenant.inode]
            selection = ports.Selection(netns_pid=samples.Pid(tenant.pid))
            eye.glance(selection)
            seen.append((eye.look(selection), found))
        expected, found = seen[-1]
        assert expected.missing == found.missing
        if most_kept is None:
            assert [told(each) for each in expected.looks] == [told(each) for each in found.looks]
        else:
            # Nobody glances there between the looks.
            assert [_unglanced(told(each)) for each in expected.looks] == [told(each) for each in found.looks]


def _unglanced(look: samples.Look) -> samples.Look:
    return dataclasses.replace(look, listener=dataclasses.replace(look.listener, peak=None, trough=None))


@pytest.mark.parametrize("orders", [SERVING, IDLE], ids=["listeners", "an idle connection"])
def test_a_quiet_namespace_costs_no_whole_look(orders: tuple[str, ...]) -> None:
    """Its sample is of this round all the same, and has every field of the whole look."""
    with tenants.tenant(*orders) as tenant, watching(NONE_BUT_FIRST) as all_namespaces:
        first = all_namespaces.look()
        second = all_namespaces.look()
    before, after = first.found[tenant.inode], second.found[tenant.inode]
    assert (True, False) == (tenant.inode in first.looked_at, tenant.inode in second.looked_at)
    assert before.at.steady < after.at.steady
    assert [after.at] * 2 == [each.at for each in after.looks]
    assert [told(_after_the_first(each)) for each in before.looks] == [told(each) for each in after.looks]


@pytest.mark.parametrize("orders", [("connect 8080",), ("connect 8080", "accept 8080", "finish")])
def test_what_waits_or_is_half_closed_is_not_carried_on(orders: tuple[str, ...]) -> None:
    """It grows older, and only a whole look tells by how much; the old one stays, with its own time."""
    with tenants.tenant(*SERVING, *orders) as tenant, watching(NONE_BUT_FIRST) as all_namespaces:
        first, second = (all_namespaces.look().found[tenant.inode] for _ in range(2))
        assert first is second


def _after_the_first(look: samples.Look) -> samples.Look:
    return dataclasses.replace(look, listener=dataclasses.replace(look.listener, vanished_open=0))


@pytest.mark.parametrize(
    ("before", "orders"),
    [
        (IDLE, ["connect 8080"]),
        (IDLE, ["finish"]),
        *(
            (these, [order])
            for these in (SERVING, IDLE)
            for order in ("listen 8082", "listen 8080 7", "close 8081")
        ),
        *((these, ["close 8081", "listen 8081 5"]) for these in (SERVING, IDLE)),
        *((these, ["close 8081", "listen 8082 5"]) for these in (SERVING, IDLE)),
    ],
    ids=lambda value: ", ".join(value[-2:]),
)
def test_whatever_happens_is_worth_a_whole_look(before: tuple[str, ...], orders: list[str]) -> None:
    """Without budget the old sample stays, with its old time; with it the look is taken in the same round."""
    with tenants.tenant(*before) as tenant:
        with watching(NONE_BUT_FIRST) as poor, watching(AS_MANY_AS_NEEDED) as rich:
            old = poor.look().found[tenant.inode]
            rich.look()
            tenant.tell(*orders)
            assert old is poor.look().found[tenant.inode]
            seen = rich.look()
        assert tenant.inode in seen.looked_at
        expected = given.eye().look(ports.Selection(netns_pid=samples.Pid(tenant.pid)))
        assert [_plain(each) for each in expected.looks] == [
            _plain(each) for each in seen.found[tenant.inode].looks
        ]


def _plain(look: samples.Look) -> tuple[object, ...]:
    listener = look.listener
    return (listener.address, listener.depth, listener.limit, len(listener.close_wait.cookies))


def test_a_namespace_that_moved_and_is_empty_again_still_holds() -> None:
    """A health check came and went: nothing is left that a whole look could show."""
    with tenants.tenant(*SERVING) as tenant, watching(NONE_BUT_FIRST) as all_namespaces:
        first = all_namespaces.look().found[tenant.inode]
        path = netns.path_of(tenant.pid)

        def check() -> None:
            with socket.create_connection(("127.0.0.1", 8080)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        netns.call_in(path, check)
        tenant.tell("accept 8080")
        # The server's end of what the client reset is closed by nobody, and in no table either.
        waiting.wait_until(
            lambda: first.at.steady < all_namespaces.look().found[tenant.inode].at.steady,
            within=given.SOON,
            what="a round in which the namespace is as it was",
        )


def test_the_deepest_queue_between_two_whole_looks_is_kept() -> None:
    """Rounds that take no whole look remember what they saw."""
    with tenants.tenant(*SERVING) as tenant, contextlib.ExitStack() as stack:
        space = netns.identify(netns.path_of(tenant.pid))
        kept = kept_namespaces.KeptNamespace.open(
            space, tenant.pid, features.probe(), listening.Known(), bytearray(dump_sockets.BUFFER_BYTES)
        )
        stack.callback(kept.close)
        eye, selection = given.eye(), ports.Selection(netns_pid=samples.Pid(tenant.pid))
        peaks = []
        for orders in ((), ("connect 8080", "connect 8080"), ("accept 8080", "accept 8080"), ()):
            tenant.tell(*orders)
            kept.glance()
            if orders[:1] != ("connect 8080",):
                kept.mark()
                kept.keep(eye.look(selection))
                assert kept.sample is not None
                peaks.append(kept.sample.looks[0].listener.peak)
        assert [0, 2, 0] == peaks


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "no pidfd"])
def test_a_dead_namespace_is_not_held(pidfd: bool) -> None:
    """Its end of a pair of interfaces goes with it, and takes the other end along: the kernel took it down."""

    def work() -> list[bool]:
        with tenants.tenant(*IDLE) as tenant, watching(NONE_BUT_FIRST, pidfd=pidfd) as all_namespaces:
            namespaces.printed(
                "ip",
                "link",
                "add",
                "ours",
                "type",
                "veth",
                "peer",
                "name",
                "theirs",
                "netns",
                str(tenant.pid),
            )
            here = [tenant.inode in all_namespaces.look().found, _is_linked()]
            tenant.end()
            here.append(tenant.inode in all_namespaces.look().found)
            waiting.wait_until(
                lambda: not _is_linked(), within=4 * given.SOON, what="the end of the namespace"
            )
        return here

    assert [True, True, False] == given.alone(work)


def _is_linked() -> bool:
    return "ours" in pathlib.Path("/proc/thread-self/net/dev").read_text(encoding="ascii")


def test_a_namespace_outlives_its_first_process() -> None:
    """Another process of it takes over, and who owns the listener is looked up anew."""
    with tenants.tenant(*SERVING) as tenant, watching(AS_MANY_AS_NEEDED) as all_namespaces:
        heir = tenant.tell("fork")
        assert {tenant.pid, heir} == _owners(all_namespaces.look().found[tenant.inode])
        os.kill(tenant.pid, signal.SIGKILL)
        waiting.wait_until(
            lambda: {heir} == _owners(all_namespaces.look().found[tenant.inode]),
            within=given.SOON,
            what="the heir as the owner",
        )


def _owners(sample: samples.Sample) -> set[int]:
    return {process.pid for look in sample.looks for process in look.owner.processes}


def test_namespaces_come_and_go() -> None:
    """A new one is there within the rounds between two walks, one that ended with the next round."""
    with watching(NONE_BUT_FIRST) as all_namespaces:
        all_namespaces.look()
        with tenants.tenant(*SERVING) as tenant:
            rounds_until = 0
            while tenant.inode not in all_namespaces.look().found:
                rounds_until += 1
                assert rounds_until <= 5, "a namespace was not found within six rounds"
        assert tenant.inode not in all_namespaces.look().found


def test_the_processes_of_a_quiet_namespace_are_read_anew() -> None:
    """A file that is no socket shows after a while, though nothing that a glance sees has happened."""
    ticking = _Ticking()
    offered = features.probe()
    eye = sampler.SocketSampler(ticking, offered)
    with (
        tenants.tenant(*SERVING) as tenant,
        rounds.Rounds(ticking, offered, eye, share=NONE_BUT_FIRST) as all_namespaces,
    ):
        (before, *_) = _files(all_namespaces.look().found[tenant.inode])
        assert isinstance(before, int)
        tenant.tell("open")

        def shows() -> bool:
            ticking.pass_time(dt.timedelta(seconds=1))
            return _files(all_namespaces.look().found[tenant.inode]) == [before + 1] * 2

        waiting.wait_until(shows, within=4 * given.SOON, what="one more open file")


def test_an_ordinary_user_sees_the_own_namespace_and_how_many_are_hidden() -> None:
    """Over kept descriptors as well, since nobody has to enter what he stands in."""
    program = (
        "import ctypes, os\n"
        "from lastack.kernel import netns\n"
        "from tests.sensors import test_rounds\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "with test_rounds.watching(0.0) as all_namespaces:\n"
        "    all_namespaces.look()\n"
        "    seen = all_namespaces.look()\n"
        "own = seen.found[netns.own().inode]\n"
        "print(own.missing, bool(seen.looked_at), dict(seen.missing)['netns/all'].fix, sep='|')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tenants.tenant(*SERVING):
        said = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
        ).stdout
    assert "()|False|run as root, or with CAP_SYS_PTRACE and CAP_SYS_ADMIN\n" == said


class _Ticking:
    """A clock that goes by what it is told."""

    def __init__(self) -> None:
        self._real = clocks.SystemClock()
        self._ahead = dt.timedelta(0)

    def pass_time(self, span: dt.timedelta) -> None:
        """Go on."""
        self._ahead += span

    def now(self) -> instants.Now:
        """Real time and what was added."""
        now = self._real.now()
        return dataclasses.replace(now, wall=now.wall + self._ahead, steady=now.steady + self._ahead)


def _files(sample: samples.Sample) -> list[int | samples.Missing]:
    return [process.open_files for look in sample.looks for process in look.owner.processes]


def test_no_descriptor_is_left() -> None:
    """Neither of what was kept nor of what came and went."""
    before = own_descriptors.count()
    with tenants.tenant(*SERVING), watching(NONE_BUT_FIRST) as all_namespaces:
        all_namespaces.look()
        with tenants.tenant(*IDLE):
            all_namespaces.look()
        all_namespaces.look()
        assert own_descriptors.count() > before
    assert before == own_descriptors.count()


def test_descriptors_are_bounded() -> None:
    """Beyond the bound namespaces are seen without any."""
    with tenants.tenant(*SERVING) as first, tenants.tenant(*IDLE) as second:
        with watching(NONE_BUT_FIRST, most_kept=1) as all_namespaces:
            before = own_descriptors.count()
            found = all_namespaces.look().found
            after = own_descriptors.count()
        assert {first.inode, second.inode} <= found.keys()
        assert 0 < after - before <= 5


def test_a_process_that_moves_is_found_where_it_is() -> None:
    """The first process of a container changes its namespace while it starts: it is asked twice."""
    with tenants.tenant() as tenant:
        index = namespace_index.NamespaceIndex()
        before = {space.inode for space in index.namespaces()}
        moved = tenant.tell("move")
        walks = [{space.inode for space in index.namespaces()} for _ in range(5)]
        after = walks[-1]
    assert (True, False) == (tenant.inode in before, moved in before)
    assert (False, True) == (tenant.inode in after, moved in after)


def test_a_budget_earns_with_time_and_pays_debts_first() -> None:
    """A hundredth of a second per second; what was done beyond it is waited for."""
    second, work = dt.timedelta(seconds=1), dt.timedelta(milliseconds=25)
    budget = budgets.Budget(0.01)
    opened = [budget.is_open]
    for step in range(4):
        budget.earn(second, dt.timedelta(0))
        opened.append(budget.is_open)
        if step == 0:
            budget.pay(work)
    assert [False, True, False, True, True] == opened


def test_a_budget_saves_no_more_than_a_moment() -> None:
    """After a quiet hour there is no burst, and what glances cost is taken off, up to nine tenths."""
    hundredth = dt.timedelta(milliseconds=10)
    rich, poor = budgets.Budget(0.01), budgets.Budget(0.01)
    for _ in range(100):
        rich.earn(dt.timedelta(seconds=1), dt.timedelta(0))
        poor.earn(dt.timedelta(seconds=1), 5 * hundredth)
    for budget, works in ((rich, 2), (poor, 2)):
        for _ in range(works):
            assert budget.is_open
            budget.pay(hundredth)
        assert not budget.is_open
