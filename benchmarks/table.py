"""Runs every case, prints one table with goals and verdicts, writes it as JSON: `make bench`.

Exit 1 when a goal is missed. `--case NAME` runs one of them (again).
"""

import argparse
import importlib
import json
import multiprocessing
import multiprocessing.connection
import pathlib
import sys

from benchmarks import measuring

CASES = (
    "close_wait",
    "listeners",
    "many_namespaces",
    "crowded_host",
    "week",
    "host_process",
    "thread_dumps",
    "python_dumps",
    "help_text",
)


def main() -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=measuring.BUILD / "bench.json")
    parser.add_argument("--case", choices=CASES, action="append", dest="cases")
    arguments = parser.parse_args()
    rows: list[measuring.Row] = []
    for case in arguments.cases or CASES:
        print(f"measuring {case} ...", file=sys.stderr)
        rows += measure(case)
    print(render(rows))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document(rows), indent=1) + "\n", encoding="utf-8")
    missed = [row for row in rows if row.passed is False]
    print(f"{len(missed)} goals missed; figures in {arguments.out}", file=sys.stderr)
    return 1 if missed else 0


def measure(case: str) -> list[measuring.Row]:
    """The rows of a case, measured in a process of its own (which ends with its namespace)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_in_child, args=(case, theirs))
    process.start()
    theirs.close()
    try:
        rows: list[measuring.Row] = ours.recv()
    except EOFError:
        raise SystemExit(f"case {case} failed: its reason stands above") from None
    finally:
        process.join()
    return rows


def _measure_in_child(case: str, pipe: multiprocessing.connection.Connection) -> None:
    pipe.send(importlib.import_module(f"benchmarks.cases.{case}").measure())


def render(rows: list[measuring.Row]) -> str:
    """The table for people."""
    lines = [f"{'case':<36} {'cell':<24} {'ours':>9} {'other':>9}    {'ratio':>6} {'goal':>7}  verdict"]
    for row in rows:
        goal = "" if row.goal is None else f"<={row.goal:g}"
        verdict = {True: "ok", False: "MISSED", None: ""}[row.passed]
        lines.append(
            f"{row.case:<36} {row.cell:<24} {row.ours:>9.2f} {row.other:>9.2f} {row.unit:<2} "
            f"{row.ratio:>6.3f} {goal:>7}  {verdict}"
        )
    return "\n".join(line.rstrip() for line in lines)


def document(rows: list[measuring.Row]) -> dict[str, object]:
    """The table for programs: camelCase, one object per row."""
    return {
        "apiVersion": "lastack.dev/v1alpha1",
        "kind": "BenchmarkTable",
        "runs": measuring.RUNS,
        "passed": all(row.passed is not False for row in rows),
        "rows": [
            {
                "case": row.case,
                "cell": row.cell,
                "ours": round(row.ours, 4),
                "other": round(row.other, 4),
                "unit": row.unit,
                "ratio": round(row.ratio, 4),
                "goal": row.goal,
                "passed": row.passed,
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
