"""The long run of the host process: `make soak`. Memory over many ticks, written with the commit it was made at."""

import argparse
import json
import pathlib
import subprocess
import sys

from benchmarks import measuring
from benchmarks.cases import host_process

_MARKS = 10


def main() -> int:
    """Watch for --ticks ticks; exit 1 when memory grew by more than the goal of the short case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=10_000)
    parser.add_argument("--out", type=pathlib.Path, default=measuring.BUILD / "soak.json")
    arguments = parser.parse_args()
    marks = [arguments.ticks * part // _MARKS for part in range(1, _MARKS + 1)]
    figures = host_process.watch(marks)
    growth = figures[-1]["pssKib"] / figures[0]["pssKib"]
    document = {
        "apiVersion": "lastack.dev/v1alpha1",
        "kind": "Soak",
        "commit": _commit(),
        "ticks": arguments.ticks,
        "figures": figures,
        "growth": round(growth, 4),
        "passed": growth <= host_process.GOAL_GROWTH,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for figure in figures:
        print(
            f"{figure['ticks']:>7} ticks  {figure['pssKib'] / 1024:6.1f} MB  {figure['cpuMs'] / 1000:8.1f} s CPU"
        )
    print(
        f"growth {growth:.3f} (goal {host_process.GOAL_GROWTH}); figures in {arguments.out}", file=sys.stderr
    )
    return 0 if document["passed"] else 1


def _commit() -> str:
    found = subprocess.run(
        ["/usr/bin/git", "rev-parse", "HEAD"], cwd=measuring.ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "not a clone"


if __name__ == "__main__":
    sys.exit(main())
