"""`lastack lab` as a person starts it, and what it printed. Used by the tests of the lab and of the pages."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.lab import leftovers

PROGRAM = str(pathlib.Path(sys.executable).with_name("lastack"))


def started(name: str, *options: str, **variables: str) -> tuple[str, subprocess.Popen[str]]:
    """A lab in the background, once it has said everything, and the mark of its processes."""
    mark, environment = leftovers.marked_environment()
    process = subprocess.Popen(
        [PROGRAM, "lab", name, *options],
        env={**environment, "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return mark, process


def introduction(process: subprocess.Popen[str]) -> str:
    """Everything up to the last line of the introduction."""
    assert process.stdout is not None
    said = ""
    while not said.endswith("Nothing is left then.\n"):
        line = process.stdout.readline()
        assert line, f"the lab ended: {said}{process.communicate()}"
        said += line
    return said


@dataclasses.dataclass(frozen=True, slots=True)
class Many:
    """A pattern that is found so often, or more often."""

    pattern: str
    times: int


def says(output: str, meant: str | Many) -> bool:
    """Whether the output of a command has the pattern."""
    many = meant if isinstance(meant, Many) else Many(meant, 1)
    return len(re.findall(many.pattern, output.rstrip("\n"))) >= many.times


@dataclasses.dataclass(frozen=True, slots=True)
class Terminal:
    """The second terminal of a lab: `service` is the pid that the introduction names."""

    service: int
    said: str

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A shell command in the namespace of the lab, where PID is the service; py-spy is on the path."""
        words = command.replace("PID", str(self.service))
        place = os.pathsep.join([str(pathlib.Path(PROGRAM).parent), os.environ["PATH"]])
        return subprocess.run(
            ["nsenter", "--target", str(self.service), "--net", "sh", "-c", words],
            env={**os.environ, "PATH": place},
            capture_output=True,
            text=True,
            check=False,
        )


@contextlib.contextmanager
def terminal(name: str) -> Iterator[Terminal]:
    """A lab that runs, and a second terminal for it."""
    _, process = started(name)
    try:
        said = introduction(process)
        yield Terminal(int(re.findall(r"is pid (\d+)", said)[0]), said)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
