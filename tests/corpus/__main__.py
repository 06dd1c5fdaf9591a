"""`python -m tests.corpus`, which `make corpus` calls: run cells, print each verdict, write the JSON of the run.

Exit status 0 when every verdict was right, 1 when one was wrong; what it rested on is then in a file each below
build/corpus/wrong.
"""

import argparse
import contextlib
import json
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from lastack import interruptions
from tests.corpus import conditions, runs, servers, shapes, tables
from tests.docs import generated

ROOT = pathlib.Path(__file__).parents[2]
_OUT = ROOT / "build" / "corpus.json"
_WRONG = ROOT / "build" / "corpus" / "wrong"
_JOBS = 6


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    arguments = _parser().parse_args(words)
    cells = _chosen(arguments)
    if arguments.list:
        for cell in cells:
            _say(f"{cell.name:35} ripens {cell.ripens_seconds:5.0f} s  {cell.condition.story}")
        return 0
    rows: list[dict[str, Any]] = []
    for cell in cells:
        _case_of(cell).unlink(missing_ok=True)
    try:
        with interruptions.raised(), tempfile.TemporaryDirectory(prefix="corpus-") as folder:
            _run(arguments, cells, pathlib.Path(folder), rows)
    except KeyboardInterrupt:
        _tell("interrupted; nothing of it runs any more, and what was found until now is written")
        _write(arguments, rows)
        return interruptions.EXIT_CODE
    return _write(arguments, rows)


def _write(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> int:
    """Write the JSON, and with --renew the page; say how many were wrong and return the exit status."""
    document = _document(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.renew:
        _renew(document)
    wrong = [row for row in rows if row["faults"]]
    void = [row for row in rows if row["void"]]
    disruptive = sum(row["disruptive"] for row in rows)
    counted = f"{len(wrong)} wrong, {disruptive} wrong disruptive verdicts, {len(void)} void"
    _say(f"{len(rows)} cells, {counted}; {arguments.out}")
    return 1 if wrong or void else 0


def _run(
    arguments: argparse.Namespace, cells: list[shapes.Cell], folder: pathlib.Path, rows: list[dict[str, Any]]
) -> None:
    """Run the cells, tell each verdict, keep the case of a wrong one, and add its row to `rows`."""
    done = runs.run(cells, folder, jobs=arguments.jobs, recordings=arguments.record, tell=_tell)
    with contextlib.closing(done):
        for outcome in done:
            rows.append(outcome.row())
            _tell(_line(outcome))
            if outcome.verdict.faults or outcome.void:
                _WRONG.mkdir(parents=True, exist_ok=True)
                _case_of(outcome.cell).write_text(outcome.case(), encoding="utf-8")


def _case_of(cell: shapes.Cell) -> pathlib.Path:
    """Where what a wrong verdict rested on is kept."""
    return _WRONG / f"{cell.name}.txt"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--server", action="append", choices=[each.name for each in servers.ALL])
    parser.add_argument("--condition", action="append", choices=[each.name for each in conditions.ALL])
    parser.add_argument("--quick", action="store_true", help="leave out what needs minutes to ripen")
    parser.add_argument("--list", action="store_true", help="print the cells and run nothing")
    parser.add_argument("--jobs", type=int, default=_JOBS, help="how many cells side by side")
    parser.add_argument("--record", type=pathlib.Path, help="a folder for a recording of each cell")
    parser.add_argument("--renew", action="store_true", help="put the rows into docs/reference")
    parser.add_argument("--out", type=pathlib.Path, default=_OUT)
    return parser


def _chosen(arguments: argparse.Namespace) -> list[shapes.Cell]:
    return [
        cell
        for cell in conditions.cells(servers.ALL)
        if (not arguments.server or cell.server.name in arguments.server)
        and (not arguments.condition or cell.condition.name in arguments.condition)
        and not (arguments.quick and cell.condition.patient)
    ]


def _document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows as they came, with what they were made on."""
    made_on = {"commit": _commit(), "kernel": platform.release()}
    return {
        "apiVersion": "lastack.dev/v1alpha1",
        "kind": "Corpus",
        "cells": [row | made_on for row in rows],
    }


def _renew(document: dict[str, Any]) -> None:
    """Put the rows of this run in place of the committed ones, and write the page anew."""
    kept = tables.rows() if tables.FIGURES.exists() else []
    renewed = document | {"cells": tables.merged(kept, document["cells"])}
    tables.FIGURES.write_text(json.dumps(renewed, indent=1) + "\n", encoding="utf-8")
    generated.main()


def _line(outcome: runs.Outcome) -> str:
    verdict = outcome.verdict
    cause = (
        "" if verdict.cause is None else f" {verdict.cause}" + (f" {verdict.peer}" if verdict.peer else "")
    )
    mark = "WRONG" if verdict.faults else "void " if outcome.void else "right"
    line = f"{mark}  {outcome.cell.name:32} {verdict.code} {verdict.severity} {verdict.confidence}{cause}"
    return "\n".join([line, *(f"       {fault}" for fault in (*verdict.faults, outcome.void) if fault)])


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "not a clone"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
