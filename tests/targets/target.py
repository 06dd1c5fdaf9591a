"""Serves as tests/targets/__init__.py says: python target.py [BEATS]."""

import mmap
import socket
import struct
import sys
import threading
import time

NEVER = threading.Lock()
NEVER.acquire()


def stall() -> None:
    """Never returns."""
    with NEVER:
        pass


def serve(client: socket.socket) -> None:
    """One connection."""
    with client:
        if client.recv(1) == b"s":
            stall()
        client.sendall(b"ok\n")


def beat(path: str) -> None:
    """How often it came round, and the longest time from one to the next."""
    with open(path, "r+b") as file:  # noqa: PTH123 - nothing to import that it does not need
        page = mmap.mmap(file.fileno(), 16)
    last, count = time.monotonic_ns(), 0
    while True:
        time.sleep(0.005)
        now, count = time.monotonic_ns(), count + 1
        (longest,) = struct.unpack("<Q", page[8:16])
        page[8:16] = struct.pack("<Q", max(longest, now - last))
        page[0:8] = struct.pack("<Q", count)
        last = now


def main() -> None:
    """Serve for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    if len(sys.argv) > 1:
        threading.Thread(target=beat, args=(sys.argv[1],), daemon=True).start()
    print("up", listening.getsockname()[1], flush=True)  # noqa: T201 - how it tells its port
    while True:
        client, _ = listening.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
