"""Sixty and a thousand listeners with queue, limit and drops: ours against the C program's LISTEN dump.

Most looks at a host find what the look before found, so that is the case with a goal. The other one, in which every
queue is another than at the look before, is shown for information: our side makes an object per listener, the C
program adds up two numbers.
"""

import contextlib
import resource
import socket

from benchmarks import measuring
from lastack.kernel import netns

_LOOKS = {60: 100, 1000: 10}
_CHANGES = 10
_GOAL = 2.0


def measure() -> list[measuring.Row]:
    """Two rows per number of listeners."""
    netns.unshare_net()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows: list[measuring.Row] = []
    for amount, looks in _LOOKS.items():
        with contextlib.ExitStack() as stack:
            listeners = [_listener(stack, number) for number in range(amount)]
            c_side = stack.enter_context(measuring.Looper(measuring.c_reference("listen")))
            our_side = stack.enter_context(measuring.Looper(measuring.looker("listen")))
            c_cpu, ours = _medians(c_side, our_side, amount, looks)
            rows.append(
                measuring.Row("listeners against C", f"{amount:,} listeners", ours, c_cpu, "ms", _GOAL)
            )
            c_cpu, ours = _changing(c_side, our_side, listeners)
            cell = f"{amount:,}, every queue new"
            rows.append(measuring.Row("listeners against C", cell, ours, c_cpu, "ms", None))
    return rows


def _listener(stack: contextlib.ExitStack, number: int) -> socket.socket:
    made = stack.enter_context(socket.socket(socket.AF_INET6 if number % 2 else socket.AF_INET))
    made.bind(("::1" if number % 2 else "127.0.0.1", 8000 + number))
    made.listen(50)
    return made


def _medians(
    c_side: measuring.Looper, our_side: measuring.Looper, amount: int, looks: int
) -> tuple[float, float]:
    """Medians of C and ours, taken in turn; both answers must be right."""
    runs: list[tuple[float, float]] = []
    for _ in range(measuring.RUNS):
        c_cpu, c_answer = c_side.look(looks)
        ours, our_answer = our_side.look(looks)
        if c_answer != our_answer or c_answer[0] != amount:
            raise RuntimeError(f"C saw {c_answer}, ours {our_answer}, made were {amount} listeners")
        runs.append((c_cpu, ours))
    c_cpu, ours = (measuring.median(column) for column in zip(*runs, strict=True))
    return c_cpu, ours


def _changing(
    c_side: measuring.Looper, our_side: measuring.Looper, listeners: list[socket.socket]
) -> tuple[float, float]:
    """The same with one look per run, and one connection more at every listener before each."""
    runs: list[tuple[float, float]] = []
    with contextlib.ExitStack() as clients:
        for _ in range(_CHANGES):
            for listener in listeners:
                client = clients.enter_context(socket.socket(listener.family))
                client.connect(listener.getsockname()[:2])
            c_cpu, c_answer = c_side.look(1)
            ours, our_answer = our_side.look(1)
            if c_answer != our_answer:
                raise RuntimeError(f"C saw {c_answer}, ours {our_answer}")
            runs.append((c_cpu, ours))
    c_cpu, ours = (measuring.median(column) for column in zip(*runs, strict=True))
    return c_cpu, ours
