"""Dead sockets in a look: whose they are, who is asked and how often, and what is said where nobody can be asked."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import os
import socket
import struct
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet

from lastack import ports
from lastack.engine import samples
from lastack.kernel import clocks, features, inet_diag, net_counters, sock_diag, socket_tables
from lastack.sensors import dead, listeners, sampler
from tests import waiting
from tests.sensors import given

_NEW: list[socket.socket] = []
MANY = dead.WORTH_A_WALK + 5


def reset(end: socket.socket) -> None:
    """Close it so that the other side is reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    end.close()


@dataclasses.dataclass(slots=True)
class Keeper:
    """A service of this process that forgets to close what it accepted, and what it made itself."""

    service: given.Service
    accepted: list[socket.socket] = dataclasses.field(default_factory=list)
    made: list[socket.socket] = dataclasses.field(default_factory=list)

    def lose_client(self) -> None:
        """One more that it accepted is over."""
        client = self.service.connect()
        self.accepted.append(self.service.accept())
        reset(client)

    def lose_server(self, server: socket.socket) -> None:
        """One more that it made itself is over."""
        with socket.socket() as client:
            client.connect(server.getsockname())
            reset(server.accept()[0])
            self.made.append(self.service.stack.enter_context(client.dup()))

    @property
    def selection(self) -> ports.Selection:
        """Its listener and its process, deep."""
        return ports.Selection(frozenset({given.OWN}), frozenset({self.service.port}), deep=True)

    def seen(self, eye: sampler.SocketSampler, *, deep: bool = True) -> tuple[int | None, int | None]:
        """How many a look has of the listener and of the process as a client; None: it does not tell."""
        sample = eye.look(dataclasses.replace(self.selection, deep=deep))
        (look,) = sample.looks
        return _amount(look.listener.dead), _amount(sample.outbound[0].dead) if sample.outbound else 0

    def await_seen(self, eye: sampler.SocketSampler, expected: tuple[int | None, int | None]) -> None:
        """Deep looks until that is seen: a reset takes a moment."""
        waiting.wait_until(
            lambda: self.seen(eye) == expected, within=given.SOON, what=f"{expected} dead sockets"
        )


def _amount(found: samples.DeadSockets | samples.Missing) -> int | None:
    return None if isinstance(found, samples.Missing) else len(found.inodes)


@contextlib.contextmanager
def keeper(lost: int = MANY) -> Iterator[Keeper]:
    """One that has lost so many clients already."""
    with given.service(backlog=256) as service:
        found = Keeper(service)
        for _ in range(lost):
            found.lose_client()
        yield found


def test_each_belongs_to_its_listener_or_to_the_server_that_it_was_made_for() -> None:
    """By the local port as of any connection; the process has all of them."""

    def work() -> tuple[list[int | None], int | samples.Missing, collections.Counter[str], str]:
        with (
            keeper() as kept,
            given.service() as other,
            socket.create_server(("127.0.0.1", 0)) as upstream,
        ):
            for _ in range(3):
                kept.lose_server(upstream)
            address = "{}:{}".format(*upstream.getsockname())
            upstream.close()
            reset(other.connect())
            other.accept()
            eye = given.eye()
            kept.await_seen(eye, (MANY, 3))
            sample = eye.look(ports.Selection(pids=frozenset({given.OWN}), deep=True))
            (client,) = sample.outbound
            peers = collections.Counter(client.peers[which] for which in client.dead_peer_of or ())
            by_port = {look.listener.address.port: _amount(look.listener.dead) for look in sample.looks}
            return (
                [by_port[kept.service.port], by_port[other.port]],
                sample.looks[0].owner.processes[0].dead,
                peers,
                address,
            )

    by_listener, of_process, peers, upstream = given.alone(work)
    assert [MANY, 1] == by_listener
    assert MANY + 1 + 3 == of_process
    assert {upstream: 3} == peers


def test_between_walks_what_is_known_is_confirmed_and_nothing_new_is_looked_for() -> None:
    """A cheap look costs a readlink each; the next deep one finds the others."""

    def work() -> list[tuple[int | None, int | None]]:
        with keeper() as kept:
            eye = given.eye()
            kept.await_seen(eye, (MANY, 0))
            kept.accepted[0].close()
            kept.lose_client()
            cheap = kept.seen(eye, deep=False)
            kept.await_seen(eye, (MANY, 0))
            kept.accepted[1].close()
            return [cheap, kept.seen(eye, deep=False)]

    assert [(MANY - 1, 0), (MANY - 1, 0)] == given.alone(work)


def test_a_client_with_nothing_else_is_seen_when_it_is_asked_for() -> None:
    """It has no listener, and no row is left of what it keeps."""

    def work() -> list[tuple[int | None, int]]:
        with given.service() as service:
            kept = Keeper(service)
            with socket.create_server(("127.0.0.1", 0), backlog=64) as upstream:
                for _ in range(MANY):
                    kept.lose_server(upstream)
            service.listener.close()
            eye, found = given.eye(), ports.Selection(pids=frozenset({given.OWN}), deep=True)

            def told() -> list[tuple[int | None, int]] | None:
                outbound = eye.look(found).outbound
                return [(_amount(each.dead), len(each.rows.cookies)) for each in outbound] or None

            return waiting.wait_until(told, within=given.SOON, what="dead sockets of a client")

    assert [(MANY, 0)] == given.alone(work)


@dataclasses.dataclass(slots=True)
class Asked:
    """An index of its own that is asked about the keeper, at any time."""

    kept: Keeper
    reader: sock_diag.SockDiag
    process: samples.ProcessSample
    index: dead.DeadSocketIndex = dataclasses.field(
        default_factory=lambda: dead.DeadSocketIndex(can_ask=True)
    )
    walks: int = 0
    silence: samples.Silence | None = None

    def after(self, seconds: float, *, lived: float = 0) -> list[int]:
        """The ages of what the listener has, so many seconds from now; `lived` is another life of the process."""
        now = clocks.SystemClock().now()
        at = dataclasses.replace(now, steady=now.steady + dt.timedelta(seconds=seconds))
        process = dataclasses.replace(
            self.process, started=self.process.started + dt.timedelta(seconds=lived)
        )
        found = self.reader.listeners()
        directory = listeners.Directory(found, {})
        seen = self.index.look(at, {given.OWN: process}, directory, self, deep=False)
        (cookie,) = (each.cookie for each in found if each.port == self.kept.service.port)
        self.silence = seen.told(process).silence
        rows = seen.of_listener(cookie, [given.OWN])
        assert not isinstance(rows, samples.Missing), rows
        return list(rows.ages_ms)

    def inodes(self) -> frozenset[int]:
        """As the reader's own; counted."""
        self.walks += 1
        return self.reader.inodes()

    def connections(
        self, inodes: AbstractSet[int], *, extensions: Collection[inet_diag.Extension] = ()
    ) -> socket_tables.SocketTable:
        """As the reader's own."""
        return self.reader.connections(inodes, extensions=extensions)


@contextlib.contextmanager
def asked() -> Iterator[Asked]:
    """Nobody has asked it anything yet; everything is dead that shall be."""
    with keeper() as kept, sock_diag.SockDiag.open() as reader:
        eye = given.eye()
        kept.await_seen(eye, (MANY, 0))
        (look,) = eye.look(kept.selection).looks
        yield Asked(kept, reader, look.owner.processes[0])


def test_ages_go_on_between_walks() -> None:
    """As old as it is now, not as it was when it was asked."""

    def work() -> list[list[int]]:
        with asked() as index:
            return [index.after(0), index.after(30)]

    first, second = given.alone(work)
    passed = [later - earlier for earlier, later in zip(first, second, strict=True)]
    assert [True] * MANY == [30_000 <= each < 60_000 for each in passed]


def test_the_server_to_which_most_is_silent_is_told_of_who_has_many_dead() -> None:
    """What is half-closed says enough by itself, and what had data a moment ago is not silent."""

    def work() -> tuple[samples.Silence | None, str, samples.Silence | None]:
        with (
            asked() as index,
            socket.create_server(("127.0.0.1", 0)) as busy,
            socket.create_server(("127.0.0.1", 0)) as other,
            contextlib.ExitStack() as stack,
        ):
            for server, amount in ((busy, 4), (other, 3)):
                for _ in range(amount):
                    stack.enter_context(socket.create_connection(server.getsockname()))
                    stack.enter_context(server.accept()[0])
            stack.enter_context(socket.create_connection(other.getsockname()))
            stack.enter_context(socket.create_connection(other.getsockname()))
            for _ in range(2):
                other.accept()[0].close()
            index.kept.service.connect()
            index.kept.service.accept()
            index.index = dead.DeadSocketIndex(can_ask=True, silent_ms=0)
            index.after(0)
            told = index.silence
            index.index = dead.DeadSocketIndex(can_ask=True)
            index.after(0)
            return told, "{}:{}".format(*busy.getsockname()), index.silence

    told, busiest, young = given.alone(work)
    assert samples.Silence(busiest, 4) == told
    assert young is None


def test_a_walk_is_not_repeated_within_a_minute() -> None:
    """It costs 5 us a file and more; a leak takes hours. Another life of the process is another process."""

    def work() -> list[int]:
        with asked() as index:
            walks = []
            for seconds, lived in ((0, 0), (50, 0), (70, 0), (71, 1), (72, 1)):
                index.after(seconds, lived=lived)
                walks.append(index.walks)
            return walks

    assert [1, 1, 2, 3, 3] == given.alone(work)


def test_what_nobody_asks_about_any_more_is_forgotten() -> None:
    """Memory stays flat, however many processes come and go."""

    def work() -> list[int]:
        with asked() as index:
            remembered = []
            for seconds in (0, 60, 1300):
                index.after(seconds)
                remembered.append(len(index.index))
            # Nothing is left that could be asked.
            for kept in index.kept.accepted:
                kept.close()
            now = clocks.SystemClock().now()
            at = dataclasses.replace(now, steady=now.steady + dt.timedelta(hours=1))
            index.index.look(at, {}, listeners.Directory((), {}), index, deep=False)
            return [*remembered, len(index.index)]

    assert [1, 1, 1, 0] == given.alone(work)


def test_where_there_cannot_be_many_nobody_is_asked() -> None:
    """The kernel counts its sockets: too few of them are in no table."""

    def work() -> tuple[int | None, int | samples.Missing]:
        with keeper(5) as kept, contextlib.ExitStack() as stack:
            for _ in range(MANY):
                stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123 - the stack closes them
            (look,) = given.eye().look(kept.selection).looks
            return _amount(look.listener.dead), look.owner.processes[0].dead

    assert (None, samples.NOT_WALKED) == given.alone(work)


def test_one_that_several_processes_hold_counts_once() -> None:
    """A worker inherits what its master had open."""

    def work() -> tuple[tuple[int, ...], int | None, list[int | None]]:
        with keeper() as kept, socket.create_server(("127.0.0.1", 0)) as upstream:
            for _ in range(3):
                kept.lose_server(upstream)
            kept.await_seen(given.eye(), (MANY, 3))
            with given.forked(lambda: None) as child:
                both = frozenset({given.OWN, samples.Pid(child)})
                sample = given.eye().look(dataclasses.replace(kept.selection, pids=both))
                (look,) = sample.looks
                counts = tuple(
                    process.dead for process in look.owner.processes if isinstance(process.dead, int)
                )
                outbound = [_amount(each.dead) for each in sample.outbound]
                return counts, _amount(look.listener.dead), outbound

    counts, of_listener, outbound = given.alone(work)
    assert (MANY + 3, MANY + 3) == counts
    assert MANY == of_listener
    assert [3] == outbound


def test_without_the_call_it_is_missing_with_the_kernel_that_it_takes() -> None:
    """How many are in no table is known; what became of them is not."""

    def work() -> int | samples.Missing:
        with keeper() as kept:
            kept.await_seen(given.eye(), (MANY, 0))
            older = dataclasses.replace(features.probe(), pidfd_getfd=False)
            (look,) = sampler.SocketSampler(clocks.SystemClock(), older).look(kept.selection).looks
            assert look.listener.dead == look.owner.processes[0].dead
            return look.owner.processes[0].dead

    missing = given.alone(work)
    assert isinstance(missing, samples.Missing)
    assert f"{MANY} TCP sockets of it are in no table of the kernel" in missing.why
    assert ("needs kernel 5.6", False) == (missing.fix, missing.quiet)


def test_without_the_call_a_few_are_not_worth_a_word() -> None:
    """New sockets are in no table either."""

    def work() -> int | samples.Missing:
        with (
            keeper(3) as kept,
            contextlib.ExitStack() as stack,
            # Enough sockets in no table, and all but three are another's.
            given.forked(lambda: _NEW.extend(socket.socket() for _ in range(MANY))),
        ):
            for _ in range(MANY):
                stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123 - the stack closes them
            waiting.wait_until(_are_many, within=given.SOON, what="sockets in no table")
            older = dataclasses.replace(features.probe(), pidfd_getfd=False)
            (look,) = sampler.SocketSampler(clocks.SystemClock(), older).look(kept.selection).looks
            # The child holds the listener, too, and may have the smaller pid where pids have begun anew.
            (own,) = [process for process in look.owner.processes if process.pid == given.OWN]
            return own.dead

    assert samples.NOT_WALKED == given.alone(work)


def _are_many() -> bool:
    counts = net_counters.sockets_in_use("thread-self")
    assert not isinstance(counts, samples.Missing)
    return counts["sockets.used"] - counts["TCP.inuse"] > MANY
