"""A service that is well, with all that looks like a hung one from outside: an idle pool, a bus, a long query."""

import socket
import threading
from collections.abc import Callable, Iterable

POOL, BUS, DATABASE = 7001, 7002, 7003
pool = [socket.create_connection(("127.0.0.1", POOL)) for _ in range(3)]
for member in pool:
    member.sendall(b"hello\n")


def consume() -> None:
    """Wait for messages, as consumers of a bus do all day."""
    with socket.create_connection(("127.0.0.1", BUS)) as bus:
        bus.sendall(b"subscribe\n")
        bus.recv(100)


threading.Thread(target=consume, daemon=True).start()


def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    """/report takes as long as its query, everything else is answered at once."""
    if environ["PATH_INFO"] == "/report":
        with socket.create_connection(("127.0.0.1", DATABASE)) as database:
            database.sendall(b"select sum(everything)\n")
            database.recv(100)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
