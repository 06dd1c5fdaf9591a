"""Network namespaces with a quiet service each: held by one process per namespace until the block ends.

Called by the programs of the cases. Each service listens on two ports, one of them IPv6, and has so many idle
connections of its own clients.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator

from lastack.kernel import netns

_PORTS = (8080, 8081)


@contextlib.contextmanager
def held(amount: int, connections: int) -> Iterator[list[int]]:
    """The pids of the services, from the moment when all of them stand."""
    pids: list[int] = []
    try:
        for _ in range(amount):
            pids.append(_service(connections))  # noqa: PERF401 - one that fails must not lose the others
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _service(connections: int) -> int:
    """Fork one; its pid, once it listens."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _serve(connections, writing)
    os.close(writing)
    try:
        if os.read(reading, 1) != b"x":
            raise RuntimeError("a service ended before it listened: its reason stands on stderr")
    finally:
        os.close(reading)
    return pid


def _serve(connections: int, writing: int) -> None:
    """The child: make the namespace and its sockets, say so, wait for the end."""
    try:
        netns.unshare_net()
        listener = socket.create_server(("127.0.0.1", _PORTS[0]), backlog=50)
        kept = [listener, socket.create_server(("::1", _PORTS[1]), family=socket.AF_INET6, backlog=50)]
        for _ in range(connections):
            kept.append(socket.create_connection(("127.0.0.1", _PORTS[0])))
            kept.append(listener.accept()[0])
        os.write(writing, b"x")
        signal.pause()
    finally:
        os._exit(1)
