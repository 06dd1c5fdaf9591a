"""Clients of the scenarios, run as a program of their own: python visitors.py stall|leave|load PORT ...

Every client is a plain HTTP/1.1 request on a connection of its own.
"""

import contextlib
import json
import signal
import socket
import sys
import threading
import time


def send(port: int, path: str, *, upgrade: bool = False) -> socket.socket:
    """A connection with a request on it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    wish = "Connection: Upgrade\r\nUpgrade: device" if upgrade else "Connection: close"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{wish}\r\n\r\n".encode())
    return connection


def stall(port: int, visitors: int) -> None:
    """One request after the other hangs; their clients give up after 1 s, the last one waits for ever."""
    held = []
    for _ in range(visitors):
        held.append(send(port, "/stuck"))
        time.sleep(0.1)
    time.sleep(1)
    for connection in held[:-1]:
        connection.close()
    signal.pause()


def leave(port: int, every_seconds: float) -> None:
    """One client after the other upgrades its connection and leaves, for ever."""
    while True:
        with send(port, "/", upgrade=True) as connection:
            connection.recv(4096)
        time.sleep(every_seconds)


def load(port: int, clients: int, pause_seconds: float) -> None:
    """A closed loop until SIGTERM; then what came of it, as JSON."""
    answers: list[float] = []
    failures: list[str] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            begun = time.monotonic()
            try:
                with send(port, "/work") as connection:
                    whole = b"".join(iter(lambda: connection.recv(4096), b""))
            except OSError as problem:
                failures.append(str(problem))
                continue
            if whole.startswith(b"HTTP/1.1 200"):
                answers.append(time.monotonic() - begun)
            else:
                failures.append(whole[:40].decode(errors="replace"))
            time.sleep(pause_seconds)

    signal.signal(signal.SIGTERM, lambda *_: over.set())
    begun = time.monotonic()
    threads = [threading.Thread(target=visit) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while not over.is_set():
        over.wait(0.2)
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    outcome = {"seconds": seconds, "answers": len(answers), "failures": len(failures)}
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        if kind == "stall":
            stall(int(numbers[0]), int(numbers[1]))
        elif kind == "leave":
            leave(int(numbers[0]), float(numbers[1]))
        else:
            load(int(numbers[0]), int(numbers[1]), float(numbers[2]))
