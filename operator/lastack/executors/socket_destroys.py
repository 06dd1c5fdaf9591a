"""Destroy a batch of sockets: the executor of actions.SocketBatch. Wired by bootstrap.

Looked at when all have been silent for long enough, a second later again, each once more right before it is destroyed,
at the pace of the policy. Afterwards the table is read again: what the kernel said is not what is believed.
"""

import dataclasses
import datetime as dt
import threading
from collections.abc import Sequence

from lastack import errors, ports, quantities
from lastack.engine import actions, instants, outcomes, reasons, thresholds, unhooks
from lastack.executors import incarnations, socket_choices
from lastack.kernel import netns, sock_destroy
from lastack.policy import vocabulary

_MOST_NAMED = 5


@dataclasses.dataclass(slots=True)
class _Batch:
    """One act on its way."""

    namespace: netns.NetNamespace
    again: dt.timedelta
    """When it is looked at next, by the steady clock."""
    choices: socket_choices.Choices
    firm: bool = False
    """Whether `choices` are of when all had been silent for long enough."""
    began: dt.timedelta | None = None
    destroyed: list[socket_choices.Choice] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)
    taken: int = 0
    """How many had their turn: destroyed, or left alone because they had moved."""
    left: list[socket_choices.Choice] = dataclasses.field(default_factory=list)


class SocketDestroyer:
    """Executor of SocketBatch; each call destroys what the pace allows by then, and returns."""

    def __init__(self, host_of: incarnations.HostOf, clock: ports.Clock) -> None:
        """`host_of` answers for the member's life."""
        self._host_of = host_of
        self._clock = clock
        self._batches: dict[actions.StepId, _Batch] = {}
        self._lock = threading.Lock()

    def begin(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Take a first look; nothing is destroyed yet."""
        work = _work(step)
        refused = self._refusal(step, work)
        if isinstance(refused, outcomes.Refused):
            return refused
        choices, now = socket_choices.choose(work), self._clock.now().steady
        if not choices.sockets and not choices.silent_in_ms:
            return _nothing(step, choices)
        silent_in = min(dt.timedelta(milliseconds=choices.silent_in_ms), thresholds.SOCKET_SILENT)
        with self._lock:
            self._batches[step.id] = _Batch(refused, now + silent_in, choices)
        return self._waiting(step, silent_in)

    def poll(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Take the second look when its time has come, then go on."""
        with self._lock:
            batch = self._batches.get(step.id)
        if batch is None:
            return outcomes.Failed("the batch was not begun by this process; nothing goes on", happened=False)
        try:
            found = self._advance(step, _work(step), batch, self._clock.now())
        except errors.WorldError as problem:
            found = _ended(step, batch, problem.sentence)
        if not isinstance(found, outcomes.Running):
            with self._lock:
                self._batches.pop(step.id, None)
        return found

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """After a crash: a batch whose sockets are all there was not begun; who took the others nobody can tell."""
        with self._lock:
            if step.id in self._batches:
                return outcomes.Running("the batch goes on")
        work = _work(step)
        planned = frozenset(each.inode for each in work.sockets)
        if not planned:
            return outcomes.Unknowable("which sockets were meant is not on record")
        there = socket_choices.present(work.pid, planned)
        if there == planned:
            return outcomes.NotHappened(f"all {len(planned)} connections are still there")
        gone = len(planned) - len(there)
        return outcomes.Unknowable(
            f"{gone} of {len(planned)} connections are gone; they may have ended by themselves"
        )

    def _refusal(
        self, step: actions.Step, work: actions.SocketBatch
    ) -> outcomes.Refused | netns.NetNamespace:
        """Why the batch must not be begun or go on; else the namespace of the member, which is the planned one."""
        changed = incarnations.refusal(self._host_of, step)
        if changed is not None:
            return changed
        namespace = netns.identify(netns.path_of(work.pid))
        if namespace.inode != work.namespace:
            text = f"pid {work.pid} is in network namespace {namespace.inode}, planned on {work.namespace}"
            return outcomes.Refused(reasons.Reason.INCARNATION_CHANGED, text)
        return namespace

    def _advance(
        self, step: actions.Step, work: actions.SocketBatch, batch: _Batch, now: instants.Now
    ) -> outcomes.Running | outcomes.Outcome:
        if batch.began is None:
            if now.steady < batch.again:
                return self._waiting(step, batch.again - now.steady)
            refused = self._refusal(step, work)
            if isinstance(refused, outcomes.Refused):
                return refused
            seen = socket_choices.choose(work)
            if batch.firm:
                seen = _both(batch.choices, seen)
            if not seen.sockets:
                return _nothing(step, seen)
            if not batch.firm:
                batch.firm, batch.choices, batch.again = True, seen, now.steady + thresholds.SOCKET_AGAIN
                return self._waiting(step, thresholds.SOCKET_AGAIN)
            batch.began, batch.left, batch.kept = now.steady, list(seen.sockets), list(seen.kept)
        due = 1 + int((now.steady - batch.began).total_seconds() * work.settings.pace.per_second)
        while batch.left and batch.taken < due:
            self._one(work, batch)
        if batch.left:
            whole = len(batch.left) + batch.taken
            return outcomes.Running(
                f"{len(batch.destroyed)} of {whole} sockets of {step.member} are destroyed"
            )
        return _ended(step, batch, None)

    @staticmethod
    def _waiting(step: actions.Step, span: dt.timedelta) -> outcomes.Running:
        rounded = dt.timedelta(seconds=max(1, round(span.total_seconds())))
        return outcomes.Running(
            f"the sockets of {step.member} are looked at again in {quantities.short(rounded)}"
        )

    def _one(self, work: actions.SocketBatch, batch: _Batch) -> None:
        """The next socket, unless its thread has gone on meanwhile."""
        choice = batch.left[0]
        moved = None if choice.stuck is None else socket_choices.still_waits(choice.stuck)
        if moved is not None:
            batch.kept.append(f"{choice.peer}: {moved}")
        elif sock_destroy.destroy(netns.path_of(work.pid), batch.namespace, (choice.named,)) == (True,):
            batch.destroyed.append(choice)
        elif _remaining(work, (choice,)):
            batch.kept.append(f"{choice.peer}: the kernel does not find it by its addresses")
        else:
            batch.kept.append(f"{choice.peer}: the connection is gone")
        batch.left.pop(0)
        batch.taken += 1


def _both(first: socket_choices.Choices, second: socket_choices.Choices) -> socket_choices.Choices:
    """The sockets of the second look that the first one had, too."""
    before = {choice.named.cookie for choice in first.sockets}
    both = tuple(choice for choice in second.sockets if choice.named.cookie in before)
    return socket_choices.Choices(both, second.kept)


def _nothing(step: actions.Step, choices: socket_choices.Choices) -> outcomes.Refused:
    why = "; ".join(choices.kept[:_MOST_NAMED]) or "none is left that the plan allows"
    return outcomes.Refused(reasons.Reason.CANNOT_HELP, f"no socket of {step.member} was destroyed: {why}")


def _ended(step: actions.Step, batch: _Batch, problem: str | None) -> outcomes.Succeeded | outcomes.Failed:
    """What was done, and what the table shows of it."""
    work = _work(step)
    facts = _facts(batch)
    if not batch.destroyed:
        why = problem or "; ".join(batch.kept[:_MOST_NAMED]) or "nothing was left to destroy"
        return outcomes.Failed(
            f"no socket of {step.member} was destroyed: {why}", happened=False, facts=facts
        )
    remaining = _remaining(work, batch.destroyed)
    peers = ", ".join(sorted({choice.peer for choice in batch.destroyed})[:_MOST_NAMED])
    count = len(batch.destroyed)
    text = f"{count} connection{'' if count == 1 else 's'} of {step.member} to {peers} destroyed"
    if batch.kept:
        text += f", {len(batch.kept)} left alone ({'; '.join(batch.kept[:_MOST_NAMED])})"
    if problem is not None:
        return outcomes.Failed(f"{text}; then it could not go on: {problem}", happened=True, facts=facts)
    if remaining:
        return outcomes.Failed(
            f"{text}; {remaining} of them are still in the table", happened=True, facts=facts
        )
    return outcomes.Succeeded(f"{text}; none of them is in the table any more{_caveat(work)}", facts=facts)


def _caveat(work: actions.SocketBatch) -> str:
    stuck = work.settings.sockets is vocabulary.SocketKind.STUCK_OUTBOUND
    return "" if stuck else f"; {unhooks.WIPES}"


def _remaining(work: actions.SocketBatch, destroyed: Sequence[socket_choices.Choice]) -> int:
    """How many of the destroyed sockets are still there, by the table of the namespace."""
    try:
        return socket_choices.remaining(work, destroyed)
    except errors.WorldError:
        return 0  # the member ended: its sockets are gone with it


def _facts(batch: _Batch) -> dict[str, outcomes.Json]:
    return {
        "destroyed": tuple(map(_row, batch.destroyed)),
        "leftAlone": tuple(batch.kept),
    }


def _row(choice: socket_choices.Choice) -> dict[str, outcomes.Json]:
    stuck = choice.stuck
    return {
        "local": choice.local,
        "peer": choice.peer,
        "silentFor": quantities.short(dt.timedelta(milliseconds=choice.silent_ms // 1000 * 1000)),
        "pid": None if stuck is None else stuck.pid,
        "thread": None if stuck is None else stuck.thread,
    }


def _work(step: actions.Step) -> actions.SocketBatch:
    if not isinstance(step.work, actions.SocketBatch):
        raise errors.InvariantBroken(f"{step.kind} was brought to the executor of socket destroys")
    return step.work
