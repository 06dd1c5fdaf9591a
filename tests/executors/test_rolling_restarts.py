"""Replacing a member and waiting until it is ready, over the real supervisor."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from collections.abc import Iterator

import pytest

from lastack import ports
from lastack.engine import actions, outcomes, reasons, samples
from lastack.executors import rolling_restarts
from lastack.hosts.supervised import host, launches, specs
from tests import waiting
from tests.contracts import executor_contract
from tests.executors import worlds

WAIT = (
    "import pathlib, sys, time\n"
    "pathlib.Path(sys.argv[0]).with_suffix('.first').touch()\n"
    "while True: time.sleep(60)"
)


class Stage:
    """A supervisor with one member `a`, and executors over it."""

    def __init__(self, socket: pathlib.Path) -> None:
        self.host = host.SupervisedHost("demo", socket)

    @property
    def life(self) -> actions.Incarnation:
        """The member's life now."""
        member = self.host.members(worlds.TARGET).member(worlds.MEMBER)
        assert member is not None
        assert member.incarnation is not None
        return member.incarnation

    def restarter(
        self, prober: ports.Prober | None = None, sampler: ports.Sampler | None = None
    ) -> rolling_restarts.RollingRestarter:
        """A new instance, that remembers nothing."""
        return rolling_restarts.RollingRestarter(
            lambda _: self.host,
            prober or worlds.ScriptedProber(True),
            sampler or worlds.PortsSampler(8080),
            worlds.RealClock(),
        )


@pytest.fixture
def program(tmp_path: pathlib.Path) -> pathlib.Path:
    """What the member runs; a test may change it between two lives."""
    path = tmp_path / "member.py"
    path.write_text(WAIT)
    return path


@pytest.fixture
def stage(tmp_path: pathlib.Path, program: pathlib.Path) -> Iterator[Stage]:
    """A running supervisor."""
    member = specs.MemberSpec(worlds.MEMBER, (sys.executable, str(program)), grace_ms=2000)
    with launches.launched(tmp_path, (member,)) as socket:
        # A test may change the program: not before the first life has read it.
        first = program.with_suffix(".first")
        waiting.wait_until(first.exists, within=worlds.WITHIN, what="the member's first life")
        yield Stage(socket)


class RestartBed:
    """A member that can be replaced."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.step = worlds.step_of(worlds.replacement(), expected=stage.life)
        self.stale = worlds.step_of(worlds.replacement(), expected=worlds.LIFE)
        self.leaves_traces = True

    def executor(self) -> ports.Executor:
        """A new instance."""
        return self._stage.restarter()


class TestRollingRestartsKeepTheContract(executor_contract.ExecutorContract):
    """The claims of every executor, on the real supervisor."""

    @pytest.fixture
    def bed(self, stage: Stage) -> executor_contract.Bed:
        """A fresh supervisor."""
        return RestartBed(stage)


def test_ready_means_that_the_probe_passes(stage: Stage) -> None:
    """The new life is not enough: it is asked until it answers, at the ports of the policy."""
    before = stage.life
    prober = worlds.ScriptedProber(False, False, True)
    work = worlds.replacement(probe=worlds.PROBE, on=frozenset({8080}))
    found = worlds.carried(stage.restarter(prober), worlds.step_of(work, expected=before))
    assert isinstance(found, outcomes.Succeeded)
    assert stage.life == found.incarnation != before
    assert [(samples.ListenerAddress("127.0.0.1", 8080, "inet"),)] * 3 == prober.asked
    assert "200 in 1 ms" in found.text


def test_without_a_probe_ready_means_that_the_ports_listen(stage: Stage) -> None:
    """A process that runs and does not listen serves nobody."""
    sampler = worlds.PortsSampler()
    restarter = stage.restarter(sampler=sampler)
    step = worlds.step_of(worlds.replacement(on=frozenset({8080})), expected=stage.life)
    assert isinstance(restarter.begin(step), outcomes.Running)

    def said() -> bool:
        found = restarter.poll(step)
        assert isinstance(found, outcomes.Running)
        return "does not listen on port 8080 yet" in found.text

    waiting.wait_until(said, within=worlds.WITHIN, what="the new life")
    sampler.numbers = [8080]
    assert isinstance(restarter.poll(step), outcomes.Succeeded)


def test_a_member_that_is_not_ready_in_time_is_a_failure_that_happened(stage: Stage) -> None:
    """The old life is over, the new one is named, and the last answer is told."""
    work = worlds.replacement(probe=worlds.PROBE, on=frozenset({8080}), ready_ms=600)
    step = worlds.step_of(work, expected=stage.life)
    found = worlds.carried(stage.restarter(worlds.ScriptedProber(False)), step)
    assert isinstance(found, outcomes.Failed)
    assert found.happened
    assert stage.life == found.incarnation
    assert "not ready within 600ms" in found.text
    assert "503 in 1 ms" in found.text


def test_a_member_that_does_not_come_back_is_a_failure_that_happened(
    stage: Stage, program: pathlib.Path
) -> None:
    """The reason is the host's own."""
    step = worlds.step_of(worlds.replacement(on=frozenset({8080})), expected=stage.life)
    program.write_text("raise SystemExit(3)")
    found = worlds.carried(stage.restarter(sampler=worlds.PortsSampler()), step)
    assert isinstance(found, outcomes.Failed)
    assert found.happened
    assert "ended with status 3" in found.text


def test_a_refusal_of_the_host_is_passed_on() -> None:
    """StartLimit and its like are reasons, not failures."""
    lonely = worlds.OneMemberHost(1)
    restarter = rolling_restarts.RollingRestarter(
        lambda _: lonely, worlds.ScriptedProber(True), worlds.PortsSampler(), worlds.RealClock()
    )
    found = restarter.begin(worlds.step_of(worlds.replacement()))
    assert outcomes.Refused(reasons.Reason.START_LIMIT, "5 starts in 10 s") == found


def test_what_runs_after_a_crash_is_followed_by_a_new_instance(stage: Stage, program: pathlib.Path) -> None:
    """kill -9 of lastack in the middle: reconcile says Running, poll goes on, nothing is begun again."""
    up = program.with_name("up")
    code = "import pathlib, signal, time\ndef end(*_): time.sleep(0.7); raise SystemExit\n"
    code += f"signal.signal(signal.SIGTERM, end)\npathlib.Path({str(up)!r}).touch()\n"
    program.write_text(code + WAIT)
    first = worlds.carried(stage.restarter(), worlds.step_of(worlds.replacement(), expected=stage.life))
    assert isinstance(first, outcomes.Succeeded)
    waiting.wait_until(up.exists, within=worlds.WITHIN, what="the handler of SIGTERM")
    step = worlds.step_of(worlds.replacement(), step="step-2", expected=stage.life)
    stage.restarter().begin(step)
    after_the_crash = stage.restarter()
    assert isinstance(after_the_crash.reconcile(step), outcomes.Running)
    ended = waiting.wait_until(
        lambda: None if isinstance(found := after_the_crash.poll(step), outcomes.Running) else found,
        within=worlds.WITHIN,
        what="the end of the step",
    )
    assert isinstance(ended, outcomes.Succeeded)
    assert stage.life == ended.incarnation


def test_reconcile_tells_a_crash_of_the_member_from_the_old_life(stage: Stage) -> None:
    """The expected life is over and nothing runs: it happened, and there is no new life to name."""
    step = worlds.step_of(worlds.replacement(), expected=stage.life)
    os.kill(int(stage.life.split("@")[0]), signal.SIGKILL)
    waiting.wait_until(
        lambda: isinstance(stage.restarter().reconcile(step), outcomes.Happened),
        within=worlds.WITHIN,
        what="the end of the life",
    )
    found = stage.restarter().reconcile(step)
    assert isinstance(found, outcomes.Happened)
    assert found.incarnation is None
