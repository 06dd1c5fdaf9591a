"""What runs: steps, probes and restores, carried to their ends by a bounded pool of threads. Called by loop.

A step occupies a thread only while its executor begins or polls, never while it waits, so a long rollout holds up
nothing else. Results come back by queues; nothing here decides.
"""

import datetime as dt
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from lastack import errors, ports
from lastack.engine import actions, outcomes, probes, standings
from lastack.executors import pools

POLL_EVERY = dt.timedelta(milliseconds=200)
THREADS = 4
MOST_FAILURES = 50
"""Calls in a row that may fail while the world says that the step runs on: 10 s, the restart of a bus."""

Restored = ports.Restored
ReportDefect = Callable[[str, Exception], None]

_T = TypeVar("_T")


class Works:
    """begin, resume, ask and restore return at once; finished, answers and restored give what is done."""

    def __init__(
        self,
        executor_of: Callable[[actions.Step], ports.Executor],
        prober: ports.Prober,
        keeper: ports.LeaseKeeper,
        clock: ports.Clock,
        report_defect: ReportDefect,
    ) -> None:
        """`executor_of` is bootstrap's table; `report_defect` logs what only a defect of lastack can raise."""
        self._executor_of = executor_of
        self._prober = prober
        self._keeper = keeper
        self._clock = clock
        self._report_defect = report_defect
        self._pool = pools.Pool(THREADS, POLL_EVERY)
        self._lock = threading.Lock()
        self._begun: set[actions.StepId] = set()
        self._running: dict[actions.StepId, str] = {}
        self._asking: set[tuple[str, actions.MemberName]] = set()
        self._restoring: set[tuple[int, str, str]] = set()
        self._finished: queue.SimpleQueue[tuple[actions.Step, outcomes.Outcome]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[ports.ProbeRequest, probes.ProbeResult]] = queue.SimpleQueue()
        self._restored: queue.SimpleQueue[tuple[standings.Lease, Restored]] = queue.SimpleQueue()

    def begin(self, step: actions.Step) -> bool:
        """Carry the step out; False when a step of this id was begun or resumed before: nothing is done twice."""
        return self._take_on(step, _Carrier(self._executor_of(step), step, self._report_defect), "begins")

    def resume(self, step: actions.Step) -> bool:
        """Follow a step that runs since before a crash, without beginning it again."""
        carrier = _Carrier(self._executor_of(step), step, self._report_defect, begun=True)
        return self._take_on(step, carrier, "is followed again")

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """Ask the world about a step whose outcome was never written; what cannot be asked is not known."""
        try:
            return self._executor_of(step).reconcile(step)
        except errors.WorldError as problem:
            return outcomes.Unknowable(problem.sentence)

    def running(self) -> dict[actions.StepId, str]:
        """What each step that has not ended waits for."""
        with self._lock:
            return dict(self._running)

    def finished(self) -> list[tuple[actions.Step, outcomes.Outcome]]:
        """Steps that ended since the last call, in the order of their ends."""
        return _drained(self._finished)

    def ask(self, request: ports.ProbeRequest) -> bool:
        """Ask a member; False while it is being asked already."""
        key = (request.target, request.member.name)
        with self._lock:
            if key in self._asking or self._pool.closing:
                return False
            self._asking.add(key)
        self._pool.call(lambda: self._ask(request, key))
        return True

    def answers(self) -> list[tuple[ports.ProbeRequest, probes.ProbeResult]]:
        """Answers to probes since the last call."""
        return _drained(self._answers)

    def restore(self, lease: standings.Lease) -> bool:
        """Give a lease back; False while it is being given back already."""
        key = (lease.namespace, lease.boot_id, lease.name)
        with self._lock:
            if key in self._restoring or self._pool.closing:
                return False
            self._restoring.add(key)
        self._pool.call(lambda: self._restore(lease, key))
        return True

    def restored(self) -> list[tuple[standings.Lease, Restored]]:
        """Leases that lastack tried to give back since the last call."""
        return _drained(self._restored)

    def close(self, within: dt.timedelta) -> tuple[actions.StepId, ...]:
        """Begin and poll nothing more, and wait for the calls that run.

        Gives the steps without an outcome: their intents are in the ledger and are reconciled at the next start.
        """
        self._pool.close(within)
        return tuple(sorted(self.running()))

    def _take_on(self, step: actions.Step, carrier: "_Carrier", text: str) -> bool:
        with self._lock:
            if step.id in self._begun or self._pool.closing:
                return False
            self._begun.add(step.id)
            self._running[step.id] = f"{step.kind.value} of {step.member} {text}"
        self._pool.call(lambda: self._advance(step, carrier))
        return True

    def _advance(self, step: actions.Step, carrier: "_Carrier") -> bool:
        found = carrier.advance()
        with self._lock:
            if isinstance(found, outcomes.Running):
                self._running[step.id] = found.text
                return True
            del self._running[step.id]
            # Inside the lock: what is not running any more is finished, for everybody who looks.
            self._finished.put((step, found))
        return False

    def _ask(self, request: ports.ProbeRequest, key: tuple[str, actions.MemberName]) -> bool:
        try:
            passed, text = self._prober.ask(request.member, request.probe, request.listeners)
        except errors.WorldError as problem:
            passed, text = False, problem.sentence
        except Exception as defect:  # noqa: BLE001 - put on record; the member must be asked again later
            passed, text = False, _defect(self._report_defect, f"probe of {request.member.name}", defect)
        result = probes.ProbeResult(request.member.name, request.incarnation, self._clock.now(), passed, text)
        with self._lock:
            self._asking.discard(key)
            self._answers.put((request, result))
        return False

    def _restore(self, lease: standings.Lease, key: tuple[int, str, str]) -> bool:
        result: Restored
        try:
            result = self._keeper.restore(lease)
        except errors.WorldError as problem:
            result = outcomes.Failed(problem.sentence, happened=False)
        except Exception as defect:  # noqa: BLE001 - put on record; the lease stays owed
            text = _defect(self._report_defect, f"restore of {lease.name}", defect)
            result = outcomes.Failed(text, happened=False)
        with self._lock:
            self._restoring.discard(key)
            self._restored.put((lease, result))
        return False


class _Carrier:
    """One step on its way: begins it once, then polls it."""

    def __init__(
        self,
        executor: ports.Executor,
        step: actions.Step,
        report_defect: ReportDefect,
        *,
        begun: bool = False,
    ) -> None:
        self._executor = executor
        self._step = step
        self._report_defect = report_defect
        self._begun = begun
        self._failures = 0

    def advance(self) -> outcomes.Running | outcomes.Outcome:
        """One begin or poll. The world's failures become outcomes, and so does a defect, which is logged too."""
        begins, self._begun = not self._begun, True
        try:
            try:
                found = self._executor.begin(self._step) if begins else self._executor.poll(self._step)
            except errors.WorldError as problem:
                self._failures += 1
                return self._after_failure(problem, begins=begins)
            self._failures = 0
            return found
        except Exception as defect:  # noqa: BLE001 - put on record; one step must not end the others
            text = _defect(self._report_defect, f"step {self._step.id}", defect)
            return outcomes.Failed(text, happened=True)

    def _after_failure(
        self, problem: errors.WorldError, *, begins: bool
    ) -> outcomes.Running | outcomes.Failed:
        """A call that failed may have worked all the same: the world tells."""
        text, again = problem.sentence, self._failures < MOST_FAILURES
        if isinstance(problem, errors.Transient) and again and not begins:
            return outcomes.Running(problem.message)
        try:
            found = self._executor.reconcile(self._step)
        except errors.WorldError:
            return outcomes.Failed(text, happened=True)
        match found:
            case outcomes.Running() if again:
                return found
            case outcomes.Happened(incarnation=incarnation):
                return outcomes.Failed(text, happened=True, incarnation=incarnation)
            case outcomes.NotHappened():
                return outcomes.Failed(text, happened=False)
            case outcomes.Running(text=why) | outcomes.Unknowable(text=why):
                return outcomes.Failed(f"{text}; {why}", happened=True)


def _defect(report: ReportDefect, what: str, defect: Exception) -> str:
    report(what, defect)
    return f"a defect of lastack: {type(defect).__name__}: {defect}"


def _drained(results: "queue.SimpleQueue[_T]") -> list[_T]:
    return [results.get_nowait() for _ in range(results.qsize())]
