"""What the handlers of the Python servers do, by path; imported by wsgi.py and asgi.py in the server's process.

The mistakes are the ones of real applications: a lock that is never released, a read without a time-out, a
response that is never closed.
"""

import socket
import threading
import time
from collections.abc import Iterator

DOWNSTREAM = ("127.0.0.1", 7000)
WORK_SECONDS = 0.02
SLOW_SECONDS = 1.0
POLL_SECONDS = 20.0
DOWNLOAD = 64 * 1024 * 1024

_LOCK = threading.Lock()
_LOCK.acquire()
_NEWS = threading.Event()
_KEPT: list[object] = []


def _wait_for_lock() -> None:
    with _LOCK:
        pass


def _ask_downstream() -> None:
    with socket.create_connection(DOWNSTREAM) as asked:
        asked.sendall(b"question\n")
        asked.recv(1)


def _compute() -> None:
    number = 0
    while True:
        number = (number * 1103515245 + 12345) % 2147483648


def _hoard() -> None:
    _KEPT.append(open("/dev/null", "rb"))  # noqa: SIM115, PTH123 - never closing it is the disease


def _fetch() -> None:
    asked = socket.create_connection(DOWNSTREAM)
    asked.sendall(b"question\n")
    while asked.recv(4096):
        pass
    _KEPT.append(asked)


def run(path: str, query: str) -> None:
    """Do what a handler that blocks does; returns when the answer may be given."""
    if path == "/work":
        time.sleep(WORK_SECONDS)
    elif path == "/slow":
        time.sleep(SLOW_SECONDS)
    elif path == "/lock":
        _wait_for_lock()
    elif path == "/downstream":
        _ask_downstream()
    elif path == "/sleep":
        time.sleep(3600)
    elif path == "/cpu":
        _compute()
    elif path == "/hoard":
        _hoard()
    elif path == "/fetch":
        _fetch()
    elif path == "/longpoll":
        _NEWS.wait(poll_seconds(query))


def poll_seconds(query: str) -> float:
    """How long a poll waits for news."""
    name, _, value = query.partition("=")
    return float(value) if name == "seconds" else POLL_SECONDS


def take_over(connection: socket.socket) -> None:
    """Take a connection away from its server, read it to its end in the background, and forget it."""
    taken = socket.socket(fileno=connection.detach())
    taken.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: device\r\n\r\n")
    _KEPT.append(taken)
    threading.Thread(target=_read_to_the_end, args=(taken,), daemon=True).start()


def _read_to_the_end(taken: socket.socket) -> None:
    while taken.recv(4096):
        pass


def body(path: str) -> Iterator[bytes]:
    """The answer, in parts."""
    if path == "/download":
        part = bytes(65536)
        for _ in range(DOWNLOAD // len(part)):
            yield part
    else:
        yield b"ok\n"


def length(path: str) -> int | None:
    """How long the answer is; None for one that streams."""
    return {"/download": DOWNLOAD, "/stream": None}.get(path, 3)
