"""A small HTTP service that can be made sick on purpose: `python -m lastack.lab.services --port 8081 ...`.

A few worker threads accept, serve one request, and accept again, as many application servers do. `/work` looks
something up under a lock, `/health` answers at once; both are served by the same workers. SIGUSR1 brings the disease
that was chosen with `--disease`; a new process is well again. Started by the supervisor of the demo, by lab.running
and by tests.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping

from lastack.lab import lifelines

DISEASES = ("none", "accept-stall", "fd-leak")
FALL_SICK = signal.SIGUSR1

_LONGEST_HEAD = 8192
_READ_SECONDS = 10.0


class Inventory:
    """What the handlers share: some stock, and the lock around it."""

    def __init__(self, work_seconds: float) -> None:
        self._lock = threading.Lock()
        self._work_seconds = work_seconds
        self._looked_up = 0

    def look_up(self) -> int:
        """Count a look-up; takes `work_seconds`, and the lock for a moment."""
        time.sleep(self._work_seconds)
        self.wait_for_inventory_lock()
        try:
            self._looked_up += 1
            return self._looked_up
        finally:
            self._lock.release()

    def wait_for_inventory_lock(self) -> None:
        """Return when the caller has the lock: at once, unless stock is being taken."""
        self._lock.acquire()

    def take_stock(self) -> None:
        """The defect: take the lock, and wait under it for a count that nobody will ever send."""
        self.wait_for_inventory_lock()
        count_arrived = threading.Event()
        count_arrived.wait()


class Service:
    """The listener, its workers, and the disease that SIGUSR1 brings."""

    def __init__(self, listener: socket.socket, workers: int, disease: str, inventory: Inventory) -> None:
        self._listener = listener
        self._workers = workers
        self._disease = disease
        self._inventory = inventory
        self._leaking = False
        self._sessions: list[socket.socket] = []

    def start(self) -> None:
        """Start the workers; they end with the process."""
        for number in range(self._workers):
            threading.Thread(target=self.work, name=f"worker-{number + 1}", daemon=True).start()

    def fall_sick(self) -> None:
        """Bring the disease."""
        if self._disease == "accept-stall":
            threading.Thread(target=self._inventory.take_stock, name="stock-taking", daemon=True).start()
        elif self._disease == "fd-leak":
            self._leaking = True

    def work(self) -> None:
        """One worker: accept, serve, and again."""
        while True:
            connection, _ = self._listener.accept()
            try:
                self.serve(connection)
            except OSError:
                connection.close()  # the client left in the middle: its own business

    def serve(self, connection: socket.socket) -> None:
        """Answer one request."""
        connection.settimeout(_READ_SECONDS)
        path = read_path(connection)
        if path == "/work":
            answer = {"lookedUp": self._inventory.look_up(), "pid": os.getpid()}
            connection.sendall(response(200, answer))
            if self._leaking:
                self.keep_session(connection)
                return
        elif path == "/health":
            connection.sendall(response(200, {"health": "ok", "pid": os.getpid()}))
        elif path is not None:
            connection.sendall(response(404, {"error": f"there is no {path}, only /work and /health"}))
        connection.close()

    def keep_session(self, connection: socket.socket) -> None:
        """The other defect: read the client's end of file, and keep the connection all the same."""
        connection.settimeout(None)
        while connection.recv(4096):
            pass
        self._sessions.append(connection)


def read_path(connection: socket.socket) -> str | None:
    """The path of a GET request; None when the client sent nothing that is one."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
        part = connection.recv(4096)
        if not part:
            return None
        head += part
    words = head.split(b"\r\n", 1)[0].split(b" ")
    return words[1].decode("ascii", "replace") if len(words) == 3 and words[0] == b"GET" else None


def response(status: int, body: Mapping[str, object]) -> bytes:
    """One HTTP answer, after which the connection is meant to be closed."""
    content = json.dumps(body).encode() + b"\n"
    phrase = {200: "OK", 404: "Not Found"}[status]
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + content


def listen(port: int, backlog: int) -> socket.socket:
    """Listen on loopback. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    return listener


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack.lab.services", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--backlog", type=int, default=50, help="the argument of listen()")
    parser.add_argument("--work-ms", type=int, default=2, help="how long one look-up takes")
    parser.add_argument("--disease", choices=DISEASES, default="none", help="what SIGUSR1 brings")
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    # Blocked in every thread and awaited in this one: no handler interrupts a worker.
    ends, awaited = {signal.SIGTERM, signal.SIGINT}, {signal.SIGTERM, signal.SIGINT, FALL_SICK}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    with contextlib.closing(listen(arguments.port, arguments.backlog)) as listener:
        inventory = Inventory(arguments.work_ms / 1000)
        service = Service(listener, arguments.workers, arguments.disease, inventory)
        service.start()
        print(  # noqa: T201 - the log of the service
            f"pid {os.getpid()} listens on 127.0.0.1:{arguments.port} with backlog {arguments.backlog} "
            f"and {arguments.workers} workers",
            flush=True,
        )
        while (number := signal.sigwait(awaited)) not in ends:
            if number == FALL_SICK:
                service.fall_sick()
    return 0


if __name__ == "__main__":
    sys.exit(main())
