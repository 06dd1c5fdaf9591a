"""Replace one member and wait until it is ready: the executor of actions.Replacement. Wired by bootstrap.

A probe blocks its worker for at most its own time-out per listener (policies allow seconds, not minutes);
everything else returns at once.
"""

import dataclasses
import datetime as dt
import threading

from lastack import ports, quantities
from lastack.engine import actions, censuses, outcomes, reasons, samples
from lastack.executors import incarnations

_Progress = outcomes.Running | outcomes.Succeeded | outcomes.Failed


@dataclasses.dataclass(frozen=True, slots=True)
class _Following:
    """What is remembered of a step between polls; forgotten by a crash, after which the wait begins anew."""

    since: dt.timedelta
    new: actions.Incarnation | None = None


class RollingRestarter:
    """Executor of Replacement over whatever host the target lives on."""

    def __init__(
        self, host_of: incarnations.HostOf, prober: ports.Prober, sampler: ports.Sampler, clock: ports.Clock
    ) -> None:
        """`sampler` finds the listeners of the new life, `prober` asks them."""
        self._host_of = host_of
        self._prober = prober
        self._sampler = sampler
        self._clock = clock
        self._following: dict[actions.StepId, _Following] = {}
        self._lock = threading.Lock()

    def begin(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Ask the host for the replacement, only while the expected life is there."""
        match self._host_of(step.target).begin_replacement(step.member, step.expected, step.id):
            case ports.Begun():
                self._remember(step, _Following(self._clock.now().steady))
                return outcomes.Running(f"{step.member} is being replaced")
            case ports.AlreadyReplaced(incarnation=now):
                there = f"it is {now} now" if now else "it does not run now"
                return outcomes.Refused(
                    reasons.Reason.INCARNATION_CHANGED,
                    f"{step.member} was {step.expected} when this was planned; that life is over, {there}",
                )
            case ports.HostRefused(reason=reason, text=text):
                return outcomes.Refused(reason, text)

    def poll(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Whether the new life is there, and then whether it is ready."""
        found = self._look(step, self._remembered(step))
        if not isinstance(found, outcomes.Running):
            with self._lock:
                self._following.pop(step.id, None)
        return found

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """After a crash: the life that is there now tells whether the old one was ended."""
        host = self._host_of(step.target)
        if host.in_progress(step.member, step.expected):
            return outcomes.Running(f"{step.member} is still being replaced")
        member = incarnations.member_of(self._host_of, step)
        if member is None:
            return outcomes.Unknowable(f"{step.member} is not a member of {step.target_name} any more")
        if member.incarnation == step.expected:
            return outcomes.NotHappened(f"{step.member} still runs in its old life {step.expected}")
        if member.incarnation is None:
            return outcomes.Happened(
                f"the life {step.expected} of {step.member} is over; now: {member.state}"
            )
        return outcomes.Happened(
            f"{step.member} went on from {step.expected} to {member.incarnation}", member.incarnation
        )

    def _look(self, step: actions.Step, following: _Following) -> _Progress:
        match self._host_of(step.target).progress(step.member, step.expected, step.id):
            case ports.ReplacementFailed(text=text):
                return outcomes.Failed(text, happened=self._old_life_is_over(step))
            case ports.Waiting(text=text):
                return self._or_too_late(step, following, text)
            case ports.Replaced(new=new):
                if following.new is not None and following.new != new:
                    text = (
                        f"{step.member} began as {following.new}, ended before it was ready and is {new} now"
                    )
                    return outcomes.Failed(text, happened=True, incarnation=new)
                following = dataclasses.replace(following, new=new)
                self._remember(step, following)
                return self._when_ready(step, following, new)

    def _when_ready(self, step: actions.Step, following: _Following, new: actions.Incarnation) -> _Progress:
        member = incarnations.member_of(self._host_of, step)
        if member is None or member.incarnation != new or not member.ready:
            state = member.state if member else "it is not a member any more"
            return self._or_too_late(step, following, f"{step.member} is {new}: {state}")
        ready, text = self._ready(step, member)
        if not ready:
            return self._or_too_late(step, following, text)
        took = quantities.short(self._clock.now().steady - following.since)
        facts: dict[str, outcomes.Json] = {"old": step.expected, "new": new, "ready": text, "took": took}
        return outcomes.Succeeded(
            f"{step.member} was replaced ({step.expected} to {new}) and ready after {took}: {text}",
            new,
            facts=facts,
        )

    def _ready(self, step: actions.Step, member: censuses.Member) -> tuple[bool, str]:
        work = step.work
        if not isinstance(work, actions.Replacement):
            raise TypeError(f"{step.kind} was brought to the executor of replacements")
        if work.probe is None and not work.ports:
            return True, f"its host says {member.state}"
        listeners = self._listeners(member, work.ports)
        absent = sorted(work.ports - {listener.port for listener in listeners})
        if absent:
            return False, f"{step.member} does not listen on port {', '.join(map(str, absent))} yet"
        if not listeners:
            return False, f"{step.member} does not listen anywhere yet"
        if work.probe is None:
            return True, f"listens on {', '.join(map(str, listeners))}"
        passed, answer = self._prober.ask(member, work.probe, listeners)
        return passed, answer if passed else f"{step.member} runs, its probe does not pass yet: {answer}"

    def _listeners(
        self, member: censuses.Member, wanted: frozenset[int]
    ) -> tuple[samples.ListenerAddress, ...]:
        selection = ports.Selection(pids=frozenset(member.pids), ports=wanted, netns_pid=member.main_pid)
        found = {look.listener.address for look in self._sampler.look(selection).looks}
        return tuple(sorted(found))

    def _or_too_late(self, step: actions.Step, following: _Following, text: str) -> _Progress:
        work = step.work
        waited = self._clock.now().steady - following.since
        if not isinstance(work, actions.Replacement) or waited < work.settings.ready_within:
            return outcomes.Running(text)
        limit = quantities.short(work.settings.ready_within)
        return outcomes.Failed(
            f"{step.member} was not ready within {limit}: {text}",
            happened=self._old_life_is_over(step),
            incarnation=following.new,
        )

    def _old_life_is_over(self, step: actions.Step) -> bool:
        member = incarnations.member_of(self._host_of, step)
        return member is None or member.incarnation != step.expected

    def _remember(self, step: actions.Step, following: _Following) -> None:
        with self._lock:
            self._following[step.id] = following

    def _remembered(self, step: actions.Step) -> _Following:
        with self._lock:
            return self._following.setdefault(step.id, _Following(self._clock.now().steady))
