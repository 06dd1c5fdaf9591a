"""A real C program that stands still in known places; no claims here."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import psutil

_SOURCE = pathlib.Path(__file__).parent / "native" / "patient.c"
NAME = "patient"


def compile_patient(folder: pathlib.Path) -> pathlib.Path:
    """The program, with what a debugger reads, readable by everybody."""
    gcc = shutil.which("gcc")
    assert gcc is not None, "these tests start a real C program: apt-get install gcc libc6-dev"
    program = folder / NAME
    subprocess.run([gcc, "-O1", "-g", "-pthread", "-o", program, _SOURCE], check=True)
    for each in (folder, *folder.parents):
        if each.is_relative_to("/tmp") and each != pathlib.Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o055)
    return program


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    """A running one; `backend` is the port that it reads from."""

    pid: int
    backend: int

    @property
    def state(self) -> str:
        """As in ps; of its first thread."""
        return psutil.Process(self.pid).status()


@contextlib.contextmanager
def running(*argv: str | pathlib.Path, around: Sequence[str] = ()) -> Iterator[Patient]:
    """The program and its arguments; `around` is a command that ends in running another."""
    with subprocess.Popen(
        [*around, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            yield Patient(next(each.pid for each in tree if each.name() == NAME), port)
        finally:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.kill()
            process.kill()


_TRACER = """
import ctypes, sys, time
SEIZE = 0x4206
assert ctypes.CDLL(None).ptrace(SEIZE, int(sys.argv[1]), 0, 0) == 0
print("attached", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def traced(pid: int) -> Iterator[int]:
    """A debugger is at the process; its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", _TRACER, str(pid)], stdout=subprocess.PIPE, text=True
    ) as tracer:
        try:
            assert tracer.stdout is not None
            assert "attached\n" == tracer.stdout.readline()
            yield tracer.pid
        finally:
            tracer.kill()
