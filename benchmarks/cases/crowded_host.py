"""A service on a host with 2,000 processes: what looking costs against the same service on an empty host.

To find the owner of a listener costs a walk over the open files of every process, once. After that the cost of a
look follows the listeners, not the processes.
"""

import json
import subprocess
import sys

from benchmarks import measuring

_PROCESSES = 2_000
_FEW = 20
_LISTENERS = 200
_GOAL_LATER = 1.5
"""Half more for what still is listed now and then: new processes have to be found. The first look costs ten times."""
_WHAT = {
    "a first look": None,
    "a deep look after it": _GOAL_LATER,
    "a cheap look after it": _GOAL_LATER,
    "a look of a tick of run": _GOAL_LATER,
}
"""In the order of the answer of benchmarks.crowding."""
_LOOKS = 5
_WINDOW_MS = 5_000.0
_GOAL_DIAGNOSE_MS = 2_500.0
"""Half of its window of five seconds on one processor, for 200 listeners and 2,000 processes."""


def measure() -> list[measuring.Row]:
    """Looks of `diagnose` and of a tick of `run` on both hosts in turn, then the whole program on the crowded one."""
    cell = f"{_PROCESSES:,} processes to {_FEW}"
    with (
        measuring.Looper(_command(_FEW, "look")) as empty,
        measuring.Looper(_command(_PROCESSES, "look")) as full,
    ):
        runs = [(full.look(_LOOKS)[1], empty.look(_LOOKS)[1]) for _ in range(measuring.RUNS)]
    rows = []
    for index, (what, goal) in enumerate(_WHAT.items()):
        ours, other = (measuring.median([run[side][index] / 1000 for run in runs]) for side in (0, 1))
        rows.append(measuring.Row(what, cell, ours, other, "ms", goal))
    done = subprocess.run(
        _command(_PROCESSES, "diagnose"), cwd=measuring.ROOT, stdout=subprocess.PIPE, check=True
    )
    figures = json.loads(done.stdout)
    cell = f"{_LISTENERS} listeners"
    return [
        *rows,
        measuring.Row("lastack diagnose, CPU", cell, figures["cpuMs"], _GOAL_DIAGNOSE_MS, "ms", 1.0),
        measuring.Row("lastack diagnose, start to end", cell, figures["wallMs"], _WINDOW_MS, "ms", None),
    ]


def _command(processes: int, what: str) -> tuple[str, ...]:
    """The program of this case, among so many processes that sleep."""
    amounts = (str(processes), str(_LISTENERS))
    return (*measuring.ALONE, sys.executable, "-m", "benchmarks.crowding", *amounts, what)
