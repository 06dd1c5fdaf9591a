"""Makes a population of TCP sockets in the network namespace of its caller, and holds it until told to end.

Started by the cases. A population of N sockets with a share in CLOSE_WAIT is N rows in the kernel's table: the
clients of CLOSE_WAIT sockets are taken out of the table without a word to the other side (TCP_REPAIR), the rest
are both ends of ESTABLISHED connections. Half of the listeners are dual-stack, as those of a JVM are. Of the
CLOSE_WAIT sockets one in sixteen is not accepted, the others are unread and held in turn.
"""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import resource
import socket
import struct
import time
from collections.abc import Iterator

_PER_WORKER = 12_500
_SPARE_DESCRIPTORS = 2500
_PORTS = (8080, 8081, 8443, 9000)
_TCP_REPAIR = 19
_BACKLOG = 4096
_BATCH = 2000
_FIN_WAIT2 = 5
_ACKNOWLEDGED_WITHIN_SECONDS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Population:
    """How many sockets, and how many of them in CLOSE_WAIT."""

    sockets: int
    close_wait: int

    @classmethod
    def of(cls, sockets: int, percent: int) -> "Population":
        """`percent` of `sockets` in CLOSE_WAIT; the rest is even, because connections have two ends."""
        close_wait = sockets * percent // 100
        return cls(sockets, close_wait + (sockets - close_wait) % 2)


@contextlib.contextmanager
def held(wanted: Population) -> Iterator[None]:
    """The population, from the moment when all of it stands until the block ends."""
    context = multiprocessing.get_context("spawn")
    pipes: list[multiprocessing.connection.Connection] = []
    processes = []
    try:
        for number, part in enumerate(_parts(wanted), start=1):
            ours, theirs = context.Pipe()
            process = context.Process(target=_hold, args=(theirs, number, part), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()
        yield
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def _parts(wanted: Population) -> list[Population]:
    """Shares that one process can hold within a file limit of 20,000."""
    parts = []
    sockets, close_wait = wanted.sockets, wanted.close_wait
    while sockets > 0:
        size = min(sockets, _PER_WORKER)
        waiting = min(size, close_wait * size // sockets)
        waiting += (size - waiting) % 2
        parts.append(Population(size, waiting))
        sockets, close_wait = sockets - size, close_wait - waiting
    return parts


def _hold(pipe: multiprocessing.connection.Connection, number: int, wanted: Population) -> None:
    """A worker: make the sockets, say so, wait for the other end of the pipe to close."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted.sockets + _SPARE_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, needed), hard))
    sockets = _make(number, wanted)
    pipe.send(len(sockets))
    with contextlib.suppress(EOFError):
        pipe.recv()


def _make(number: int, wanted: Population) -> list[socket.socket]:
    listeners = [_listener(number, port, dual=index % 2 == 1) for index, port in enumerate(_PORTS)]
    kept = list(listeners)
    leaving: list[socket.socket] = []
    for index in range(wanted.close_wait):
        listener = listeners[index % len(listeners)]
        client = _connect(number, index, listener)
        # The last connections stay in the queue: accept() would hand out the oldest one.
        if index < wanted.close_wait - wanted.close_wait // 16:
            server = _accept(listener)
            kept.append(server)
            if index % 2:
                client.send(b"x")
            client.shutdown(socket.SHUT_WR)
            if not index % 2:
                server.recv(1)
        else:
            client.send(b"x")
            client.shutdown(socket.SHUT_WR)
        leaving.append(client)
        if len(leaving) == _BATCH:
            _vanish(leaving)
    _vanish(leaving)
    spare = _listener(number, 7000, dual=False)
    kept.append(spare)
    for index in range((wanted.sockets - wanted.close_wait) // 2):
        kept.append(_connect(number, wanted.close_wait + index, spare))
        kept.append(_accept(spare))
    return kept


def _vanish(clients: list[socket.socket]) -> None:
    """Take the clients out of the kernel's table, and out of the list, without a word to their peers.

    Not before the FIN is acknowledged: an acknowledgement to nobody is answered with a reset.
    """
    deadline = time.monotonic() + _ACKNOWLEDGED_WITHIN_SECONDS
    for client in clients:
        while client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _FIN_WAIT2:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a FIN was not acknowledged within {_ACKNOWLEDGED_WITHIN_SECONDS} s")
            time.sleep(0.001)
        client.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        client.close()
    clients.clear()


def _listener(number: int, port: int, *, dual: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if dual else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if dual:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind((f"::ffff:127.1.{number}.1" if dual else f"127.1.{number}.1", port))
    made.listen(_BACKLOG)
    return made


def _connect(number: int, index: int, listener: socket.socket) -> socket.socket:
    """A client with a port of its own: the port of one that vanished would reset the socket it left behind."""
    client = socket.socket(socket.AF_INET)
    _end_abruptly(client)
    client.bind((f"127.2.{number}.1", 10_000 + index))
    client.connect((f"127.1.{number}.1", listener.getsockname()[1]))
    return client


def _accept(listener: socket.socket) -> socket.socket:
    server, _ = listener.accept()
    _end_abruptly(server)
    return server


def _end_abruptly(ended: socket.socket) -> None:
    """Close with a reset, so that the population leaves no TIME_WAIT behind for the next one."""
    ended.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
