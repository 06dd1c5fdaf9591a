"""A process with several listeners: python listeners.py MANNER:FAMILY:ADDRESS:PORT ...

MANNER is `stuck` (never accepts), `answers` (answers and closes) or `leaks` (reads to the end and never closes).
FAMILY is `4`, `6` (IPv6 only) or `both`. Prints "ready" when all of them listen.
"""

import signal
import socket
import sys
import threading


def listening(family: str, address: str, port: int) -> socket.socket:
    """A socket that listens as asked for."""
    if family == "4":
        return socket.create_server((address, port), backlog=50)
    return socket.create_server(
        (address, port), family=socket.AF_INET6, backlog=50, dualstack_ipv6=family == "both"
    )


def serve(listener: socket.socket, manner: str) -> None:
    """Answer, or read and forget, one connection after the other."""
    kept = []
    while True:
        connection, _ = listener.accept()
        if manner == "answers":
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
            connection.close()
        else:
            while connection.recv(1024):
                pass
            kept.append(connection)


def main() -> None:
    """Listen everywhere, then serve until killed."""
    for wish in sys.argv[1:]:
        manner, family, rest = wish.split(":", 2)
        address, _, port = rest.rpartition(":")
        listener = listening(family, address, int(port))
        arguments = (listener, manner)
        threading.Thread(target=serve if manner != "stuck" else _keep, args=arguments, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.pause()


def _keep(_listener: socket.socket, _manner: str) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    main()
