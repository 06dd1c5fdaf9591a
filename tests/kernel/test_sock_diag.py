"""Whole dumps of real sockets, against ss and pyroute2 read at the same time."""

import collections
import pathlib

import hypothesis
import pyroute2
import pytest
from hypothesis import strategies as st

from lastack.kernel import close_waits, inet_diag, sock_diag, socket_tables
from tests.kernel import namespaces, populations

LISTENERS = st.integers(1, 3).flatmap(
    lambda count: st.lists(st.integers(0, 8), min_size=count, max_size=count)
)


def connections_to(accepts: list[int]) -> st.SearchStrategy[tuple[list[int], list[populations.Connection]]]:
    """Up to twenty connections to listeners that accept so many."""
    one = st.builds(
        populations.Connection,
        listener=st.integers(0, len(accepts) - 1),
        sent=st.sampled_from([0, 1, 300]),
        closed=st.booleans(),
        read=st.booleans(),
    )
    return st.tuples(st.just(accepts), st.lists(one, max_size=20))


def ours(table: socket_tables.SocketTable) -> list[populations.Seen]:
    """The table in the words of the oracles."""
    return sorted(
        populations.Seen(
            row.state,
            (row.local_address, row.local_port),
            (row.peer_address, row.peer_port),
            row.rqueue,
            row.wqueue,
            row.inode,
            row.uid,
            row.cookie,
        )
        for row in table
    )


def by_pyroute2() -> list[tuple[int, int, int, int, int, int, int]]:
    """State, ports, queues, inode and cookie of all sockets by an independent reader."""
    found = []
    with pyroute2.DiagSocket() as oracle:
        for family in (inet_diag.INET, inet_diag.INET6):
            for row in oracle.get_sock_stats(family=family):
                low, high = (
                    row["idiag_cookie"]
                    if isinstance(row["idiag_cookie"], tuple)
                    else (row["idiag_cookie"], 0)
                )
                found.append(
                    (
                        row["idiag_state"],
                        row["idiag_sport"],
                        row["idiag_dport"],
                        row["idiag_rqueue"],
                        row["idiag_wqueue"],
                        row["idiag_inode"],
                        low | high << 32,
                    )
                )
    return sorted(found)


@hypothesis.given(made=LISTENERS.flatmap(connections_to))
@hypothesis.settings(max_examples=15)
def test_rows_equal_those_of_ss_and_pyroute2(made: tuple[list[int], list[populations.Connection]]) -> None:
    """State, addresses, queues, owner and cookie of every socket, in one walk and in two."""

    def work() -> None:
        with populations.held(*made), sock_diag.SockDiag.open() as reader:
            table = reader.sockets()
            expected = populations.by_ss()
            assert expected == ours(table)
            reader.one_walk = False
            assert expected == ours(reader.sockets())
            short = sorted(
                (row.state, row.local[1], row.peer[1], row.rqueue, row.wqueue, row.inode, row.cookie)
                for row in expected
            )
            assert short == by_pyroute2()
            counted: dict[int, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
            for row in expected:
                if row.state == inet_diag.State.CLOSE_WAIT:
                    counted[row.local[1]][0 if not row.inode else 1 if row.rqueue else 2] += 1
            assert {
                port: close_waits.PortCounts(*those) for port, those in counted.items()
            } == reader.count_close_wait()

    namespaces.alone(work)


def test_ages_and_drops_are_there_only_when_they_were_asked_for() -> None:
    """A column that nobody asked for is None in every row, not 0; a LISTEN row has no ages."""
    wanted = [populations.Connection(0, 1, closed=True, read=False)] * 3

    def work() -> tuple[socket_tables.SocketTable, ...]:
        with populations.held([1], wanted), sock_diag.SockDiag.open() as reader:
            return (
                reader.sockets(),
                reader.sockets(extensions={inet_diag.Extension.TCP_INFO}),
                reader.sockets(extensions=set(inet_diag.Extension)),
            )

    bare, aged, full = namespaces.alone(work)
    for row in bare:
        assert (None, None, None, None) == (
            row.last_data_sent_ms,
            row.last_data_recv_ms,
            row.last_ack_recv_ms,
            row.drops,
        )
    for row in aged:
        assert (row.last_ack_recv_ms is None) == (row.state == inet_diag.State.LISTEN)
        assert row.drops is None
    assert {0} == {row.drops for row in full}


def test_withheld_extensions_are_not_asked_for() -> None:
    """A kernel without SKMEMINFO or tcp_info gives rows whose drops and ages are None."""
    wanted = [populations.Connection(0, 1, closed=True, read=False)]

    def work() -> tuple[socket_tables.SocketTable, tuple[sock_diag.Listener, ...]]:
        with populations.held([1], wanted), sock_diag.SockDiag.open(offered=frozenset()) as reader:
            return reader.sockets(extensions=set(inet_diag.Extension)), reader.listeners()

    table, listeners = namespaces.alone(work)
    assert {None} == {row.last_ack_recv_ms for row in table}
    assert [None] == [listener.drops for listener in listeners]


def test_a_dump_of_nothing_is_empty() -> None:
    """No states asked for, or none present."""

    def work() -> tuple[int, int, dict[int, close_waits.PortCounts]]:
        with sock_diag.SockDiag.open() as reader:
            return len(reader.sockets(())), len(reader.sockets()), reader.count_close_wait()

    assert (0, 0, {}) == namespaces.alone(work)


def test_a_reader_leaves_no_descriptor_open() -> None:
    """Opened, used, left in mid-dump and closed."""

    def work() -> tuple[int, int]:
        before = pathlib.Path("/proc/self/fd").stat().st_size
        for _ in range(5):
            with sock_diag.SockDiag.open() as reader:
                reader.sockets()
        return before, pathlib.Path("/proc/self/fd").stat().st_size

    before, after = namespaces.alone(work)
    assert before == after


@pytest.mark.parametrize(
    ("family", "raw", "text"),
    [
        (2, bytes([10, 0, 0, 1]) + bytes(12), "10.0.0.1"),
        (10, bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]), "192.0.2.7"),
        (10, bytes(15) + b"\1", "::1"),
        (10, bytes(16), "::"),
    ],
)
def test_addresses_are_written_as_people_do(family: int, raw: bytes, text: str) -> None:
    """v4-mapped addresses are IPv4."""
    assert text == socket_tables.address_text(family, raw)
