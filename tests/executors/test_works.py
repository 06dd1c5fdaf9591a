"""The pool that carries steps: at most once, promptly, and never brought down by one of them."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable

import pytest

from lastack import errors, ports
from lastack.engine import actions, censuses, outcomes, samples, standings
from lastack.executors import works
from lastack.policy import valid
from tests import waiting
from tests.executors import worlds

Found = outcomes.Running | outcomes.Outcome
DONE = outcomes.Succeeded("done")
RUNNING = outcomes.Running("still going")
UNTOUCHED = outcomes.NotHappened("as before")


class Scripted:
    """An executor that answers from a script: values are returned, exceptions raised, callables called."""

    def __init__(
        self,
        *script: Found | Exception | Callable[[], Found],
        world: outcomes.Reconciled | errors.WorldError = UNTOUCHED,
    ) -> None:
        self.script = list(script)
        self.world = world
        self.calls: list[str] = []

    def begin(self, step: actions.Step) -> Found:
        """The first answer."""
        return self._next("begin")

    def poll(self, step: actions.Step) -> Found:
        """The next answer, the last one for ever."""
        return self._next("poll")

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """The world."""
        if isinstance(self.world, errors.WorldError):
            raise self.world
        return self.world

    def _next(self, call: str) -> Found:
        self.calls.append(call)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class Keeper:
    """Gives back, or raises."""

    def __init__(self, answer: works.Restored | Exception = DONE) -> None:
        self.answer = answer
        self.held = threading.Event()
        self.held.set()

    def restore(self, lease: standings.Lease) -> works.Restored:
        """The answer, once it is let go."""
        assert self.held.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    """Works over scripted parts, with the defects that were reported."""

    def __init__(self, executor: ports.Executor, prober: ports.Prober | None = None) -> None:
        self.defects: list[str] = []
        self.keeper = Keeper()
        self.works = works.Works(
            lambda _: executor,
            prober or worlds.ScriptedProber(True),
            self.keeper,
            worlds.RealClock(),
            lambda what, defect: self.defects.append(f"{what}: {defect!r}"),
        )

    def end_of(self, step: actions.Step) -> outcomes.Outcome:
        """Wait for the outcome of the one step that was begun."""
        ((ended, outcome),) = waiting.wait_until(self.works.finished, within=worlds.WITHIN, what="an outcome")
        assert step == ended
        return outcome


STEP = worlds.step_of(worlds.replacement())


def test_a_step_is_begun_once_and_polled_until_its_outcome() -> None:
    """begin, then poll, in that order; the outcome comes back by the queue, once."""
    executor = Scripted(RUNNING, RUNNING, DONE)
    world = World(executor)
    assert world.works.begin(STEP)
    assert DONE == world.end_of(STEP)
    assert ["begin", "poll", "poll"] == executor.calls
    assert {} == world.works.running()
    assert [] == world.works.finished()


def test_a_step_id_is_taken_on_once() -> None:
    """Also after its end: nothing is done twice."""
    executor = Scripted(DONE)
    world = World(executor)
    assert world.works.begin(STEP)
    assert not world.works.begin(STEP)
    world.end_of(STEP)
    assert not world.works.begin(STEP)
    assert not world.works.resume(STEP)
    assert ["begin"] == executor.calls


def test_a_resumed_step_is_only_polled() -> None:
    """What runs since before a crash is not begun again."""
    executor = Scripted(RUNNING, DONE)
    world = World(executor)
    assert world.works.resume(STEP)
    assert DONE == world.end_of(STEP)
    assert ["poll", "poll"] == executor.calls


def test_begin_returns_at_once_and_running_says_what_is_awaited() -> None:
    """The tick never waits for a target."""
    gate = threading.Event()

    def held() -> Found:
        assert gate.wait(20)
        return DONE

    world = World(Scripted(outcomes.Running("for the gate"), held))
    began = time.monotonic()
    world.works.begin(STEP)
    assert time.monotonic() - began < 0.1
    waiting.wait_until(
        lambda: world.works.running() == {STEP.id: "for the gate"}, within=worlds.WITHIN, what="its text"
    )
    gate.set()
    assert DONE == world.end_of(STEP)


def test_many_waiting_steps_hold_up_nothing() -> None:
    """A step that waits occupies no thread: three times as many as there are threads, and one more still ends."""
    waiting_executor = Scripted(RUNNING)
    quick = Scripted(DONE)
    last = worlds.step_of(worlds.replacement(), step="last")
    many = works.Works(
        lambda step: quick if step == last else waiting_executor,
        worlds.ScriptedProber(True),
        Keeper(),
        worlds.RealClock(),
        lambda *_: None,
    )
    for number in range(3 * works.THREADS):
        many.begin(worlds.step_of(worlds.replacement(), step=f"step-{number}"))
    many.begin(last)
    assert [(last, DONE)] == waiting.wait_until(many.finished, within=worlds.WITHIN, what="the last")
    assert 3 * works.THREADS == len(many.close(dt.timedelta(seconds=5)))


@pytest.mark.parametrize(
    ("script", "world_says", "expected"),
    [
        (
            [errors.NotPermitted("no right", fix="be root")],
            outcomes.NotHappened("as before"),
            outcomes.Failed("no right; be root", happened=False),
        ),
        (
            [errors.NotReachable("no answer")],
            outcomes.Happened("a new life", actions.Incarnation("2@2.00")),
            outcomes.Failed("no answer", happened=True, incarnation=actions.Incarnation("2@2.00")),
        ),
        (
            [errors.NotReachable("no answer")],
            outcomes.Unknowable("gone"),
            outcomes.Failed("no answer; gone", happened=True),
        ),
        (
            [errors.NotReachable("no answer")],
            errors.NotReachable("still none"),
            outcomes.Failed("no answer", happened=True),
        ),
        ([errors.Transient("late"), DONE], outcomes.Running("it runs"), DONE),
        ([RUNNING, errors.Transient("late"), DONE], outcomes.NotHappened("as before"), DONE),
    ],
)
def test_the_worlds_failures_become_outcomes(
    script: list[Found | Exception],
    world_says: outcomes.Reconciled | errors.WorldError,
    expected: outcomes.Outcome,
) -> None:
    """A call that failed may have worked all the same: the world is asked before an outcome is written."""
    world = World(Scripted(*script, world=world_says))
    world.works.begin(STEP)
    assert expected == world.end_of(STEP)
    assert [] == world.defects


def test_a_defect_is_reported_and_ends_only_its_own_step() -> None:
    """The others go on, and the record says whose fault it was."""
    world = World(Scripted(ValueError("oops"), DONE))
    world.works.begin(STEP)
    assert outcomes.Failed("a defect of lastack: ValueError: oops", happened=True) == world.end_of(STEP)
    assert [f"step {STEP.id}: ValueError('oops')"] == world.defects
    other = worlds.step_of(worlds.replacement(), step="step-2")
    world.works.begin(other)
    assert DONE == world.end_of(other)


def request(life: str = "1@1.00") -> ports.ProbeRequest:
    """A question to the member a."""
    incarnation = actions.Incarnation(life)
    member = censuses.Member(worlds.MEMBER, incarnation, (), None, ready=True, age=None, state="running")
    address = samples.ListenerAddress("127.0.0.1", 8080, "inet")
    return ports.ProbeRequest("demo", member, incarnation, worlds.PROBE, (address,))


def test_an_answer_names_the_life_that_was_asked() -> None:
    """A probe of an older life proves nothing about the next."""
    world = World(Scripted(DONE), worlds.ScriptedProber(False))
    assert world.works.ask(request())
    ((asked, answer),) = waiting.wait_until(world.works.answers, within=worlds.WITHIN, what="an answer")
    assert request() == asked
    assert ("1@1.00", False, "503 in 1 ms") == (answer.incarnation, answer.passed, answer.text)
    assert world.works.ask(request())


class FailingProber:
    """Raises."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    def ask(self, *_: object) -> tuple[bool, str]:
        """Never answers."""
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (errors.NotReachable("refused"), "refused"),
        (ValueError("oops"), "a defect of lastack: ValueError: oops"),
    ],
)
def test_a_probe_that_fails_is_an_answer(problem: Exception, text: str) -> None:
    """Nobody waits for ever, and the member can be asked again."""
    world = World(Scripted(DONE), FailingProber(problem))
    world.works.ask(request())
    ((_, answer),) = waiting.wait_until(world.works.answers, within=worlds.WITHIN, what="an answer")
    assert (False, text) == (answer.passed, answer.text)


LEASE = standings.Lease(
    namespace=1,
    boot_id="boot",
    name="net.core.somaxconn",
    original="128",
    desired="4096",
    observed="4096",
    pid=1,
    scope="member",
    policy=valid.PolicyName("demo"),
    incident=actions.IncidentId("incident-1"),
    step=actions.StepId("step-1"),
    since=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
    until=None,
)


def test_a_lease_is_given_back_once_at_a_time() -> None:
    """A second request while the first runs is none; afterwards it may be tried again."""
    world = World(Scripted(DONE))
    world.keeper.held.clear()
    assert world.works.restore(LEASE)
    assert not world.works.restore(LEASE)
    world.keeper.held.set()
    assert [(LEASE, DONE)] == waiting.wait_until(world.works.restored, within=worlds.WITHIN, what="a result")
    assert world.works.restore(LEASE)


@pytest.mark.parametrize("problem", [errors.NotReachable("gone"), ValueError("oops")])
def test_a_restore_that_raises_stays_owed(problem: Exception) -> None:
    """Failed and not happened: the lease is still held."""
    world = World(Scripted(DONE))
    world.keeper.answer = problem
    world.works.restore(LEASE)
    ((_, found),) = waiting.wait_until(world.works.restored, within=worlds.WITHIN, what="a result")
    assert isinstance(found, outcomes.Failed)
    assert not found.happened


def test_closing_is_prompt_and_names_what_has_no_outcome() -> None:
    """SIGTERM ends within 5 s between steps; the intents are reconciled at the next start."""
    executor = Scripted(RUNNING)
    world = World(executor)
    world.works.begin(STEP)
    waiting.wait_until(lambda: "poll" in executor.calls, within=worlds.WITHIN, what="a poll")
    began = time.monotonic()
    assert (STEP.id,) == world.works.close(dt.timedelta(seconds=5))
    assert time.monotonic() - began < 1
    calls = len(executor.calls)
    assert not world.works.begin(worlds.step_of(worlds.replacement(), step="late"))
    assert not world.works.ask(request())
    assert not world.works.restore(LEASE)
    assert calls == len(executor.calls)


def test_a_call_that_hangs_does_not_hold_up_the_end() -> None:
    """The wait is bounded: a stuck executor is left to the end of the process."""
    gate = threading.Event()

    def held() -> Found:
        gate.wait(20)
        return DONE

    world = World(Scripted(held))
    world.works.begin(STEP)
    began = time.monotonic()
    assert (STEP.id,) == world.works.close(dt.timedelta(milliseconds=300))
    assert time.monotonic() - began < 2
    gate.set()
