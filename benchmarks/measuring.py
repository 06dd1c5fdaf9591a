"""How costs are measured: CPU time (user and system), medians, everything interleaved in one run.

Called by the cases. The machine is shared and noisy; only ratios of neighbours in time mean something.
"""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

RUNS = 7
ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
"""Runs a program in a pid namespace of its own, where it sees its own processes only."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure of ours, what it is compared with, and the goal for their ratio."""

    case: str
    cell: str
    ours: float
    other: float
    unit: str
    goal: float | None
    """Largest ratio that passes; None: shown for information."""

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the other."""
        return self.ours / self.other

    @property
    def passed(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None else self.ratio <= self.goal


class Looper:
    """A process that looks as often as it is told to, so that its start does not count."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start `command`, which speaks the protocol of c_reference.c."""
        self._command = tuple(command)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close its input, upon which it ends."""
        self._process.communicate()

    def look(self, times: int) -> tuple[float, tuple[int, ...]]:
        """CPU milliseconds of one of `times` looks, and the answer of the last."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._command} ended: it wrote its reason to stderr")
        spent, *answer = (int(word) for word in line.split())
        return spent / 1000 / times, tuple(answer)


def cpu_milliseconds(command: Sequence[str]) -> float:
    """CPU time of a whole process, its start included, with its output thrown away."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000


def median(values: Sequence[float]) -> float:
    """The middle of an odd number of values."""
    return statistics.median(values)


def c_reference(*arguments: str) -> tuple[str, ...]:
    """The command of the C program, compiled now if it is older than its source."""
    source, program = ROOT / "benchmarks" / "c_reference.c", BUILD / "c_reference"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        subprocess.run(["/usr/bin/gcc", "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return (str(program), *arguments)


def looker(*arguments: str) -> tuple[str, ...]:
    """The command of our side."""
    return (sys.executable, "-m", "benchmarks.looker", *arguments)
