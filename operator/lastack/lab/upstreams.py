"""The service behind the service: `python -m lastack.lab.upstreams --port 9090 --manner silent`.

It takes every connection and reads the request. `silent` never answers, as a database that hangs; `closing` answers
and closes, as every server does whose keep-alive has run out. Started by lab.running.
"""

import argparse
import signal
import socket
import sys
import threading

from lastack.lab import lifelines, messages

MANNERS = ("silent", "closing")


def take(listener: socket.socket, manner: str) -> None:
    """Accept for ever, a thread for each connection."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, manner), daemon=True).start()


def serve(connection: socket.socket, manner: str) -> None:
    """One connection, in one of the manners."""
    with connection:
        try:
            messages.read_path(connection)
            if manner == "closing":
                connection.sendall(messages.response(200, {"price": 42}))
                return
            while connection.recv(4096):
                pass
        except OSError:
            return  # the service has reset the connection: it is over either way


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack.lab.upstreams", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--manner", choices=MANNERS, required=True)
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with socket.create_server(("127.0.0.1", arguments.port), backlog=128) as listener:
        threading.Thread(target=take, args=(listener, arguments.manner), daemon=True).start()
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main())
