"""The side of lastack: looks as often as a line of stdin says, and answers with the CPU time of those looks.

Started by the cases as a process of its own, in the same way as the C program (c_reference.c): its start does
not count, and one line of its answer has the same fields.
"""

import sys
import time

from lastack.kernel import sock_diag


def main(arguments: list[str]) -> None:
    """`listen` looks at listeners, anything else counts CLOSE_WAIT."""
    listening = arguments == ["listen"]
    with sock_diag.SockDiag.open() as reader:
        for line in sys.stdin:
            before = time.process_time_ns()
            answer: tuple[int, ...] = ()
            for _ in range(int(line)):
                answer = _listeners(reader) if listening else _close_wait(reader)
            spent = (time.process_time_ns() - before) // 1000
            print(spent, *answer, flush=True)


def _close_wait(reader: sock_diag.SockDiag) -> tuple[int, ...]:
    counts = reader.count_close_wait().values()
    return sum(port.total for port in counts), sum(port.queued for port in counts), len(counts), 0, 0


def _listeners(reader: sock_diag.SockDiag) -> tuple[int, ...]:
    found = reader.listeners()
    ports = len({listener.port for listener in found})
    depth = sum(listener.depth for listener in found)
    return len(found), 0, ports, depth, sum(listener.drops or 0 for listener in found)


if __name__ == "__main__":
    main(sys.argv[1:])
