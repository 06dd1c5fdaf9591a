"""Handshakes that nobody finishes: `python -m lastack.lab.floods --port 8080 --half-open 120`.

Each is a connect() on a socket whose filter throws away what comes in. The SYN leaves, the server answers and keeps a
place in its SYN queue, and the answer is never answered: the same as forged senders, without a right to forge. They
come from many addresses of loopback, and the oldest gives way to a new one twenty times a second. Started by
lab.running.
"""

import argparse
import collections
import ctypes
import errno
import random
import signal
import socket
import struct
import sys
import time

from lastack.lab import lifelines

_SO_ATTACH_FILTER = 26
_BPF_RET_K = 0x06
_RENEW_EVERY_SECONDS = 0.05


def half_open(port: int, program: ctypes.Array[ctypes.c_char]) -> socket.socket:
    """A socket whose SYN is on its way to `port`, and that will never see an answer."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sender.settimeout(0)
    filter_of_one = struct.pack("@HP", 1, ctypes.addressof(program))
    sender.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_of_one)
    sender.bind((f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}", 0))
    problem = sender.connect_ex(("127.0.0.1", port))
    if problem != errno.EINPROGRESS:
        raise OSError(problem, f"connect to port {port} in the background")
    return sender


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack.lab.floods", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--half-open", type=int, required=True, help="how many handshakes are left unfinished"
    )
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        lifelines.end_with(arguments.parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    drop_all = ctypes.create_string_buffer(struct.pack("=HBBI", _BPF_RET_K, 0, 0, 0), 8)
    senders: collections.deque[socket.socket] = collections.deque()
    while True:
        senders.append(half_open(arguments.port, drop_all))
        if len(senders) > arguments.half_open:
            senders.popleft().close()
            time.sleep(_RENEW_EVERY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
