"""Ask for a dump as `lastack run` does, and hold it to what a dump may do to a process; no claims here."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from lastack.engine import instants, outcomes
from lastack.executors import thread_dumps
from lastack.executors.thread_dump import readers
from lastack.executors.thread_dump.hotspot import attach
from tests import targets, waiting
from tests.executors import worlds

RUNS = int(os.environ.get("DANGER_RUNS", "5"))
MAX_PAUSE = dt.timedelta(milliseconds=500)
NOISE = dt.timedelta(milliseconds=50)
IN_TIME = attach.WITHIN + dt.timedelta(seconds=5)

each_run = pytest.mark.parametrize("run", range(RUNS))


class LaterClock(worlds.RealClock):
    """The machine's clock, so much later: a process that just began is old enough for it."""

    def __init__(self, by: dt.timedelta = attach.YOUNG) -> None:
        self._by = by

    def now(self) -> instants.Now:
        """The instant."""
        now = super().now()
        return dataclasses.replace(now, wall=now.wall + self._by, steady=now.steady + self._by)


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What came of it: the sentence of the outcome and the summary beside it, which holds every reason."""

    outcome: outcomes.Outcome
    text: str
    summary: str
    took: dt.timedelta


@dataclasses.dataclass(slots=True)
class Figures:
    """The longest of each danger, for a table."""

    seconds: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    def keep(self, danger: str, kind: str, span: dt.timedelta) -> None:
        """One more measurement of a danger."""
        row = self.seconds.setdefault(danger, {"runs": 0})
        row["runs"] += kind == "took"
        row[kind] = max(row.get(kind, 0.0), round(span.total_seconds(), 4))


def allowed(control: dt.timedelta) -> dt.timedelta:
    """How long a target may be silent.

    A machine that lets a process wait to which nothing is done lets the target wait too, and tells no more than
    whether it stood still for seconds.
    """
    return MAX_PAUSE if control < NOISE else MAX_PAUSE + 4 * control


class _Control:
    """Beats in this process, which nobody asks for anything, for as long as it is entered."""

    def __init__(self) -> None:
        self.longest = dt.timedelta(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.005):
            now = time.monotonic()
            self.longest = max(self.longest, dt.timedelta(seconds=now - last))
            last = now


@dataclasses.dataclass(frozen=True, slots=True)
class Asker:
    """Asks in the name of one danger, and keeps its figures."""

    danger: str
    folder: pathlib.Path
    figures: Figures

    def ask(
        self, pid: int, *, clock: worlds.RealClock | None = None, meanwhile: Callable[[], None] | None = None
    ) -> Told:
        """One dump of the process, through the executor; `meanwhile` is done once it has begun."""
        host, evidence = worlds.OneMemberHost(pid), worlds.KeptEvidence(self.folder)
        dumper = thread_dumps.ThreadDumper(
            lambda _: host, evidence, clock or LaterClock(), readers.all_readers()
        )
        step = worlds.step_of(worlds.dump_series(pid, count=1))
        began = time.monotonic()
        found = dumper.begin(step)
        if meanwhile is not None:
            meanwhile()
        while isinstance(found, outcomes.Running):
            assert time.monotonic() - began < IN_TIME.total_seconds(), found.text
            found = dumper.poll(step)
        took = dt.timedelta(seconds=time.monotonic() - began)
        self.figures.keep(self.danger, "took", took)
        assert isinstance(found, outcomes.Succeeded | outcomes.Failed), found
        kept = [file.path for file in found.evidence if file.path.endswith("-threads.txt")]
        return Told(found, found.text, (self.folder / kept[-1]).read_text() if kept else found.text, took)

    @contextlib.contextmanager
    def unharmed(self, life: targets.Life, beats: targets.Beats) -> Iterator[None]:
        """What happens in here neither ends nor freezes it, it serves on, and nothing is left in it."""
        before = life.settled_possessions()
        beats.forget()
        with _Control() as control:
            yield
            assert life.goes_on
            pause = beats.longest()
        self.figures.keep(self.danger, "pause", pause)
        self.figures.keep(self.danger, "control", control.longest)
        assert pause < allowed(control.longest), f"{pause} of silence, {control.longest} without being asked"
        assert life.answers()
        waiting.wait_until(
            lambda: life.has_what_it_had(before), within=worlds.WITHIN, what=f"what it had: {before}"
        )
