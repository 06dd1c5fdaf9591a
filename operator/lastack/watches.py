"""What is remembered of one target between ticks: its members, the windows of their listeners, their judgements.

Called by loop, which looks through it. All of it is lost with the process, on purpose: what was not seen by this
process is not sustained. What must not be lost is in the ledger.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping

from lastack import errors, ports
from lastack.engine import (
    actions,
    censuses,
    instants,
    judgements,
    probes,
    samples,
    thresholds,
    windows,
)
from lastack.policy import valid

_NOBODY = censuses.Census(())
_NO_NAMESPACE = samples.Missing("no process of it, or none whose network namespace can be seen")


@dataclasses.dataclass(frozen=True, slots=True)
class Restarted:
    """A member that is in another life than at the look before."""

    member: actions.MemberName
    before: actions.Incarnation
    life: actions.Incarnation


@dataclasses.dataclass(frozen=True, slots=True)
class _Own:
    """What one look saw of one member: its listeners, and its processes as clients."""

    looks: tuple[samples.Look, ...] = ()
    outbound: tuple[samples.OutboundLook, ...] = ()


_NOTHING = _Own()


class Watch:
    """One target under watch."""

    def __init__(
        self,
        policy: valid.Policy,
        hosts: Callable[[valid.Target], ports.ServiceHost],
        sampler: ports.Sampler,
    ) -> None:
        """`hosts` finds the target's host at each look: one that cannot be reached now may be there later."""
        self.policy = policy
        self.census = _NOBODY
        self.judged: dict[actions.MemberName, judgements.Judgement] = {}
        self.answers: dict[actions.MemberName, probes.ProbeResult] = {}
        self._asked: dict[actions.MemberName, instants.Now] = {}
        self._hosts = hosts
        self._sampler = sampler
        self._windows: dict[actions.MemberName, windows.Windows] = {}
        self._clients: dict[actions.MemberName, windows.ClientWindows] = {}
        self._due: dt.timedelta | None = None
        self._lives: dict[actions.MemberName, actions.Incarnation] = {}
        self._doors: tuple[samples.Pid, ...] = ()

    def is_due(self, now: instants.Now) -> bool:
        """Whether `sampleEvery` has passed since the last look."""
        return self._due is None or now.steady >= self._due

    def forget(self) -> None:
        """Start every count anew: the clock stepped or the host slept."""
        self._windows.clear()
        self._clients.clear()
        self.judged.clear()
        self._due = None

    def look(self, now: instants.Now) -> tuple[Restarted, ...]:
        """Take a census and a sample, and judge every member; returns the members that live anew since the last."""
        self._due = now.steady + self.policy.sample_every
        try:
            self.census = self._hosts(self.policy.target).members(self.policy.target)
        except errors.WorldError as problem:
            missing = samples.Missing(problem.message, problem.fix)
            self.census = dataclasses.replace(self.census, missing=missing)
            self._judge(now, {}, missing)
            return ()
        restarted = self._restarted()
        groups = self._groups()
        for space, group in groups.items():
            self._look_at(now, space, group)
        # One process of each namespace: that is enough to find the way in.
        doors = (group[0].main_pid for space, group in groups.items() if space is not None)
        self._doors = tuple(pid for pid in doors if pid is not None)
        gone = self.judged.keys() - {member.name for member in self.census.members}
        for name in gone:
            del self.judged[name]
            self._windows.pop(name, None)
            self._clients.pop(name, None)
        return restarted

    def glance(self) -> None:
        """Between two looks: a burst fills a queue for a moment only, and shows in no look."""
        for pid in self._doors:
            self._sampler.glance(ports.Selection(ports=self.policy.ports, netns_pid=pid))

    def listeners(self, name: actions.MemberName) -> tuple[samples.ListenerAddress, ...]:
        """Where the member listens, as last seen."""
        found = {window.last.listener.address for window in self._windows.get(name, {}).values()}
        return tuple(sorted(found))

    def question(self, name: actions.MemberName, now: instants.Now) -> ports.ProbeRequest | None:
        """A probe of the member, unless it was asked just now: a probe is a real request."""
        asked, member = self._asked.get(name), self.census.member(name)
        if member is None or member.incarnation is None or self.policy.probe is None:
            return None
        if asked is not None and now.since(asked) < thresholds.PROBE_EVERY:
            return None
        self._asked[name] = now
        return ports.ProbeRequest(
            self.policy.target_name, member, member.incarnation, self.policy.probe, self.listeners(name)
        )

    def _groups(self) -> dict[int | None, list[censuses.Member]]:
        """Members by network namespace: one look serves all that share one. None: there is none to look into."""
        groups: dict[int | None, list[censuses.Member]] = {}
        for member in self.census.members:
            space = self._sampler.namespace_of(member.main_pid) if member.main_pid else None
            groups.setdefault(space, []).append(member)
        return groups

    def _look_at(self, now: instants.Now, space: int | None, group: list[censuses.Member]) -> None:
        if space is None:
            # Not seen is not the same as not listening, whatever the host says about the member.
            self._judge(now, {member.name: _NOTHING for member in group}, _NO_NAMESPACE)
            return
        pids = frozenset(pid for member in group for pid in member.pids)
        sample = self._sampler.look(ports.Selection(pids, self.policy.ports, group[0].main_pid))
        blind = dict(sample.unseen)
        for member in group:
            own = _Own(
                tuple(look for look in sample.looks if _belongs(look, member)),
                tuple(look for look in sample.outbound if look.process.pid in member.pids),
            )
            whole = next((why for what, why in blind.items() if not what.startswith("pid/")), None)
            unseen = whole or next(
                (blind[f"pid/{pid}"] for pid in member.pids if f"pid/{pid}" in blind), None
            )
            self._judge(now, {member.name: own}, unseen)

    def _judge(
        self,
        now: instants.Now,
        looks: Mapping[actions.MemberName, _Own],
        unseen: samples.Missing | None,
    ) -> None:
        names = looks.keys() or {member.name for member in self.census.members}
        for member in self.census.members:
            if member.name not in names:
                continue
            own = looks.get(member.name, _NOTHING)
            self._windows[member.name] = windows.extend(self._windows.get(member.name, {}), own.looks)
            self._clients[member.name] = windows.extend_clients(
                self._clients.get(member.name, {}), own.outbound
            )
            self.judged[member.name] = judgements.judge(
                member,
                tuple(self._windows[member.name].values()),
                self.policy,
                self.judged.get(member.name),
                now,
                clients=tuple(self._clients[member.name].values()),
                unseen=unseen,
            )

    def _restarted(self) -> tuple[Restarted, ...]:
        found = []
        for member in self.census.members:
            before = self._lives.get(member.name)
            if member.incarnation is None:
                continue
            if before is not None and before != member.incarnation:
                found.append(Restarted(member.name, before, member.incarnation))
            self._lives[member.name] = member.incarnation
        return tuple(found)


def _belongs(look: samples.Look, member: censuses.Member) -> bool:
    return any(process.pid in member.pids for process in look.owner.processes)
