"""Small stand-ins for the ports that executors use, and the steps that the tests bring; no claims here."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence

from lastack import ports
from lastack.engine import actions, censuses, instants, outcomes, reasons, samples
from lastack.kernel import netns
from lastack.policy import valid, vocabulary
from tests import waiting

WITHIN = dt.timedelta(seconds=20)
TARGET = valid.SupervisedTarget("demo")
MEMBER = actions.MemberName("a")
LIFE = actions.Incarnation("1@1.00")


class RealClock:
    """The machine's clocks."""

    def now(self) -> instants.Now:
        """The instant."""
        steady = dt.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))
        return instants.Now(dt.datetime.now(dt.UTC), steady, "boot")


class KeptEvidence:
    """An evidence store in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def keep(self, incident: str, name: str, content: bytes, what: str) -> outcomes.EvidenceFile:
        """Write the file."""
        (self.folder / name).write_bytes(content)
        return outcomes.EvidenceFile(name, len(content), hashlib.sha256(content).hexdigest(), what)


class OneMemberHost:
    """A host with one member, whose life the test may change."""

    def __init__(self, *pids: int, incarnation: actions.Incarnation | None = LIFE) -> None:
        self.pids = tuple(samples.Pid(pid) for pid in pids)
        self.incarnation = incarnation

    def members(self, target: valid.Target) -> censuses.Census:
        """The member."""
        main = self.pids[0] if self.pids else None
        running = self.incarnation is not None
        member = censuses.Member(
            MEMBER, self.incarnation, self.pids, main, running, dt.timedelta(hours=1), "running"
        )
        return censuses.Census((member,))

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
        """Never."""
        return ports.HostRefused(reasons.Reason.START_LIMIT, "5 starts in 10 s")

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
        """Never."""
        return ports.ReplacementFailed("nobody asked")

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Never."""
        return False


class ScriptedProber:
    """Gives the answers in their order, the last one for ever."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[samples.ListenerAddress, ...]] = []

    def ask(
        self, member: censuses.Member, probe: valid.HttpProbe, listeners: Sequence[samples.ListenerAddress]
    ) -> tuple[bool, str]:
        """The next answer."""
        self.asked.append(tuple(listeners))
        passed = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return passed, "200 in 1 ms" if passed else "503 in 1 ms"


class PortsSampler:
    """Says that whoever is asked for listens on these ports."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def look(self, selection: ports.Selection) -> samples.Sample:
        """The listeners."""
        now = RealClock().now()
        return samples.Sample(now, tuple(_look(now, number) for number in self.numbers))

    def glance(self, selection: ports.Selection) -> None:
        """Nothing waits here."""

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """Always the same."""
        return 1


def _look(now: instants.Now, port: int) -> samples.Look:
    none = array("Q")
    listener = samples.ListenerSample(
        address=samples.ListenerAddress("127.0.0.1", port, "inet"),
        cookie=port,
        depth=0,
        limit=128,
        drops=0,
        queued=samples.QueuedRows(none, none),
        close_wait=samples.CloseWaitRows(none, none, none, none, none),
        vanished_open=0,
        established=0,
        syn_received=0,
        reuseport=False,
        peers=(),
        peers_omitted=0,
    )
    return samples.Look(now, listener, samples.Owner(None, ()), samples.NamespaceSample(1, {}, {}))


def step_of(
    work: actions.Work, *, step: str = "step-1", expected: actions.Incarnation = LIFE, member: str = MEMBER
) -> actions.Step:
    """A step of the demo's target in enforce."""
    return actions.Step(
        id=actions.StepId(step),
        incident=actions.IncidentId("incident-1"),
        target=TARGET,
        target_name="demo",
        member=actions.MemberName(member),
        expected=expected,
        stage=valid.StageName("stage"),
        mode=vocabulary.Mode.ENFORCE,
        work=work,
    )


def dump_series(*pids: int, count: int = 3, every_ms: int = 100) -> actions.DumpSeries:
    """A short series."""
    settings = valid.ThreadDump(
        count, dt.timedelta(milliseconds=every_ms), dt.timedelta(milliseconds=500), dt.timedelta(seconds=60)
    )
    return actions.DumpSeries(settings, tuple(samples.Pid(pid) for pid in pids))


def replacement(
    *, probe: valid.HttpProbe | None = None, on: frozenset[int] = frozenset(), ready_ms: int = 20_000
) -> actions.Replacement:
    """A replacement that is ready within `ready_ms`."""
    settings = valid.RollingRestart(dt.timedelta(milliseconds=ready_ms), dt.timedelta(0))
    return actions.Replacement(settings, probe, on)


PROBE = valid.HttpProbe("/health", ((200, 399),), dt.timedelta(seconds=1))


def carried(executor: ports.Executor, step: actions.Step) -> outcomes.Outcome:
    """Begin the step and poll it to its end."""
    found = executor.begin(step)
    deadline = time.monotonic() + WITHIN.total_seconds()
    while isinstance(found, outcomes.Running):
        assert time.monotonic() < deadline, found.text
        time.sleep(0.01)
        found = executor.poll(step)
    return found


@contextlib.contextmanager
def running_python(code: str, *, said: str = "up") -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has said `said`; killed with its whole group at the end."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert said == process.stdout.readline().decode().strip()
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A process in a network namespace of its own."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.process.pid

    @property
    def namespace(self) -> int:
        """The inode of its namespace."""
        return netns.identify(netns.path_of(self.pid)).inode


@contextlib.contextmanager
def neighbour() -> Iterator[Neighbour]:
    """A process in a fresh network namespace, which ends with it. Needs root, or user namespaces."""
    own = netns.own().inode
    with subprocess.Popen(
        ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-n", "sleep", "600"]
    ) as process:
        try:
            waiting.wait_until(
                lambda: netns.identify(netns.path_of(process.pid)).inode != own, within=WITHIN, what="unshare"
            )
            yield Neighbour(process)
        finally:
            process.kill()
