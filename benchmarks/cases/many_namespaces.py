"""A hundred quiet namespaces with a full look at each, every second: against a hundredth of one processor.

The pace is real, since a round that comes once a second finds cold caches. The figure is a mean over ten rounds,
because whole looks are spread over them (benchmarks.rounding).
"""

import json
import subprocess
import sys

from benchmarks import measuring

_NAMESPACES = 100
_ROUNDS = 10
_BUDGET_MS = 10.0
"""A hundredth of a second."""
_CELLS = (("listeners only", 0, 0), ("idle connections", 3, 0), ("beside 100,000 sockets", 3, 100_000))


def measure() -> list[measuring.Row]:
    """Per cell what a round costs, and what the first one did, which looks at everything."""
    rows: list[measuring.Row] = []
    for cell, connections, sockets in _CELLS:
        amounts = [str(number) for number in (_NAMESPACES, connections, sockets, _ROUNDS)]
        command = [*measuring.ALONE, sys.executable, "-m", "benchmarks.rounding", *amounts]
        done = subprocess.run(command, cwd=measuring.ROOT, stdout=subprocess.PIPE, check=True)
        figures = json.loads(done.stdout)
        if figures["notOfTheirRound"]:
            raise RuntimeError(f"{cell}: {figures['notOfTheirRound']} samples were not of their round")
        name = f"{_NAMESPACES} namespaces, CPU of a round"
        rows.append(measuring.Row(name, cell, figures["meanMs"], _BUDGET_MS, "ms", 1.0))
        rows.append(
            measuring.Row("the same, its first round", cell, figures["firstMs"], _BUDGET_MS, "ms", None)
        )
    return rows
