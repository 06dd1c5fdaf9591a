"""Sixty listeners with queue, limit and drops: ours against the C program's LISTEN dump.

Shown without a goal: our side makes an object per listener, the C program adds up two numbers.
"""

import contextlib
import socket

from benchmarks import measuring
from lastack.kernel import netns

_LISTENERS = 60
_LOOKS = 100


def measure() -> list[measuring.Row]:
    """One row."""
    netns.unshare_net()
    with contextlib.ExitStack() as stack:
        for number in range(_LISTENERS):
            listener = stack.enter_context(socket.socket(socket.AF_INET6 if number % 2 else socket.AF_INET))
            listener.bind(("::1" if number % 2 else "127.0.0.1", 8000 + number))
            listener.listen(50)
        c_side = stack.enter_context(measuring.Looper(measuring.c_reference("listen")))
        our_side = stack.enter_context(measuring.Looper(measuring.looker("listen")))
        runs: list[tuple[float, float]] = []
        for _ in range(measuring.RUNS):
            c_cpu, c_answer = c_side.look(_LOOKS)
            ours, our_answer = our_side.look(_LOOKS)
            if c_answer[0] != _LISTENERS or our_answer[0] != _LISTENERS:
                raise RuntimeError(f"C saw {c_answer}, ours {our_answer}, made were {_LISTENERS} listeners")
            runs.append((c_cpu, ours))
    c_cpu, ours = (measuring.median(column) for column in zip(*runs, strict=True))
    return [measuring.Row("listeners against C", f"{_LISTENERS} listeners", ours, c_cpu, "ms", None)]
