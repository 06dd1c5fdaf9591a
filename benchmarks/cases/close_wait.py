"""CLOSE_WAIT per local port and how many nobody accepted: ours against the C program and against ss.

Nine populations. Our side and the C program run on and look again and again; ss starts for each look, as it does
in everybody's scripts. What its start costs is shown in a row of its own, and the ratio without it as well.
"""

import math

from benchmarks import measuring, population
from lastack.kernel import netns

_SIZES = {1_000: 100, 10_000: 20, 100_000: 4}
_PERCENTS = (2, 50, 100)
_GOAL_C_MEAN = 1.15
_GOAL_SS = 0.5
_SS = ("ss", "-Htan", "state", "close-wait")
_SS_START = ("ss", "-V")


def measure() -> list[measuring.Row]:
    """The rows of all nine cells, and the geometric mean against C."""
    netns.unshare_net()
    rows: list[measuring.Row] = []
    ratios: list[float] = []
    with (
        measuring.Looper(measuring.c_reference()) as c_side,
        measuring.Looper(measuring.looker()) as our_side,
    ):
        for sockets, looks in _SIZES.items():
            for percent in _PERCENTS:
                wanted = population.Population.of(sockets, percent)
                with population.held(wanted):
                    c_cpu, ours, ss_cpu, ss_start = _cell(c_side, our_side, looks, wanted.close_wait)
                cell = f"{sockets:,} sockets, {percent} %"
                ratios.append(ours / c_cpu)
                rows.append(measuring.Row("close_wait against C", cell, ours, c_cpu, "ms", None))
                rows.append(measuring.Row("close_wait against ss", cell, ours, ss_cpu, "ms", _GOAL_SS))
                without = max(ss_cpu - ss_start, 0.001)
                rows.append(
                    measuring.Row("the same, start of ss not counted", cell, ours, without, "ms", None)
                )
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    rows.append(measuring.Row("close_wait against C", "geometric mean", mean, 1.0, "x", _GOAL_C_MEAN))
    return rows


def _cell(
    c_side: measuring.Looper, our_side: measuring.Looper, looks: int, close_wait: int
) -> tuple[float, float, float, float]:
    """Medians of C, ours, ss and an ss that does nothing, taken in turn; both answers must be right."""
    runs: list[tuple[float, float, float, float]] = []
    for _ in range(measuring.RUNS):
        # C, ours, ours, C: what the machine does meanwhile, and ss to whoever looks first, falls on both alike.
        first, c_answer = c_side.look(looks)
        second, our_answer = our_side.look(looks)
        third, _ = our_side.look(looks)
        fourth, _ = c_side.look(looks)
        c_cpu, ours = (first + fourth) / 2, (second + third) / 2
        if c_answer != our_answer or our_answer[0] != close_wait:
            raise RuntimeError(f"C saw {c_answer}, ours {our_answer}, made were {close_wait} in CLOSE_WAIT")
        runs.append((c_cpu, ours, measuring.cpu_milliseconds(_SS), measuring.cpu_milliseconds(_SS_START)))
    c_cpu, ours, ss_cpu, ss_start = (measuring.median(column) for column in zip(*runs, strict=True))
    return c_cpu, ours, ss_cpu, ss_start
