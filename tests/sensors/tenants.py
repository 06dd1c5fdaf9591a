"""Processes with a network namespace of their own, told line by line what to do with its sockets.

`python -m tests.sensors.tenants` is such a process: it makes its namespace, says its inode and obeys. Each answer is a
line, so that what was asked for has happened when `tell` returns.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from lastack.kernel import netns
from tests import waiting
from tests.sensors import given


class Tenant:
    """The one who tells."""

    def __init__(self) -> None:
        """Start it; its namespace stands when this returns."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sensors.tenants"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self.pid = self._process.pid
        self.inode = int(self._answer())

    def tell(self, *orders: str) -> int:
        """Have orders done, one after another; what the last one answers."""
        answer = "0"
        for order in orders:
            assert self._process.stdin is not None
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
            answer = self._answer()
        return int(answer)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the tenant ended: its reason stands on stderr"
        return line

    def end(self) -> None:
        """Kill it and wait for its end."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def tenant(*orders: str) -> Iterator[Tenant]:
    """A tenant that has obeyed these orders; it ends with the block."""
    made = Tenant()
    try:
        made.tell(*orders)
        yield made
    finally:
        made.end()


class _Household:
    """The one who obeys: one method per order."""

    def __init__(self) -> None:
        self._listeners: dict[int, socket.socket] = {}
        self._clients: list[socket.socket] = []
        self._served: list[socket.socket] = []
        self._children: list[int] = []

    def listen(self, port: int, backlog: int = 16) -> int:
        """Listen on both families."""
        if port not in self._listeners:
            made = socket.socket(socket.AF_INET6)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind(("::", port))
            self._listeners[port] = made
        self._listeners[port].listen(backlog)
        return port

    def close(self, port: int) -> int:
        """Listen no more."""
        self._listeners.pop(port).close()
        return port

    def connect(self, port: int) -> int:
        """A client of our own."""
        self._clients.append(socket.create_connection(("127.0.0.1", port)))
        return len(self._clients)

    def accept(self, port: int) -> int:
        """Take one."""
        self._served.append(self._listeners[port].accept()[0])
        return len(self._served)

    def finish(self) -> int:
        """The youngest client sends its FIN, and the server has it."""
        self._clients[-1].shutdown(socket.SHUT_WR)
        server = self._served[-1]
        waiting.wait_until(
            lambda: server.recv(1, socket.MSG_PEEK) == b"" or None, within=given.SOON, what="the FIN"
        )
        return 1

    def open(self) -> int:
        """One more open file, which is no socket."""
        return os.open("/dev/null", os.O_RDONLY)

    def fork(self) -> int:
        """A child that holds what we hold; its pid."""
        pid = os.fork()
        if pid == 0:
            # Ends with the pipe of the one who tells, like us.
            os.read(0, 1)
            os._exit(0)
        self._children.append(pid)
        return pid

    def move(self) -> int:
        """Move into another new namespace; its inode."""
        netns.unshare_net()
        return netns.own().inode


def main() -> None:
    """Obey until stdin ends."""
    netns.unshare_net()
    _say(netns.own().inode)
    household = _Household()
    for line in sys.stdin:
        order, *numbers = line.split()
        _say(getattr(household, order)(*map(int, numbers)))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
