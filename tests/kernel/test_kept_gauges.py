"""The gauges of a namespace agree with its files as read by hand, and end with it."""

import contextlib
import os
import pathlib
import socket
import threading

from lastack.engine import samples
from lastack.kernel import net_counters
from tests import own_descriptors
from tests.kernel import namespaces


def by_hand() -> tuple[int, int]:
    """InSegs and OutSegs of the thread's namespace."""
    text = pathlib.Path("/proc/thread-self/net/snmp").read_text(encoding="ascii")
    names, values = (line.split() for line in text.splitlines() if line.startswith("Tcp:"))
    found = dict(zip(names, values, strict=True))
    return int(found["InSegs"]), int(found["OutSegs"])


def opened() -> net_counters.Kept:
    """The gauges of the thread's namespace."""
    kept = net_counters.Kept.open(threading.get_native_id())
    assert isinstance(kept, net_counters.Kept), kept
    return kept


def test_segments_and_sockets_are_counted_as_the_files_say() -> None:
    """With nothing, with a listener of each family, with a connection, and after its end."""

    def work() -> tuple[list[object], list[object]]:
        kept, seen, expected = opened(), list[object](), list[object]()

        def compare(in_use: int) -> None:
            expected.append((by_hand(), in_use))
            seen.append((kept.segments(), kept.in_use()))

        with contextlib.closing(kept), contextlib.ExitStack() as stack:
            compare(0)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
            compare(2)
            with socket.create_connection(listener.getsockname()) as client:
                compare(4)
                stack.enter_context(listener.accept()[0]).setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                client.send(b"x")
                compare(4)
            return seen, expected

    seen, expected = namespaces.alone(work)
    assert expected == seen
    assert len(set(map(str, seen))) == len(seen)


def test_gauges_that_are_closed_or_of_nobody_say_so() -> None:
    """Missing with its reason, never 0; closing twice is no error."""
    before = own_descriptors.count()
    nobody = net_counters.Kept.open(2**22 + 1)
    kept = net_counters.Kept.open(os.getpid())
    assert isinstance(kept, net_counters.Kept)
    kept.close()
    kept.close()
    assert isinstance(nobody, samples.Missing)
    assert isinstance(kept.segments(), samples.Missing)
    assert before == own_descriptors.count()
