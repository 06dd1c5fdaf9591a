"""What became of a socket that is in no table: told by the socket itself, and only for TCP that is over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lastack.engine import samples
from lastack.kernel import dead_sockets, descriptors, linux, sock_diag, socket_tables
from tests import waiting
from tests.kernel import namespaces
from tests.sensors import given

OWN = os.getpid()
JIFFY_MS = 10
"""The kernel counts ages in ticks of its own."""


def reset(end: socket.socket) -> None:
    """Close it so that the other side is reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    end.close()


def pair(host: str, stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """A client and what its server, which does not listen any more, accepted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        return client, stack.enter_context(listener.accept()[0])


def examined() -> list[socket_tables.SocketRow]:
    """The dead sockets of this process."""
    with sock_diag.SockDiag.open() as reader:
        listed = reader.inodes()
    held = descriptors.sockets(OWN)
    assert not isinstance(held, samples.Missing), held
    suspects = dead_sockets.suspects(OWN, held, listed)
    found = dead_sockets.examine(OWN, suspects.values())
    assert not isinstance(found, samples.Missing), found
    return list(found)


def await_dead(amount: int) -> list[socket_tables.SocketRow]:
    """So many of them: a reset takes a moment."""

    def there() -> list[socket_tables.SocketRow] | None:
        found = examined()
        return found if len(found) == amount else None

    return waiting.wait_until(there, within=given.SOON, what=f"{amount} dead sockets")


def dying(host: str, *, unread: bytes, stack: contextlib.ExitStack) -> list[tuple[object, ...]]:
    """Two connections, one of which loses its client and the other its server: what each row has to say."""
    expected: list[tuple[object, ...]] = []
    for loses_client in (True, False):
        client, accepted = pair(host, stack)
        gone, left = (client, accepted) if loses_client else (accepted, client)
        (local, local_port, *_), (peer, peer_port, *_) = left.getsockname(), left.getpeername()
        gone.sendall(unread)
        inode = os.fstat(left.fileno()).st_ino
        expected.append((left.family, local, local_port, peer, peer_port, len(unread), inode))
        reset(gone)
    return expected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_dead_socket_still_says_who_was_connected_and_what_was_not_read(host: str) -> None:
    """Both sides, both families: getpeername fails, and the kernel knows all the same."""
    begun = time.monotonic()

    def work() -> tuple[list[tuple[object, ...]], list[socket_tables.SocketRow]]:
        with contextlib.ExitStack() as stack:
            expected = dying(host, unread=b"hello", stack=stack)
            expected += dying(host, unread=b"", stack=stack)
            return expected, await_dead(4)

    expected, found = namespaces.alone(work)
    elapsed_ms = (time.monotonic() - begun) * 1000
    assert sorted(expected, key=str) == sorted(
        (
            (
                row.family,
                row.local_address,
                row.local_port,
                row.peer_address,
                row.peer_port,
                row.rqueue,
                row.inode,
            )
            for row in found
        ),
        key=str,
    )
    assert all(
        0 <= (age or 0) <= elapsed_ms + JIFFY_MS
        for row in found
        for age in (row.last_data_sent_ms, row.last_data_recv_ms, row.last_ack_recv_ms)
    )


def test_an_ipv4_client_of_a_dual_stack_listener_is_ipv4() -> None:
    """As in every other row: its family stays IPv6, its addresses are read as IPv4."""

    def work() -> list[socket_tables.SocketRow]:
        with given.service("::", family=socket.AF_INET6, dual=True) as service:
            client = service.connect("127.0.0.1")
            service.accept()
            reset(client)
            return await_dead(1)

    (row,) = namespaces.alone(work)
    assert (10, "127.0.0.1", "127.0.0.1") == (row.family, row.local_address, row.peer_address)


@contextlib.contextmanager
def living() -> Iterator[None]:
    """Sockets of every kind that are in no table of TCP, or are alive."""
    with contextlib.ExitStack() as stack:
        for family in (socket.AF_INET, socket.AF_INET6):
            stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)).connect(
                ("127.0.0.1" if family == socket.AF_INET else "::1", 9)
            )
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        refused = stack.enter_context(socket.socket())
        refused.setblocking(False)
        refused.connect_ex(("127.0.0.1", bound.getsockname()[1]))
        for end in socket.socketpair():
            stack.enter_context(end)
        stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4))
        stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        with contextlib.suppress(OSError):  # a kernel without it has none to be mistaken
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP))
        service = stack.enter_context(given.service())
        service.connect()
        service.connect().close()
        service.accept()
        service.accept()
        yield


def test_nothing_else_is_taken_for_dead() -> None:
    """New, bound, refused, other protocols, listening, connected, half-closed: none of them is over."""

    def work() -> list[socket_tables.SocketRow]:
        with living():
            return examined()

    assert [] == namespaces.alone(work)


def test_also_without_the_names_that_the_kernel_gives() -> None:
    """Where nothing tells the protocol each socket is asked, and those that are not of TCP say so themselves."""

    def work() -> socket_tables.SocketTable | samples.Missing:
        with living():
            everything = [int(path.name) for path in pathlib.Path("/proc/self/fd").iterdir()]
            return dead_sockets.examine(OWN, everything)

    found = namespaces.alone(work)
    assert not isinstance(found, samples.Missing)
    assert 0 == len(found)


@pytest.mark.parametrize("option", [71, 0x7FFF], ids=["by its cookie", "before kernel 5.14"])
def test_what_died_in_another_namespace_belongs_to_that(monkeypatch: pytest.MonkeyPatch, option: int) -> None:
    """Its ports mean other listeners there."""
    monkeypatch.setattr(dead_sockets, "_SO_NETNS_COOKIE", option)

    def work() -> list[socket_tables.SocketRow]:
        with contextlib.ExitStack() as stack:
            dying("127.0.0.1", unread=b"", stack=stack)
            assert 2 == len(await_dead(2))
            return namespaces.alone(examined)

    assert [] == namespaces.alone(work)


def test_what_was_closed_or_replaced_in_the_meantime_is_left_out() -> None:
    """Between the list of descriptors and the question a process goes on."""
    with open(os.devnull, "rb") as other:  # noqa: PTH123 - its descriptor is what matters
        # Far from those that the question itself needs.
        closed = fcntl.fcntl(other, fcntl.F_DUPFD_CLOEXEC, 500)
        os.close(closed)
        found = dead_sockets.examine(OWN, [closed, other.fileno()])
    assert not isinstance(found, samples.Missing)
    assert 0 == len(found)


ASKED_AS_NOBODY = """
import ctypes, os, sys
from lastack.kernel import dead_sockets
pid, descriptor = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
barred = dead_sockets.examine(pid, [descriptor])
print("pidfd_getfd" in barred.why, barred.fix)
"""


def test_without_the_right_it_is_missing_with_the_next_step() -> None:
    """Whom one may not trace one may not ask; never 0."""

    def work() -> str:
        with socket.socket() as ours:
            asked = [sys.executable, "-c", ASKED_AS_NOBODY, str(OWN), str(ours.fileno())]
            return namespaces.printed("env", f"PYTHONPATH={given.search_path()}", *asked)

    assert "True run as root, or grant CAP_SYS_PTRACE\n" == namespaces.alone(work)


def test_a_process_that_has_ended_is_missing() -> None:
    """It has nothing open any more."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    found = dead_sockets.examine(ended.pid, [0])
    assert isinstance(found, samples.Missing)
    assert found.why.startswith("vanished")


def test_a_call_that_fails_says_why() -> None:
    """As Python's own calls do."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        linux.pidfd_getfd(-1, 0)
