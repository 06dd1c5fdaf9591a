"""One supervised member through its lives: started, asked to stop, killed, started again; for `supervisor`.

Nothing here waits: the supervisor's loop calls `reaped` and `tick`, and sleeps until `deadline`.

    RUNNING --replace, stop--> STOPPING --main process reaped, grace over--> SWEEPING (SIGKILL to group)
    RUNNING --main process dies--> SWEEPING --group empty--> RUNNING (next life) | BACKOFF | DOWN
    BACKOFF --time--> RUNNING
"""

import contextlib
import dataclasses
import enum
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

from lastack.engine import samples
from lastack.hosts.supervised import janitors, specs
from lastack.kernel import procfs

_SWEEP_SECONDS = 0.02
_LONGEST_BACKOFF_SECONDS = 10.0
_STEADY_SECONDS = 10.0


class Phase(enum.Enum):
    """Where a member is."""

    RUNNING = "running"
    STOPPING = "stopping"
    SWEEPING = "killing what is left"
    BACKOFF = "waiting to start again"
    DOWN = "down"


class _Next(enum.Enum):
    START = enum.auto()
    BACKOFF = enum.auto()
    STAY_DOWN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """One life: `incarnation` is "PID@STARTED", seconds since boot at which the process began."""

    pid: int
    incarnation: str
    since: float
    process: subprocess.Popen[bytes]


class Supervised:
    """One member. `now` is time.monotonic() in seconds, given by the caller."""

    def __init__(self, spec: specs.MemberSpec, log: pathlib.Path, janitor: janitors.Janitor) -> None:
        """Nothing runs yet: call start()."""
        self.spec = spec
        self._log = log
        self._janitor = janitor
        self._phase = Phase.DOWN
        self._life: Life | None = None
        self._next = _Next.STAY_DOWN
        self._wake: float | None = None
        self._why = "not started yet"
        self._step: str | None = None
        self._starts = 0
        self._restarts = 0
        self._main_reaped = True

    @property
    def down(self) -> bool:
        """Whether nothing of it runs and nothing will."""
        return self._phase is Phase.DOWN

    @property
    def deadline(self) -> float | None:
        """When tick() has something to do."""
        return self._wake

    def start(self, now: float) -> None:
        """Begin a life; a program that cannot be started leaves the member down, with the reason."""
        argv, env = self.spec.argv, {**os.environ, **self.spec.env}
        self._step, self._wake = None, None
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=env,
                    cwd=self.spec.cwd,
                    start_new_session=True,
                )
        except OSError as problem:
            self._phase, self._life, self._why = Phase.DOWN, None, f"cannot start {argv[0]}: {problem}"
            return
        self._janitor.announce(process.pid)
        self._main_reaped = False
        self._starts += 1
        self._life = Life(process.pid, _incarnation(process.pid), now, process)
        self._phase = Phase.RUNNING

    def replace(self, expected: str, step: str, now: float) -> dict[str, Any]:
        """Ask for the end of `expected` and a new life; {"result": begun | already | refused, ...}."""
        if self._life is None or self._life.incarnation != expected:
            return {"result": "already", "incarnation": self._life.incarnation if self._life else None}
        if self._phase is Phase.RUNNING:
            self._step = step
            self._terminate(now, _Next.START)
            return {"result": "begun"}
        if self._step == step:
            return {"result": "begun"}
        return {"result": "refused", "text": f"{self.spec.name} is {self._phase.value} already: {self._why}"}

    def progress(self, expected: str) -> dict[str, Any]:
        """How far the replacement is; {"result": waiting | replaced | failed | untouched, ...}."""
        if self._phase is Phase.RUNNING and self._life is not None:
            if self._life.incarnation == expected:
                text = (
                    f"{self.spec.name} still runs in its old life (pid {self._life.pid}), nobody replaces it"
                )
                return {"result": "untouched", "text": text}
            return {"result": "replaced", "incarnation": self._life.incarnation}
        if self._phase is Phase.DOWN or (self._phase is Phase.SWEEPING and self._next is _Next.STAY_DOWN):
            return {"result": "failed", "text": f"{self.spec.name} is down: {self._why}"}
        return {"result": "waiting", "text": f"{self.spec.name} is {self._phase.value}: {self._why}"}

    def state(self, now: float) -> dict[str, Any]:
        """The member as JSON: name, pid, incarnation, ageMs, running, changing, restarts, text."""
        life = self._life
        ports = f" for port {', '.join(map(str, self.spec.ports))}" if self.spec.ports else ""
        running = self._phase is Phase.RUNNING and life is not None
        return {
            "name": self.spec.name,
            "pid": life.pid if life else None,
            "incarnation": life.incarnation if life else None,
            "ageMs": int((now - life.since) * 1000) if life else None,
            "running": running,
            "changing": f"step {self._step} replaces it" if self._step else None,
            "starts": self._starts,
            "text": f"running{ports}" if running else f"{self._phase.value}: {self._why}",
        }

    def stop(self, now: float) -> None:
        """Ask for the end, for good."""
        match self._phase:
            case Phase.RUNNING:
                self._terminate(now, _Next.STAY_DOWN)
            case Phase.STOPPING | Phase.SWEEPING:
                self._next = _Next.STAY_DOWN
            case Phase.BACKOFF:
                self._phase, self._wake = Phase.DOWN, None
            case Phase.DOWN:
                pass

    def kill(self, now: float) -> None:
        """End it for good, without grace."""
        self.stop(now)
        if self._phase is Phase.STOPPING:
            self._sweep(now)

    def reaped(self, pid: int, status: int, now: float) -> None:
        """A child was reaped; it may be this member's main process."""
        if self._life is None or pid != self._life.pid or self._main_reaped:
            return
        self._main_reaped = True
        code = os.waitstatus_to_exitcode(status)
        self._life.process.returncode = code
        end = f"ended with status {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
        if self._phase is Phase.RUNNING:
            self._why = f"pid {pid} {end} by itself"
            self._next = self._after_own_death(code, now - self._life.since)
        self._sweep(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._wake is None or now < self._wake:
            return
        match self._phase:
            case Phase.STOPPING:
                self._why += f"; SIGKILL after {self.spec.grace_ms} ms"
                self._sweep(now)
            case Phase.SWEEPING:
                self._sweep(now)
            case Phase.BACKOFF:
                self.start(now)
            case Phase.RUNNING | Phase.DOWN:
                self._wake = None

    def _terminate(self, now: float, following: _Next) -> None:
        assert self._life is not None  # noqa: S101 - the phase RUNNING means that there is one
        self._next = following
        self._phase, self._wake = Phase.STOPPING, now + self.spec.grace_ms / 1000
        self._why = f"SIGTERM sent to pid {self._life.pid}"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._life.pid, signal.SIGTERM)

    def _sweep(self, now: float) -> None:
        """Kill the group until nothing of it is left: its port must be free before the next life."""
        assert self._life is not None  # noqa: S101 - only a life leaves something behind
        self._phase, self._wake = Phase.SWEEPING, now + _SWEEP_SECONDS
        # Its processes are reaped by this one (a child subreaper), so an empty group is an empty group.
        try:
            os.killpg(self._life.pid, signal.SIGKILL)
        except ProcessLookupError:
            if self._main_reaped:
                self._ended(now)
        except PermissionError:
            self._why += "; what is left belongs to another user and cannot be killed"

    def _ended(self, now: float) -> None:
        assert self._life is not None  # noqa: S101 - see _sweep
        self._janitor.take_back(self._life.pid)
        match self._next:
            case _Next.START:
                self.start(now)
            case _Next.BACKOFF:
                backoff = min(
                    self.spec.backoff_ms / 1000 * 2 ** (self._restarts - 1), _LONGEST_BACKOFF_SECONDS
                )
                self._phase, self._wake, self._life = Phase.BACKOFF, now + backoff, None
            case _Next.STAY_DOWN:
                self._phase, self._wake, self._life, self._step = Phase.DOWN, None, None, None

    def _after_own_death(self, code: int, lived: float) -> _Next:
        if self.spec.restart == "no" or code == 0:
            return _Next.STAY_DOWN
        if lived >= _STEADY_SECONDS:
            self._restarts = 0
        if self._restarts >= self.spec.restart_limit:
            self._why += f"; {self._restarts} restarts did not help, it stays down"
            return _Next.STAY_DOWN
        self._restarts += 1
        return _Next.BACKOFF


def _incarnation(pid: int) -> str:
    """The text by which a life is compared: pid and start since boot, in hundredths of a second."""
    facts = procfs.process(pid)
    if isinstance(facts, samples.Missing):
        # Not reaped yet, so it is in /proc; where that is hidden, the clock tells lives apart as well.
        return f"{pid}@{time.clock_gettime(time.CLOCK_BOOTTIME):.2f}"
    return f"{pid}@{facts.started.total_seconds():.2f}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
