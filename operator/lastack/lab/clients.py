"""The clients, in a process of their own: `python -m lastack.lab.clients --loads JSON --counts FILE`.

They ask, wait, give up and close, and count what became of each request; the counters are written as JSON four times
a second and once more at the end. SIGTERM ends them in an orderly way: nothing new is asked, and what is on its way
is waited for, so that at the end every request sent is either answered or failed. Started by lab.running and demo.
"""

import argparse
import collections
import errno
import pathlib
import random
import select
import signal
import socket
import sys
import threading

from lastack.lab import lifelines, loads, messages

_WRITE_EVERY_SECONDS = 0.25


class Tally:
    """The counters of one member, for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = 0
        self._answered = 0
        self._failures: collections.Counter[str] = collections.Counter()

    def sent(self) -> None:
        """A request is about to be sent."""
        with self._lock:
            self._sent += 1

    def ended(self, failure: str | None) -> None:
        """It was answered (None), or failed so."""
        with self._lock:
            if failure is None:
                self._answered += 1
            else:
                self._failures[failure] += 1

    def count(self) -> loads.Count:
        """The counters at this instant."""
        with self._lock:
            failures = dict(self._failures)
            return loads.Count(self._sent, self._answered, sum(failures.values()), failures)


class Crowd:
    """All clients of one member."""

    def __init__(self, load: loads.Load, stop: threading.Event) -> None:
        self._load = load
        self._stop = stop
        self.tally = Tally()

    def threads(self) -> list[threading.Thread]:
        """The threads that ask; not started yet."""
        found = [
            threading.Thread(target=self.ask_again_and_again, name=f"{self._load.member}-{i}")
            for i in range(self._load.clients)
        ]
        if self._load.burst:
            found.append(
                threading.Thread(target=self.burst_again_and_again, name=f"{self._load.member}-bursts")
            )
        return found

    def ask_again_and_again(self) -> None:
        """One client: the next request only after the answer, or the end of patience; not in step with others."""
        while not self._stop.wait(self._load.think_ms / 1000 * random.uniform(0.5, 1.5)):
            self.ask()

    def burst_again_and_again(self) -> None:
        """Many at once, now and then: every SYN is on its way before anybody waits for an answer."""
        while not self._stop.wait(self._load.burst_every_ms / 1000):
            connections = [begin(self._load.port) for _ in range(self._load.burst)]
            crowd = [threading.Thread(target=self.ask_on, args=(each,)) for each in connections]
            for one in crowd:
                one.start()
            for one in crowd:
                one.join()

    def ask_on(self, begun: tuple[socket.socket, int]) -> None:
        """One request on a connection that was begun."""
        self.tally.sent()
        self.tally.ended(finish(begun, self._load.path, self._load.patience_ms / 1000))

    def ask(self) -> None:
        """One request on a connection of its own."""
        self.tally.sent()
        self.tally.ended(ask(self._load.port, self._load.path, self._load.patience_ms / 1000))


def ask(port: int, path: str, patience_seconds: float) -> str | None:
    """Ask once; None when status 200 came back, else in a word what happened instead."""
    return finish(begin(port), path, patience_seconds)


def begin(port: int) -> tuple[socket.socket, int]:
    """A connection whose SYN is on its way, and what connect() said: EINPROGRESS, or how it ended already."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(0)
    return connection, connection.connect_ex(("127.0.0.1", port))


def finish(begun: tuple[socket.socket, int], path: str, patience_seconds: float) -> str | None:
    """Wait for the connection, and ask on it as `ask` does."""
    connection, problem = begun
    try:
        with connection:
            if problem == errno.EINPROGRESS:
                if not select.select([], [connection], [], patience_seconds)[1]:
                    return "timed out"
                problem = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                return "refused" if problem == errno.ECONNREFUSED else "reset"
            connection.settimeout(patience_seconds)
            connection.sendall(messages.request(path))
            answer = b""
            while b"\n" not in answer.partition(b"\r\n\r\n")[2]:
                part = connection.recv(4096)
                if not part:
                    return "cut off"
                answer += part
    except TimeoutError:
        return "timed out"
    except OSError:
        return "reset"
    return None if answer.startswith(b"HTTP/1.1 200 ") else "an error"


def write(path: pathlib.Path, crowds: dict[str, Crowd]) -> None:
    """Write the counters so that a reader never sees half of them."""
    fresh = path.with_suffix(".new")
    fresh.write_text(loads.counts_to_json({name: crowd.tally.count() for name, crowd in crowds.items()}))
    fresh.replace(path)


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack.lab.clients", description=__doc__.splitlines()[0])
    parser.add_argument("--loads", required=True, help="a JSON list of loads")
    parser.add_argument("--counts", type=pathlib.Path, required=True, help="where the counters are written")
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    crowds = {load.member: Crowd(load, stop) for load in loads.from_argument(arguments.loads)}
    threads = [thread for crowd in crowds.values() for thread in crowd.threads()]
    for thread in threads:
        thread.start()
    while not stop.wait(_WRITE_EVERY_SECONDS):
        write(arguments.counts, crowds)
    for thread in threads:
        thread.join()
    write(arguments.counts, crowds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
