"""A server whose threads stand in every kind of wait; a program of its own, so that no other thread is among them.

Called as `python workers.py BACKEND_PORT EXTRA_THREADS`. It prints its port; and, when a client has come and all
threads were started, their ids by what they wait for. It ends with its standard input.
"""

import json
import socket
import sys
import threading
from collections.abc import Callable


def main() -> None:
    """Make one thread for each wait."""
    backend_port = int(sys.argv[1])
    extra = int(sys.argv[2])
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    _say(listener.getsockname()[1])
    inbound = listener.accept()[0]
    outbound = socket.create_connection(("127.0.0.1", backend_port))
    timed = socket.create_connection(("127.0.0.1", backend_port))
    timed.settimeout(600)
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    queued = socket.create_connection(full.getsockname())
    ours, theirs = socket.socketpair()
    lock = threading.Lock()
    lock.acquire()
    waits: dict[str, Callable[[], object]] = {
        "inbound": lambda: inbound.recv(1),
        "outbound": lambda: outbound.recv(1),
        "timed": lambda: timed.recv(1),
        "accepting": listener.accept,
        "connecting": lambda: socket.create_connection(full.getsockname()),
        "unix": lambda: theirs.recv(1),
        "lock": lock.acquire,
    }
    threads = {name: threading.Thread(target=wait, daemon=True) for name, wait in waits.items()}
    more = [socket.create_connection(("127.0.0.1", backend_port)) for _ in range(extra)]
    idle = [threading.Thread(target=each.recv, args=(1,), daemon=True) for each in more]
    for thread in (*threads.values(), *idle):
        thread.start()
    _say({name: thread.native_id for name, thread in threads.items()})
    sys.stdin.read()
    ours.close()
    queued.close()


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


main()
