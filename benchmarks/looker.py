"""The side of lastack: looks as often as a line of stdin says, and answers with the CPU time of those looks.

Started by the cases as a process of its own, in the same way as the C program (c_reference.c): its start does
not count, and one line of its answer has the same fields.
"""

import sys
import time
from collections.abc import Mapping, Sequence

from lastack.kernel import close_waits, sock_diag


def main(arguments: list[str]) -> None:
    """`listen` looks at listeners, anything else counts CLOSE_WAIT."""
    listening = arguments == ["listen"]
    with sock_diag.SockDiag.open() as reader:
        for line in sys.stdin:
            before = time.process_time_ns()
            counts: dict[int, close_waits.PortCounts] = {}
            sums: tuple[int, ...] = ()
            for _ in range(int(line)):
                if listening:
                    sums = _summed(reader.listeners())
                else:
                    counts = reader.count_close_wait()
            spent = (time.process_time_ns() - before) // 1000
            # As the C program does: listeners are summed up in each look, what is counted by port after the last.
            print(spent, *(sums if listening else _counted(counts)), flush=True)


def _counted(counts: Mapping[int, close_waits.PortCounts]) -> tuple[int, ...]:
    of_ports = counts.values()
    return sum(port.total for port in of_ports), sum(port.queued for port in of_ports), len(counts), 0, 0


def _summed(found: Sequence[sock_diag.Listener]) -> tuple[int, ...]:
    ports = len({listener.port for listener in found})
    depth = sum(listener.depth for listener in found)
    return len(found), 0, ports, depth, sum(listener.drops or 0 for listener in found)


if __name__ == "__main__":
    main(sys.argv[1:])
