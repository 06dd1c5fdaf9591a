"""The service behind the service, which does not answer: python far_service.py PORT.

SIGUSR1: whoever comes from now on is answered, as by one that was replaced; the connections of before hang on.
SIGUSR2: everybody is answered, as by one that has come back.
"""

import signal
import socket
import sys
import threading


def main(port: int) -> None:
    """Accept for ever, until killed."""
    waiting: list[socket.socket] = []
    answers = threading.Event()

    def everybody(*_: object) -> None:
        answers.set()
        while waiting:
            with waiting.pop() as connection:
                connection.sendall(b"42\n")

    signal.signal(signal.SIGUSR1, lambda *_: answers.set())
    signal.signal(signal.SIGUSR2, everybody)
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            connection.recv(100)
            if answers.is_set():
                connection.sendall(b"42\n")
                connection.close()
            else:
                waiting.append(connection)


if __name__ == "__main__":
    main(int(sys.argv[1]))
