"""Clients for listeners.py: python callers.py wait|leave|ask ADDRESS PORT EVERY_SECONDS.

`wait` makes three connections and stays; `leave` connects, says a word and leaves, for ever; `ask` reads the answer,
for ever.
"""

import signal
import socket
import sys
import time


def main() -> None:
    """Call until killed."""
    manner, address, port, every = sys.argv[1:]
    if manner == "wait":
        kept = [socket.create_connection((address, int(port)), timeout=10) for _ in range(3)]
        for connection in kept:
            connection.sendall(b"x")
        signal.pause()
    while True:
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(b"x\n")
            if manner == "ask":
                while connection.recv(1024):
                    pass
        time.sleep(float(every))


if __name__ == "__main__":
    main()
