"""A small HTTP service that can be made sick on purpose: `python -m lastack.lab.services --port 8081 ...`.

A few worker threads accept, serve one request, and accept again, as many application servers do; with `--workers 0`
one thread accepts and each connection gets another, as many others do. `/work` looks something up under a lock,
`/health` answers at once, `/stream` goes on for ten minutes, `/report` and `/price` ask the service behind this one.
SIGUSR1 brings the disease that was chosen with `--disease`; a new process is well again. Started by the supervisor of
the demo, by lab.running and by tests.
"""

import argparse
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
import threading
import time

from lastack.lab import backends, lifelines, messages

DISEASES = ("none", "accept-stall", "fd-leak")
FALL_SICK = signal.SIGUSR1

_READ_SECONDS = 10.0
_STREAM_LINES = 1200
_STREAM_EVERY_SECONDS = 0.5
_NO_FILES_BACKOFF_SECONDS = 0.2
_PATHS = "/work, /health, /stream, /report and /price"


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

    def __init__(
        self, listener: socket.socket, disease: str, inventory: Inventory, backend: backends.Backend | None
    ) -> None:
        self._listener = listener
        self._disease = disease
        self._inventory = inventory
        self._backend = backend
        self._leaking = False
        self._sessions: list[socket.socket] = []

    def start(self, workers: int) -> None:
        """Start the workers; they end with the process."""
        if workers == 0:
            threading.Thread(target=self.accept_for_others, name="acceptor", daemon=True).start()
        for number in range(workers):
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
            self.serve(self.accept())

    def accept_for_others(self) -> None:
        """Accept, and leave the rest to a thread of the connection's own."""
        while True:
            threading.Thread(target=self.serve, args=(self.accept(),), name="handler", daemon=True).start()

    def accept(self) -> socket.socket:
        """The next connection. Where no more files may be opened: say so, and try again, as most servers do."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as problem:
                if problem.errno != errno.EMFILE:
                    raise
                print(f"accept: {problem.strerror}", flush=True)  # noqa: T201 - the log of the service
                time.sleep(_NO_FILES_BACKOFF_SECONDS)
            else:
                return connection

    def serve(self, connection: socket.socket) -> None:
        """Answer one request."""
        try:
            connection.settimeout(_READ_SECONDS)
            path = messages.read_path(connection)
            if path == "/stream":
                self.stream(connection)
            elif path is not None:
                connection.sendall(self.answer(path))
            if path == "/work" and self._leaking:
                self.keep_session(connection)
                return
        except OSError:
            pass  # the client left in the middle: its own business
        connection.close()

    def answer(self, path: str) -> bytes:
        """What is said about this path."""
        if path == "/work":
            return messages.response(200, {"lookedUp": self._inventory.look_up(), "pid": os.getpid()})
        if path == "/health":
            return messages.response(200, {"health": "ok", "pid": os.getpid()})
        if path in {"/report", "/price"} and self._backend is not None:
            ask = self._backend.ask_without_time_out if path == "/report" else self._backend.ask_from_pool
            try:
                return messages.response(200, {"upstream": len(ask())})
            except OSError as problem:
                return messages.response(502, {"error": f"upstream: {problem.strerror}"})
        return messages.response(404, {"error": f"there is no {path}, only {_PATHS}"})

    def stream(self, connection: socket.socket) -> None:
        """A line twice a second, for ten minutes; the client may have shut down its half long ago. Raises OSError."""
        connection.sendall(messages.stream_head())
        for number in range(_STREAM_LINES):
            connection.sendall(f"{number}\n".encode("ascii"))
            time.sleep(_STREAM_EVERY_SECONDS)

    def keep_session(self, connection: socket.socket) -> None:
        """The other defect: read the client's end of file, and keep the connection all the same."""
        connection.settimeout(None)
        while connection.recv(4096):
            pass
        self._sessions.append(connection)


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
    parser.add_argument("--workers", type=int, default=8, help="0: a thread for each connection")
    parser.add_argument("--backlog", type=int, default=50, help="the argument of listen()")
    parser.add_argument("--work-ms", type=int, default=2, help="how long one look-up takes")
    parser.add_argument("--disease", choices=DISEASES, default="none", help="what SIGUSR1 brings")
    parser.add_argument("--file-limit", type=int, help="how many files may be open, as ulimit -n")
    parser.add_argument("--upstream", type=int, help="the port of the service behind this one")
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    # Blocked in every thread and awaited in this one: no handler interrupts a worker.
    ends, awaited = {signal.SIGTERM, signal.SIGINT}, {signal.SIGTERM, signal.SIGINT, FALL_SICK}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    if arguments.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (arguments.file_limit, arguments.file_limit))
    with contextlib.closing(listen(arguments.port, arguments.backlog)) as listener:
        inventory = Inventory(arguments.work_ms / 1000)
        backend = None if arguments.upstream is None else backends.Backend(arguments.upstream)
        service = Service(listener, arguments.disease, inventory, backend)
        service.start(arguments.workers)
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
