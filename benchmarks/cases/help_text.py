"""`lastack --help` against a Python that only imports click."""

import pathlib
import sys

from benchmarks import measuring

_GOAL = 2.0


def measure() -> list[measuring.Row]:
    """One row."""
    program = pathlib.Path(sys.executable).parent / "lastack"
    runs = [
        (
            measuring.cpu_milliseconds((sys.executable, "-c", "import click")),
            measuring.cpu_milliseconds((str(program), "--help")),
        )
        for _ in range(measuring.RUNS)
    ]
    click, ours = (measuring.median(column) for column in zip(*runs, strict=True))
    return [measuring.Row("lastack --help against import click", "CPU", ours, click, "ms", _GOAL)]
