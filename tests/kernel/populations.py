"""Small random populations of real sockets, and three independent ways to read them. Used by test_sock_diag."""

import contextlib
import dataclasses
import re
import socket
import time
from collections.abc import Iterator

from lastack.kernel import inet_diag
from tests.kernel import namespaces

_STATES = {"ESTAB": 1, "FIN-WAIT-1": 4, "FIN-WAIT-2": 5, "CLOSE-WAIT": 8, "LAST-ACK": 9, "LISTEN": 10}


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """One connection to make: to which listener, and what happens to it."""

    listener: int
    sent: int
    closed: bool
    read: bool


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Seen:
    """What every way of reading tells of one socket."""

    state: int
    local: tuple[str, int]
    peer: tuple[str, int]
    rqueue: int
    wqueue: int
    inode: int
    uid: int
    cookie: int


@contextlib.contextmanager
def held(accepts: list[int], connections: list[Connection]) -> Iterator[None]:
    """Listeners of alternating kind that accept so many, and connections; quiet when the block begins."""
    with contextlib.ExitStack() as stack:
        listeners = []
        for number in range(len(accepts)):
            family, address = (
                (socket.AF_INET, "127.0.0.1"),
                (socket.AF_INET6, "::"),
                (socket.AF_INET6, "::1"),
            )[number % 3]
            dual = number % 3 == 1
            made = socket.create_server(
                (address, 8000 + number), family=family, backlog=64, dualstack_ipv6=dual
            )
            listeners.append(stack.enter_context(made))
        clients = [(wanted, stack.enter_context(_connect(wanted, listeners))) for wanted in connections]
        for number, listener in enumerate(listeners):
            mine = [wanted for wanted, _ in clients if wanted.listener == number]
            for wanted in mine[: accepts[number]]:
                server, _ = listener.accept()
                stack.enter_context(server)
                if wanted.read and wanted.sent:
                    server.recv(wanted.sent, socket.MSG_WAITALL)
                if wanted.read and wanted.closed:
                    server.recv(1)
        _await_quiet()
        yield


def _connect(wanted: Connection, listeners: list[socket.socket]) -> socket.socket:
    port = listeners[wanted.listener].getsockname()[1]
    client = socket.create_connection(("::1" if wanted.listener % 3 == 2 else "127.0.0.1", port))
    if wanted.sent:
        client.sendall(b"x" * wanted.sent)
    if wanted.closed:
        client.shutdown(socket.SHUT_WR)
    return client


def _await_quiet() -> None:
    """Until everything that was sent is acknowledged, so that queues stand still."""
    deadline = time.monotonic() + 5
    while any(row.wqueue for row in by_ss() if row.state != inet_diag.State.LISTEN):
        assert time.monotonic() < deadline, "the sockets did not come to rest"
        time.sleep(0.005)


def by_ss() -> list[Seen]:
    """`ss -Htane`."""
    found = []
    for line in namespaces.printed("ss", "-Htane").splitlines():
        state, rqueue, wqueue, local, peer, *rest = line.split()
        words = " ".join(rest)
        cookie = re.search(r"\bsk:([0-9a-f]+)", words)
        assert cookie is not None, line
        inode, uid = re.search(r"\bino:(\d+)", words), re.search(r"\buid:(\d+)", words)
        found.append(
            Seen(
                state=_STATES[state],
                local=_endpoint(local),
                peer=_endpoint(peer),
                rqueue=int(rqueue),
                wqueue=int(wqueue),
                inode=int(inode[1]) if inode else 0,
                uid=int(uid[1]) if uid else 0,
                cookie=int(cookie[1], 16),
            )
        )
    return sorted(found)


def _endpoint(text: str) -> tuple[str, int]:
    """`[::ffff:127.0.0.1]:80` of ss as (127.0.0.1, 80); a star as the address that it stands for."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]").partition("%")[0].removeprefix("::ffff:")
    return "::" if host == "*" else host, 0 if port == "*" else int(port)
