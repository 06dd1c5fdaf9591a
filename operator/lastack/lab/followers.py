"""Clients that say at once that they will send nothing more, and then listen: `python -m lastack.lab.followers ...`.

Each asks for /stream, shuts down its sending half and reads until the end, which is how `nc -N`, rsh and some RPC
clients speak. The server has the connection in CLOSE_WAIT for all that time, and is sending. Started by lab.running.
"""

import argparse
import signal
import socket
import sys
import threading

from lastack.lab import lifelines, messages


def follow(port: int, stop: threading.Event) -> None:
    """One client: read a stream to its end, then the next."""
    while not stop.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(messages.request("/stream"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        except OSError:
            stop.wait(1.0)  # the service is away: ask again in a second


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack.lab.followers", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True, help="how many clients")
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for _ in range(arguments.count):
        threading.Thread(target=follow, args=(arguments.port, stop), daemon=True).start()
    stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
