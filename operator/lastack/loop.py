"""The shell: one tick. It looks, asks the engine, writes what the engine says, and only then begins anything.

One thread owns a Loop and calls `tick` again and again; it never blocks on a target. Everything it needs from the
world is a port. Called by bootstrap's host process and, with fakes, by the tests.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from lastack import controls, ports, watches
from lastack.engine import (
    absorptions,
    actions,
    announcements,
    decisions,
    drafts,
    facts,
    incidents,
    instants,
    leases,
    outcomes,
    plans,
    standings,
    thresholds,
)
from lastack.policy import valid, vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """The ports of one process.

    `hosts` finds the service host of a target, `told` hears what was written, `about` is build and kernel.
    """

    clock: ports.Clock
    sampler: ports.Sampler
    hosts: Callable[[valid.Target], ports.ServiceHost]
    works: ports.Works
    ledger: ports.Ledger
    controls: ports.Controls
    policies: ports.PolicySource
    told: Callable[[Sequence[facts.Fact]], None]
    about: Mapping[str, outcomes.Json]


class Loop:
    """Ticks. What it keeps in memory may be lost at any instant; what may not is in the ledger first."""

    def __init__(self, world: World) -> None:
        """Take the ports; nothing is looked at before `start`."""
        self._world = world
        self._watches: dict[valid.PolicyName, watches.Watch] = {}
        self._owed: list[facts.Fact] = []
        self._unsaid: list[controls.Answer] = []
        self._before: instants.Now | None = None
        self._informed = False
        self._said_owed: dict[actions.StepId, str] = {}

    def fastest(self) -> dt.timedelta:
        """How often the most often sampled target wants a look."""
        return min(
            (watch.policy.sample_every for watch in self._watches.values()), default=dt.timedelta(seconds=1)
        )

    def start(self, actor: str) -> None:
        """Say that lastack looks again, and settle what a crash left behind before anything else is decided."""
        works, now = self._world.works, self._world.clock.now()
        self._owed.append(announcements.started(now, self._world.about, actor))
        for planned in self._world.ledger.folded.planned.values():
            step = plans.step_of(planned)
            found = works.reconcile(step)
            if isinstance(found, outcomes.Running):
                works.resume(step)
            else:
                self._owed += absorptions.interrupted(planned, step, found, now)
        self._world.told(self._pay())

    def stop(self, within: dt.timedelta) -> None:
        """End between steps; what still runs is reconciled by the next start."""
        running = self._world.works.close(within)
        now = self._world.clock.now()
        self._absorb(now)
        self._owed.append(announcements.stopped(now, running))
        self._world.told(self._pay())

    def tick(self) -> None:
        """Look, decide, write, begin: in this order.

        Raises StateUnusable, with nothing begun, when nothing could be written: what was owed to the ledger stays
        owed, and leases are given back all the same.
        """
        now = self._world.clock.now()
        self._absorb(now)
        self._owed += [*self._clock_news(now), *self._policy_news(now)]
        due = [watch for watch in self._watches.values() if watch.is_due(now)]
        for watch in self._watches.values():
            if watch in due:
                self._look(watch, now)
            else:
                watch.glance()
        answers = [controls.answer(request, self.view(now)) for request in self._world.controls.pending()]
        self._owed += [fact for answer in answers for fact in answer.news]
        try:
            written, decided = self._decide(due, now)
        finally:
            self._restore_due(now)
            self._answer(answers)
        for watch, decision in decided:
            self._begin(watch, decision, now)
        for answer in self._unsaid:
            answer.reply()
        self._unsaid.clear()
        self._world.told(written)

    def view(self, now: instants.Now) -> controls.View:
        """What a person may ask about, at this instant."""
        folded = self._world.ledger.folded
        full = self._world.ledger.standing(None, now).disk_full
        return controls.View(now, folded, tuple(self._watches.values()), self._world.works.running(), full)

    def _decide(
        self, due: Sequence[watches.Watch], now: instants.Now
    ) -> tuple[list[facts.Fact], list[tuple[watches.Watch, drafts.Decision]]]:
        """One transaction: what is owed, then the decision about each target that was looked at, on top of it."""
        ledger, written, decided = self._world.ledger, list(self._owed), []
        with ledger.transaction():
            ledger.append(self._owed)
            for watch in due:
                incident = self._incident(watch.policy.target_name)
                if incident is None and self._unfinished(watch.policy.target_name):
                    continue  # what an abandoned incident began ends first: never two remediations of one target
                decision = decisions.decide(incident, self._circumstances(watch, now))
                ledger.append(decision.news)
                written += decision.news
                decided.append((watch, decision))
        self._owed.clear()
        return written, decided

    def _pay(self) -> list[facts.Fact]:
        """Write what is owed, and nothing else."""
        return self._decide((), self._world.clock.now())[0]

    def _circumstances(self, watch: watches.Watch, now: instants.Now) -> drafts.Circumstances:
        folded, policy = self._world.ledger.folded, watch.policy
        return drafts.Circumstances(
            policy=policy,
            census=watch.census,
            judged=watch.judged,
            standing=self._world.ledger.standing(policy.target_name, now),
            answers=watch.answers,
            now=now,
            seq=folded.head.seq + 1,
        )

    def _look(self, watch: watches.Watch, now: instants.Now) -> None:
        """Look at one target. A restart by others outside of an incident is a fact of its own: it counts too."""
        seen = watch.census.missing is None
        restarted, target = watch.look(now), watch.policy.target_name
        missing = watch.census.missing
        if missing is not None and seen:
            self._owed.append(announcements.lost(now, watch.policy, missing.why))
        elif missing is None and not seen:
            self._owed.append(announcements.found(now, watch.policy))
        if self._incident(target) is None:
            restart = vocabulary.ActionKind.ROLLING_RESTART
            ours = {plan.member for plan in self._unfinished(target) if plan.action is restart}
            self._owed += [
                announcements.restarted(now, watch.policy, each.member, each.before, each.life)
                for each in restarted
                if each.member not in ours
            ]

    def _unfinished(self, target: str) -> list[facts.Fact]:
        """The acts on a target that have no outcome yet, as they were planned."""
        return [plan for plan in self._world.ledger.folded.planned.values() if plan.target == target]

    def _answer(self, answers: Sequence[controls.Answer]) -> None:
        """Give back and tell what people asked for, also when nothing can be written.

        What an answer promises to have written is said when it is.
        """
        for answer in answers:
            for lease in answer.restores:
                self._world.works.restore(lease)
            if answer.news:
                self._unsaid.append(answer)
            else:
                answer.reply()

    def _begin(self, watch: watches.Watch, decision: drafts.Decision, now: instants.Now) -> None:
        for step in decision.steps:
            self._world.works.begin(step)
        for name in decision.asked:
            request = watch.question(name, now)
            if request is not None:
                self._world.works.ask(request)

    def _absorb(self, now: instants.Now) -> None:
        """Take in what ended. It is owed to the ledger until it is written, whatever fails before that."""
        works = self._world.works
        for step, outcome in works.finished():
            planned = self._world.ledger.folded.planned[step.id]
            self._owed += absorptions.absorb(planned, step, outcome, now)
        for lease, ended in works.restored():
            if isinstance(ended, outcomes.Succeeded) or leases.is_over(ended):
                self._owed.append(absorptions.given_back(lease, ended, now))
            else:
                self._say_owed(lease, ended, now)
        for request, answer in works.answers():
            watch = self._watches.get(valid.PolicyName(request.target))
            if watch is not None:
                watch.answers[answer.member] = answer

    def _say_owed(
        self, lease: standings.Lease, ended: outcomes.Failed | outcomes.Refused, now: instants.Now
    ) -> None:
        """Say once per reason that a lease could not be given back; it is tried again in each tick."""
        if self._said_owed.get(lease.step) != ended.text:
            self._said_owed[lease.step] = ended.text
            self._owed.append(absorptions.still_owed(lease, ended, now))

    def _clock_news(self, now: instants.Now) -> list[facts.Fact]:
        """A step of the wall clock, or a gap in which nothing was seen: every sustained count begins anew."""
        before, self._before = self._before, now
        if before is None:
            return []
        steady = now.since(before)
        step = now.wall - before.wall - steady
        if abs(step) > thresholds.CLOCK_STEP:
            news = announcements.clock_stepped(now, step)
        elif steady > thresholds.GAP:
            news = announcements.looked_away(now, steady)
        else:
            return []
        for watch in self._watches.values():
            watch.forget()
        return [news]

    def _policy_news(self, now: instants.Now) -> list[facts.Fact]:
        """A new set in force: what is new is loaded, what is gone or lowered abandons its incident on record."""
        news = self._world.policies.news()
        if news is None:
            return []
        if news.rejected is not None:
            return [announcements.policies_rejected(now, news.rejected)]
        said: list[facts.Fact] = []
        self._informed = True
        before, self._watches = self._watches, {}
        for policy in news.policies:
            old = before.get(policy.name)
            if old is not None and old.policy.digest == policy.digest:
                self._watches[policy.name] = old
                continue
            watch = watches.Watch(policy, self._world.hosts, self._world.sampler)
            self._watches[policy.name] = watch
            said.append(announcements.policy_loaded(now, policy, self._world.about))
            incident = self._incident(policy.target_name)
            if incident is not None:
                why = decisions.unfit(incident, old.policy if old else None, policy)
                said += decisions.abandon(incident, now, why) if why else ()
        gone = [watch.policy for name, watch in before.items() if name not in self._watches]
        said += [announcements.policy_removed(now, policy) for policy in gone]
        return [*said, *self._orphans(now)]

    def _orphans(self, now: instants.Now) -> list[facts.Fact]:
        """Incidents whose policy is in force no more, as after a start with other policies."""
        return [
            fact
            for told in self._world.ledger.folded.told.values()
            if told.incident.closed_at is None and told.incident.policy not in self._watches
            for fact in decisions.abandon(told.incident, now, "its policy is not in force any more")
        ]

    def _restore_due(self, now: instants.Now) -> None:
        """Give back what is due; not before the policies are known, since a lease without one is due."""
        if not self._informed:
            return
        held = self._world.ledger.folded.standing(None, now).leases
        policies = {str(name): watch.policy for name, watch in self._watches.items()}
        for due in leases.due(held, policies, now):
            self._world.works.restore(due.lease)

    def _incident(self, target: str) -> incidents.Incident | None:
        """The open incident of a target."""
        found = (told.incident for told in self._world.ledger.folded.told.values())
        return next((i for i in found if i.target == target and i.closed_at is None), None)
