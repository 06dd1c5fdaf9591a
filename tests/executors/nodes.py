"""Real Node.js programs that stand still in known places; no claims here."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO

import psutil

from lastack.executors.thread_dump import groups, stacks, stopping, waits
from lastack.executors.thread_dump.node import answers, reader
from tests import waiting
from tests.executors import worlds

PAUSE = dt.timedelta(milliseconds=500)
AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
SLEEPS = frozenset({psutil.STATUS_SLEEPING})
RUNS = frozenset({psutil.STATUS_RUNNING})
GOES_ON = SLEEPS | RUNS | {psutil.STATUS_DISK_SLEEP}


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    """A running program; `said` is what it wrote before it wrote "ready", `output` gives what comes after that."""

    pid: int
    said: tuple[str, ...]
    output: IO[str]

    @property
    def state(self) -> str:
        """As in ps; of its main thread."""
        return psutil.Process(self.pid).status()


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    source: str,
    *,
    options: Sequence[str] = (),
    name: str = "service.js",
    program: str | pathlib.Path = "node",
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Patient]:
    """The program of this source, which says "ready" when the rest goes by itself."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.encode())
    with subprocess.Popen(
        [str(program), *options, str(path)], stdin=stdin, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                if line == "ready\n":
                    break
                said.append(line.rstrip("\n"))
            else:
                raise AssertionError(f"it ended: {said}")
            yield Patient(process.pid, tuple(said), process.stdout)
        finally:
            process.kill()


def looked(pid: int, max_pause: dt.timedelta = PAUSE) -> stacks.ProcessDump:
    """Its dump, joined with what the kernel says; of one that is old enough, whenever it began."""
    looking = begun(pid, max_pause)
    try:
        while (raw := looking.wait(worlds.WITHIN)) is None:
            pass
    finally:
        looking.close()
    dump = answers.read(raw, pid=pid, parent=0, command="node", at=AT)
    return waits.joined(dump)


def begun(pid: int, max_pause: dt.timedelta = PAUSE) -> stopping.Stopping:
    """One that goes on."""
    later = worlds.RealClock().now().steady + dt.timedelta(seconds=5)
    return reader.begin(pid, "Node.js", max_pause, later)


def main_of(dump: stacks.ProcessDump) -> stacks.ThreadStack:
    """Its main thread."""
    return next(each for each in dump.threads if each.role == "main")


def stands_in(pid: int, words: str) -> stacks.ProcessDump:
    """The first dump of which the main thread stands in a place that begins so."""
    return waiting.wait_until(
        lambda: dump if str(main_of(dump := looked(pid)).place).startswith(words) else None,
        within=worlds.WITHIN,
        what=words,
    )


def says(pid: int, words: str) -> groups.Finding:
    """What the first dump says in whose sentence these words are."""
    return waiting.wait_until(
        lambda: found if words in (found := groups.find([[looked(pid)]])).text else None,
        within=worlds.WITHIN,
        what=words,
    )
