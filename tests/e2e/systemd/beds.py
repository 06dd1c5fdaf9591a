"""One scenario's stage: template units in the box, their policy, and `lastack run` as processes. Used by scenarios."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from tests import waiting
from tests.box import boxes
from tests.e2e.systemd import warehouses

PYTHON = sys.executable
PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
WITHIN = dt.timedelta(seconds=120)
"""For one thing to happen; the machine may be busy with other tests."""

LOOK_EVERY_SECONDS = 0.1
"""Between two looks at the ledger or at a unit: each is work for a machine that does a lot already."""

Entry = dict[str, Any]
Condition = Callable[[Entry], bool]

UNIT = """\
[Unit]
{limit}
[Service]
Type=notify
RuntimeDirectory=%p-%i
Environment=PYTHONPATH={source} PYTHONDONTWRITEBYTECODE=1
ExecStart={python} -m gunicorn --bind 127.0.0.1:%i --workers 1 --timeout 0 --graceful-timeout 1 \
tests.e2e.systemd.warehouses:serve
ExecStop=/bin/sh -c 'while test -e /run/%p-%i/hold; do sleep 0.05; done'
"""
"""gunicorn gives a stuck worker 1 s to end; a stop of the unit lasts as long as the file `hold` is there."""

NO_LIMIT = "StartLimitIntervalSec=0"


def text(name: str, units: str, **changed: str) -> str:
    """A policy with the shape and the times of policies/demo.yaml. `changed`: single limits, mode, sampleEvery."""
    limits = {"warmUp": "2s", "minProcessAge": "1s", "cooldown": "1m", "restarts": "{max: 3, per: 1h}"}
    limits = {**limits, "minAvailable": "1", **changed}
    mode = limits.pop("mode", "enforce")
    sample_every = limits.pop("sampleEvery", "1s")
    said = f"  mode: {mode}\n" if mode != "default" else ""
    rows = "".join(f"    {key}: {value}\n" for key, value in limits.items())
    return f"""\
apiVersion: lastack.dev/v1alpha1
kind: RemediationPolicy
metadata:
  name: {name}
spec:
{said}  target:
    systemd: {{units: ["{units}"]}}
  probe: {{http: {{path: /health}}, expect: 200, timeout: 2s}}
  sampleEvery: {sample_every}
  triggers:
    - {{name: stalled, diagnosis: [accept-stall, backlog-too-small, fd-leak], sustainedFor: 3s, clearFor: 5s}}
  stages:
    - {{name: evidence, action: threadDump, with: {{count: 3, every: 1s, maxPause: 500ms, waitAtMost: 20s}}}}
    - name: tune
      action: sysctl
      when: {{diagnosis: [backlog-too-small]}}
      with: {{scope: host, values: {{net.core.somaxconn: "4096"}}}}
      restore: {{after: 1h}}
      settle: 2s
    - name: replace
      action: rollingRestart
      when: {{diagnosis: [accept-stall, backlog-too-small, fd-leak]}}
      with: {{readyWithin: 20s, warmFor: 2s}}
      settle: 3s
  limits:
{rows}"""


@dataclasses.dataclass
class Bed:
    """Units `NAME@PORT.service`, a policy directory and a state directory of their own."""

    box: boxes.Box
    name: str
    ports: tuple[int, ...]
    limit: str = NO_LIMIT
    processes: list[boxes.InsideProcess] = dataclasses.field(default_factory=list)
    reader: boxes.InsideProcess | None = None
    locks: list[IO[str]] = dataclasses.field(default_factory=list)

    def lay(self) -> None:
        """Write the template; systemd is not told yet."""
        unit = UNIT.format(limit=self.limit, source=boxes.SOURCE_ROOT, python=PYTHON)
        self.box.write_unit(f"{self.name}@.service", unit, reload=False)
        self.state.mkdir(mode=0o700, parents=True)
        self.policies.mkdir(mode=0o755, parents=True)

    @property
    def units(self) -> tuple[str, ...]:
        """The names of the instances."""
        return tuple(f"{self.name}@{port}.service" for port in self.ports)

    @property
    def inside_state(self) -> str:
        """The state directory, as the box sees it."""
        return f"/var/lib/{self.name}"

    @property
    def state(self) -> pathlib.Path:
        """The state directory, as the machine sees it."""
        return self.box.path(self.inside_state)

    @property
    def policies(self) -> pathlib.Path:
        """The policy directory, as the machine sees it."""
        return self.box.path(f"/etc/{self.name}")

    def write_policy(self, policy: str, *, as_name: str | None = None) -> None:
        """Put a policy into force with the next start or SIGHUP."""
        (self.policies / f"{as_name or self.name}.yaml").write_text(policy)

    def start_units(self) -> None:
        """Start every instance, and wait until they serve."""
        self.box.run(["systemctl", "start", *self.units], timeout_seconds=WITHIN.total_seconds())

    def run_lastack(self, bus: str | None = None) -> boxes.InsideProcess:
        """Start `lastack run`; `bus` is a D-Bus address."""
        env = {"DBUS_SYSTEM_BUS_ADDRESS": bus} if bus else {}
        words = [str(PROGRAM), "run", "--policies", f"/etc/{self.name}", "--state-dir", self.inside_state]
        with self.log.open("a") as log:
            process = self.box.popen(words, stdout=log, stderr=log, env=env)
        self.processes.append(process)
        return process

    @property
    def log(self) -> pathlib.Path:
        """What every `lastack run` of this bed said."""
        return self.box.path(f"/run/{self.name}.log")

    def hold_stops(self) -> pathlib.Path:
        """From now on a stop of the first instance lasts until this file is removed."""
        file = self.box.path(f"/run/{self.name}-{self.ports[0]}/hold")
        file.touch()
        return file

    def fall_sick(self, at: int = 0) -> None:
        """Take the lock that the handlers of one instance need, for good."""
        path = self.box.path(f"/run/{self.name}-{self.ports[at]}/{warehouses.LOCK_NAME}")
        lock = path.open("a")
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.locks.append(lock)

    def get_well(self) -> None:
        """Let go of every lock."""
        for lock in self.locks:
            lock.close()
        self.locks.clear()

    def entries(self, after: int = 0) -> list[Entry]:
        """The ledger so far, from the authority itself, read beside the process that writes it."""
        if self.reader is None:
            words = [PYTHON, "-m", "tests.e2e.systemd.readers", self.inside_state]
            self.reader = self.box.popen(
                words, stdin=subprocess.PIPE, stderr=None, env={"PYTHONPATH": str(boxes.SOURCE_ROOT)}
            )
        assert self.reader.stdin is not None
        assert self.reader.stdout is not None
        self.reader.stdin.write(f"{after}\n")
        self.reader.stdin.flush()
        count = self.reader.stdout.readline()
        assert count, f"the reader of {self.name} ended with {self.reader.wait()}"
        return [json.loads(self.reader.stdout.readline()) for _ in range(int(count))]

    def last(self) -> int:
        """The number of the newest entry."""
        return max((entry["seq"] for entry in self.entries()), default=0)

    def wait_for(self, wanted: Condition, what: str, *, after: int = 0) -> Entry:
        """The first entry after a number that is wanted. Fails at once when lastack has ended by itself."""

        def look() -> Entry | None:
            found = next((entry for entry in self.entries(after) if wanted(entry)), None)
            if found is None and self.processes[-1].poll() is not None:
                raise AssertionError(f"lastack of {self.name} ended while {what} was awaited: {self.said()}")
            time.sleep(LOOK_EVERY_SECONDS)
            return found

        try:
            return waiting.wait_until(look, within=WITHIN, what=what)
        except AssertionError as late:
            told = "\n".join(f"{e['seq']} {e['at']} {e['kind']} {e['text']}" for e in self.entries())
            raise AssertionError(f"{self.name}: {late}\n{told}\n{self.said()}") from None

    def said(self) -> str:
        """The end of lastack's own log."""
        return self.log.read_text()[-2000:]

    def show(self, at: int, what: str) -> str:
        """One property of an instance, as systemctl says it."""
        return self.box.run(
            ["systemctl", "show", "--value", f"--property={what}", self.units[at]]
        ).stdout.strip()

    def wait_for_state(self, wanted: Callable[[], bool], what: str) -> None:
        """Wait until something that is not in the ledger is so."""

        def look() -> bool:
            found = wanted()
            if not found:
                time.sleep(LOOK_EVERY_SECONDS)
            return found

        waiting.wait_until(look, within=WITHIN, what=f"{what} of {self.name}")

    def life(self, at: int = 0) -> str:
        """The InvocationID of an instance."""
        return self.show(at, "InvocationID")

    def starts(self, at: int = 0) -> int:
        """How often systemd has started an instance, by its own journal."""
        words = ["journalctl", "--output=cat", f"--unit={self.units[at]}"]
        return sum(line.startswith("Started ") for line in self.box.run(words).stdout.splitlines())

    def ask(self, *words: str) -> str:
        """What another command of lastack prints about this state directory; it must succeed."""
        return self.box.run([PROGRAM, *words, "--state-dir", self.inside_state]).stdout

    def evidence(self) -> list[pathlib.Path]:
        """Every evidence file."""
        return sorted(path for path in (self.state / "evidence").rglob("*") if path.is_file())

    def clear(self) -> None:
        """End what runs; the box takes the rest with it."""
        self.get_well()
        if self.reader is not None:
            with self.reader as reader:
                reader.kill()
            self.reader = None
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.box.run(["systemctl", "stop", "--no-block", *self.units])


def kill(process: boxes.InsideProcess) -> None:
    """SIGKILL to lastack itself, at once, and wait for its end."""
    os.kill(process.program_pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def made(box: boxes.Box, *stages: Bed) -> Iterator[None]:
    """Lay every bed with one reload of systemd: a reload that is due later would hold the restarts."""
    for bed in stages:
        bed.lay()
    box.run(["systemctl", "daemon-reload"])
    try:
        yield
    finally:
        for bed in stages:
            bed.clear()
