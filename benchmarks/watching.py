"""The host process under measurement: the engine of `lastack run`, ticking as fast as it can.

Called as `python -m benchmarks.watching SOCKET POLICY_FILE STATE_DIR TICKS...`: at each of these tick counts it
writes its PSS in KiB and the CPU milliseconds so far, one JSON line each, then ends. Nothing waits between ticks: the
clock is put forward instead, so that every tick looks and the windows hold as many looks as those of `lastack run`.
"""

import dataclasses
import datetime as dt
import json
import pathlib
import pickle
import sys
import threading
import time
from unittest import mock

from lastack import bootstrap, settings
from lastack.cli import run  # what `lastack run` has loaded counts
from lastack.engine import instants
from lastack.kernel import clocks
from lastack.observability import logs


class Clock(clocks.SystemClock):
    """The clocks of this host, put forward."""

    forward = dt.timedelta(0)

    def now(self) -> instants.Now:
        """As it would be, had somebody waited."""
        here = super().now()
        return dataclasses.replace(here, wall=here.wall + self.forward, steady=here.steady + self.forward)


class Ticks(threading.Event):
    """The stop event: counts the ticks, puts the clock forward instead of waiting, and is set after the last."""

    def __init__(self, marks: list[int], every: dt.timedelta) -> None:
        """Report at each of `marks`; a tick comes `every` so long."""
        super().__init__()
        self._marks = marks
        self._every = every
        self._ticks = 0

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the pace is what is left out
        """One more tick is done."""
        self._ticks += 1
        Clock.forward += self._every
        if self._ticks in self._marks:
            print(json.dumps({"ticks": self._ticks, "pssKib": pss_kib(), "cpuMs": cpu_ms()}), flush=True)
        if self._ticks >= max(self._marks):
            self.set()
        return self.is_set()


def pss_kib() -> int:
    """The proportional share of memory of this process, from the kernel."""
    rollup = pathlib.Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def cpu_ms() -> int:
    """CPU time of this process so far."""
    return round(time.process_time() * 1000)


def main() -> None:
    """Watch, and report."""
    socket, policy_file, state_dir, *marks = sys.argv[1:]
    logs.set_up(json=True)
    policy = pickle.loads(pathlib.Path(policy_file).read_bytes())  # noqa: S301 - written by the case beside us
    with mock.patch.object(clocks, "SystemClock", Clock):
        process = bootstrap.host_process(
            settings.Settings(state_dir=pathlib.Path(state_dir)),
            policies=[policy],
            supervised_sockets={policy.target.name: pathlib.Path(socket)},
        )
        process.run(Ticks([int(mark) for mark in marks], policy.sample_every))


if __name__ == "__main__":
    if not callable(run.run):
        raise SystemExit("the command of `lastack run` is not there")
    main()
