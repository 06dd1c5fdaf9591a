"""Facts about listeners and their rows that the diagnoses stand on; if a kernel disagrees, this says so."""

import contextlib
import pathlib
import socket
import time
from collections.abc import Callable

from lastack.kernel import inet_diag, net_counters, net_sysctls, netns, sock_diag, socket_tables
from tests.kernel import namespaces

TCP_INFO = frozenset({inet_diag.Extension.TCP_INFO})
OPEN = frozenset({inet_diag.State.ESTABLISHED, inet_diag.State.CLOSE_WAIT})
NET = "/proc/thread-self/ns/net"


def until(claim: Callable[[], bool], words: str, within_seconds: float = 10) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_seconds
    while not claim():
        assert time.monotonic() < deadline, words
        time.sleep(0.01)


def connect_without_waiting(stack: contextlib.ExitStack, port: int) -> socket.socket:
    """A client whose SYN is sent; nobody waits for the answer."""
    client = stack.enter_context(socket.socket())
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def test_the_limit_is_the_smaller_of_backlog_and_somaxconn_frozen_at_listen() -> None:
    """Raising somaxconn later changes nothing until listen() is called again."""

    def work() -> list[int]:
        expected = netns.identify(NET)
        pathlib.Path("/proc/sys/net/core/somaxconn").write_text("20", encoding="ascii")
        assert "20" == net_sysctls.read("net.core.somaxconn")
        limits = []
        with socket.socket() as listener, sock_diag.SockDiag.open() as reader:
            listener.bind(("127.0.0.1", 8080))
            for backlog in (5, 50):
                listener.listen(backlog)
                limits.append(reader.listeners()[0].limit)
            pathlib.Path("/proc/sys/net/core/somaxconn").write_text("100", encoding="ascii")
            limits.append(reader.listeners()[0].limit)
            listener.listen(50)
            limits.append(reader.listeners()[0].limit)
        assert expected == netns.own()
        return limits

    assert [5, 20, 20, 50] == namespaces.alone(work)


def test_the_queue_holds_one_more_than_its_limit_and_then_drops() -> None:
    """Depth stands at limit + 1; its sk_drops grow with the namespace's ListenDrops, those of its neighbour not."""

    def work() -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(socket.create_server(("127.0.0.1", 8080), backlog=3))
            stack.enter_context(socket.create_server(("127.0.0.1", 8081), backlog=3))
            reader = stack.enter_context(sock_diag.SockDiag.open())
            for _ in range(8):
                connect_without_waiting(stack, 8080)
            until(
                lambda: (reader.listeners()[0].drops or 0) >= 4,
                "four connections beyond the queue were not dropped",
            )
            full, quiet = reader.listeners()
            assert (8080, 4, 3) == (full.port, full.depth, full.limit)
            assert (8081, 0, 3, 0) == (quiet.port, quiet.depth, quiet.limit, quiet.drops)
            counters = net_counters.counters("thread-self")
            assert isinstance(counters, dict)
            # SYNs are sent again meanwhile: the counter read second may be ahead.
            assert full.drops is not None
            assert full.drops <= counters["ListenDrops"] <= full.drops + 4
            assert counters["ListenOverflows"] == counters["ListenDrops"]

    namespaces.alone(work)


def test_a_row_that_nobody_accepted_has_no_owner_and_its_age_is_that_of_its_handshake() -> None:
    """Inode 0; last_data_sent counts from the handshake also when the client sends, because the child never sent."""

    def work() -> None:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
            reader = stack.enter_context(sock_diag.SockDiag.open())
            before = time.monotonic()
            client = stack.enter_context(socket.create_connection(("127.0.0.1", 8080)))
            after = time.monotonic()
            until(lambda: time.monotonic() - after > 0.3, "time stands still")
            client.sendall(b"x")
            asked = time.monotonic()
            (row,) = reader.sockets(OPEN, ports={8080}, extensions=TCP_INFO)
            answered = time.monotonic()
            assert 0 == row.inode
            assert row.last_data_sent_ms is not None
            assert row.last_data_recv_ms is not None
            assert (asked - after) * 1000 - 15 <= row.last_data_sent_ms <= (answered - before) * 1000 + 15
            assert row.last_data_recv_ms < 200 < row.last_data_sent_ms
            server, _ = listener.accept()
            stack.enter_context(server)
            (accepted,) = reader.sockets(OPEN, ports={8080})
            assert server.fileno() > 0 < accepted.inode
            assert row.cookie == accepted.cookie

    namespaces.alone(work)


def close_wait_row(reader: sock_diag.SockDiag) -> socket_tables.SocketRow | None:
    """The CLOSE_WAIT row of port 8080, when there is one."""
    table = reader.sockets({inet_diag.State.CLOSE_WAIT}, ports={8080}, extensions=TCP_INFO)
    return table.row(0) if len(table) else None


def keep_alive_ages(*, keepalive: bool) -> tuple[int, int, int]:
    """Timer, last_ack_recv_ms and last_data_recv_ms of an accepted socket 2.3 s after its client's FIN."""

    def work() -> tuple[int, int, int]:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
            client = stack.enter_context(socket.create_connection(("127.0.0.1", 8080)))
            server = stack.enter_context(listener.accept()[0])
            reader = stack.enter_context(sock_diag.SockDiag.open())
            if keepalive:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            until(lambda: close_wait_row(reader) is not None, "no CLOSE_WAIT after a FIN")
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 2.3, "time stands still")
            row = close_wait_row(reader)
            assert row is not None
            assert row.last_ack_recv_ms is not None
            assert row.last_data_recv_ms is not None
            return row.timer, row.last_ack_recv_ms, row.last_data_recv_ms

    return namespaces.alone(work)


def test_last_ack_recv_is_the_age_of_a_close_wait_without_keep_alive() -> None:
    """It counts from the FIN, without any bookkeeping."""
    timer, since_ack, since_data = keep_alive_ages(keepalive=False)
    assert inet_diag.Timer.NONE == timer
    assert 2280 <= since_ack <= 3500
    assert 2280 <= since_data <= 3500


def test_answered_probes_reset_last_ack_recv_under_keep_alive() -> None:
    """The timer says so, and last_data_recv still gives an upper bound of the age."""
    timer, since_ack, since_data = keep_alive_ages(keepalive=True)
    assert inet_diag.Timer.KEEPALIVE == timer
    assert since_ack < 1500
    assert 2280 <= since_data <= 3500


def test_listeners_are_named_as_people_write_them() -> None:
    """`*` takes both families, `::` IPv6 only, v4-mapped is IPv4."""

    def work() -> list[tuple[str, int]]:
        with contextlib.ExitStack() as stack:
            for port, family, address, dual in (
                (1, socket.AF_INET, "0.0.0.0", False),
                (2, socket.AF_INET6, "::", True),
                (3, socket.AF_INET6, "::", False),
                (4, socket.AF_INET, "127.0.0.1", False),
                (5, socket.AF_INET6, "::1", False),
                (6, socket.AF_INET6, "::ffff:127.0.0.1", True),
            ):
                made = stack.enter_context(
                    socket.create_server((address, 8000 + port), family=family, dualstack_ipv6=dual)
                )
                assert made.fileno() >= 0
            reader = stack.enter_context(sock_diag.SockDiag.open())
            return [(listener.address, listener.port) for listener in reader.listeners()]

    expected = ["0.0.0.0", "*", "::", "127.0.0.1", "::1", "127.0.0.1"]
    assert [(address, 8001 + index) for index, address in enumerate(expected)] == namespaces.alone(work)


def test_each_reuseport_socket_is_a_listener_with_a_queue_of_its_own() -> None:
    """Siblings have one address and different cookies."""

    def work() -> tuple[sock_diag.Listener, ...]:
        with contextlib.ExitStack() as stack:
            for backlog in (3, 7):
                stack.enter_context(
                    socket.create_server(("127.0.0.1", 8080), backlog=backlog, reuse_port=True)
                )
            reader = stack.enter_context(sock_diag.SockDiag.open())
            return reader.listeners()

    found = namespaces.alone(work)
    assert {3, 7} == {listener.limit for listener in found}
    assert 2 == len({listener.cookie for listener in found})
    assert {("127.0.0.1", 8080)} == {(listener.address, listener.port) for listener in found}


def test_a_half_open_handshake_is_a_row_in_syn_recv() -> None:
    """The SYN queue is counted by rows of the listener's port; they have no ages and no drops, not zeros."""

    def work() -> list[tuple[int, int, int, int | None, int | None]]:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
            # With it the kernel keeps a handshake half open until the client sends something.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
            stack.enter_context(socket.create_connection(("127.0.0.1", 8080)))
            reader = stack.enter_context(sock_diag.SockDiag.open())
            rows = reader.sockets({inet_diag.State.SYN_RECV}, extensions=set(inet_diag.Extension))
            return [(row.state, row.local_port, row.inode, row.last_ack_recv_ms, row.drops) for row in rows]

    assert [(inet_diag.State.SYN_RECV, 8080, 0, None, None)] == namespaces.alone(work)
