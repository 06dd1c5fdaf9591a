"""Clients that give up after a second: python callers.py PORT COUNT asks /ask so often, and ends."""

import contextlib
import socket
import sys


def main(port: int, count: int) -> None:
    """All at once, and gone."""
    held = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(b"GET /ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        held.append(connection)
    for connection in held:
        connection.settimeout(1)
        with connection, contextlib.suppress(TimeoutError):
            connection.recv(100)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
