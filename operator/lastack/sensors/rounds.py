"""Looking at every network namespace of a host, round after round, for a share of one processor.

Called once a second by those who watch many namespaces (`lastack top --all-netns`, an agent). Each round glances at
every namespace: a LISTEN dump over a kept socket and a read of a kept counter. Where they prove that nothing has
happened, the last whole look holds and is given anew. Elsewhere a whole look is due, and those are taken as far as
the budget goes, the most urgent and longest waiting first; until then the sample is the old one, with its old time.

    with rounds.Rounds(clock, offered, sampler) as all_namespaces:
        seen = all_namespaces.look().found  # samples by inode of the namespace
"""

import contextlib
import dataclasses
import datetime as dt
import resource
import time
from collections.abc import Collection, Mapping
from typing import Self

from lastack import errors, ports
from lastack.engine import instants, samples
from lastack.kernel import dump_sockets, endings, features, listening, netns
from lastack.sensors import budgets, kept_namespaces, namespace_index, places, processes, sampler

_SHARE = 0.01
_MOST_KEPT = 128
"""Namespaces with open descriptors; the others are looked at as a whole, in their turn."""
_DESCRIPTORS_EACH = 5
_DESCRIPTORS_LEFT = 512
"""Of the file limit, what the rest of the process keeps for itself."""
_PROCESSES_EVERY = dt.timedelta(seconds=10)
"""Age at which the facts about the processes of a quiet namespace are read anew."""
_REFRESHED_AT_ONCE = 10
"""One of so many quiet namespaces has its processes read anew in a round, at most."""
_RENEWED_EVERY = dt.timedelta(minutes=1)
"""Age at which also a look that still holds is worth a new one, if there is time left."""
_URGENCY = {
    kept_namespaces.Verdict.HOLDS: 1,
    kept_namespaces.Verdict.MOVED: 4,
    kept_namespaces.Verdict.TROUBLE: 32,
    kept_namespaces.Verdict.UNSEEN: 32,
}
"""How much faster the time since the last whole look counts."""
_NONE = dt.timedelta(0)


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """What one round has seen, by the inode of the namespace; each sample has the time that it is of.

    `looked_at` are those whose sample is a whole look of this round; `missing` is about namespaces that are hidden.
    """

    found: Mapping[int, samples.Sample]
    looked_at: frozenset[int]
    missing: tuple[tuple[str, samples.Missing], ...]


class Rounds:
    """Keeps descriptors of many namespaces; use `with`, or close() it. Called from one thread."""

    def __init__(
        self,
        clock: ports.Clock,
        offered: features.Features,
        eye: sampler.SocketSampler,
        *,
        share: float = _SHARE,
        most_kept: int | None = None,
    ) -> None:
        """Whole looks are those of `eye`; `share` of one processor is for everything that a round does.

        First looks at a namespace are made at once, whatever they cost.
        """
        self._clock = clock
        self._offered = offered
        self._eye = eye
        self._budget = budgets.Budget(share)
        self._index = namespace_index.NamespaceIndex()
        self._endings = endings.Endings(pidfd=offered.pidfd)
        self._processes = processes.ProcessReader(counted_descriptors=offered.counted_descriptors)
        self._known = listening.Known()
        self._buffer = bytearray(dump_sockets.BUFFER_BYTES)
        self._most_kept = _affordable() if most_kept is None else most_kept
        self._kept: dict[int, kept_namespaces.KeptNamespace] = {}
        # Those that could not be kept, or are one too many.
        self._others: dict[int, samples.Sample] = {}
        self._last: instants.Now | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every namespace. May be called twice."""
        for inode in [*self._kept]:
            self._drop(inode)
        self._endings.close()

    def look(self) -> Round:
        """One round. Nothing is raised for what cannot be seen."""
        begun = time.process_time()
        now = self._clock.now()
        self._let_go_of_the_dead()
        spaces = self._index.namespaces()
        self._follow(spaces)
        for kept in list(self._kept.values()):
            self._glance(kept, now)
        self._refresh(now)
        passed = now.since(self._last) if self._last is not None else dt.timedelta(0)
        self._last = now
        self._budget.earn(passed, _cpu_since(begun))
        looked_at = self._look_at_new(spaces) | self._look_in_turn(now, spaces)
        found = {inode: kept.sample for inode, kept in self._kept.items() if kept.sample is not None}
        return Round({**self._others, **found}, frozenset(looked_at), self._hidden())

    def _let_go_of_the_dead(self) -> None:
        """Close what pins the namespaces of processes that ended; one that has another process is kept by that."""
        ended = set(self._endings.ended())
        for kept in [each for each in self._kept.values() if each.pid in ended]:
            self._drop(kept.space.inode)
            heir = self._index.process_in(kept.space)
            if heir is not None:
                self._keep(kept.space, heir, kept.sample)

    def _follow(self, spaces: Collection[netns.NetNamespace]) -> None:
        """Keep what is new and let go of what is gone."""
        there = {space.inode for space in spaces}
        for inode in self._kept.keys() - there:
            self._drop(inode)
        for inode in self._others.keys() - there:
            del self._others[inode]
        for space in sorted(spaces, key=lambda space: space.inode):
            if space.inode in self._kept or len(self._kept) >= self._most_kept:
                continue
            pid = self._index.process_in(space)
            if pid is not None:
                self._keep(space, pid, self._others.pop(space.inode, None))

    def _keep(self, space: netns.NetNamespace, pid: int, sample: samples.Sample | None) -> None:
        """Open what a round needs; what cannot be opened is looked at as a whole, which says why."""
        try:
            self._endings.add(pid)
        except errors.WorldError:
            return
        try:
            kept = kept_namespaces.KeptNamespace.open(space, pid, self._offered, self._known, self._buffer)
        except errors.WorldError:
            self._endings.discard(pid)
            return
        kept.sample = sample
        self._kept[space.inode] = kept

    def _drop(self, inode: int) -> None:
        kept = self._kept.pop(inode)
        kept.close()
        self._endings.discard(kept.pid)

    def _glance(self, kept: kept_namespaces.KeptNamespace, now: instants.Now) -> None:
        try:
            verdict = kept.glance()
        except errors.WorldError:
            # Opened anew at the next round; what is wrong is said by the whole look that then follows.
            self._drop(kept.space.inode)
            return
        if verdict is kept_namespaces.Verdict.HOLDS:
            kept.restamp(now)

    def _refresh(self, now: instants.Now) -> None:
        """Read the processes of a tenth of the quiet namespaces, the longest unread first."""
        due = sorted(
            (now.since(kept.refreshed_at), inode)
            for inode, kept in self._kept.items()
            if kept.verdict is kept_namespaces.Verdict.HOLDS and kept.refreshed_at is not None
        )
        for age, inode in due[: -len(self._kept) // _REFRESHED_AT_ONCE - 1 : -1]:
            if age >= _PROCESSES_EVERY:
                self._read_processes(self._kept[inode], now)

    def _read_processes(self, kept: kept_namespaces.KeptNamespace, now: instants.Now) -> None:
        """Newer facts about the owners of a namespace; when they are not those that they were, it is in trouble."""
        read: dict[samples.Pid, samples.ProcessSample] = {}
        for each in kept.processes:
            process = self._processes.read(each.pid, each.outbound, each.group)
            if isinstance(process, samples.Missing) or process.started != each.started:
                kept.verdict = kept_namespaces.Verdict.TROUBLE
                return
            read[each.pid] = process
        kept.take_processes(now, read)

    def _look_at_new(self, spaces: Collection[netns.NetNamespace]) -> set[int]:
        """Whole looks at what was never looked at; who holds its sockets is asked in one walk for all."""
        seen = self._others.keys() | {inode for inode, kept in self._kept.items() if kept.sample is not None}
        new = [space for space in spaces if space.inode not in seen]
        kept = [self._kept[space.inode] for space in new if space.inode in self._kept]
        if kept:
            self._eye.expect(listener.inode for each in kept for listener in each.listeners)
        return {space.inode for space in new if self._whole_look(space)}

    def _look_in_turn(self, now: instants.Now, spaces: Collection[netns.NetNamespace]) -> set[int]:
        """Whole looks where the last one does not do, the one that waits the most first, while there is budget."""
        waits = {space: self._wait_of(space.inode, now) for space in spaces}
        looked: set[int] = set()
        for space in sorted(waits, key=lambda space: waits[space], reverse=True):
            if not waits[space] or not self._budget.is_open:
                break
            begun = time.process_time()
            if self._whole_look(space):
                looked.add(space.inode)
            self._budget.pay(_cpu_since(begun))
        return looked

    def _wait_of(self, inode: int, now: instants.Now) -> dt.timedelta:
        """How long a namespace has waited for a whole look, times its urgency; zero: it needs none."""
        kept = self._kept.get(inode)
        if kept is None:
            sample = self._others.get(inode)
            return now.since(sample.at) * _URGENCY[kept_namespaces.Verdict.MOVED] if sample else _NONE
        if kept.looked_at is None:
            return dt.timedelta.max
        age = now.since(kept.looked_at)
        if kept.verdict is kept_namespaces.Verdict.HOLDS and age < _RENEWED_EVERY:
            return _NONE
        return age * _URGENCY[kept.verdict]

    def _whole_look(self, space: netns.NetNamespace) -> bool:
        """Look at everything in one namespace; False when it has no process any more."""
        kept = self._kept.get(space.inode)
        pid = kept.pid if kept is not None else self._index.process_in(space)
        if pid is None:
            return False
        with contextlib.suppress(errors.WorldError):
            # What cannot be marked is in trouble, and what is wrong is said by the look.
            if kept is not None:
                kept.mark()
        sample = self._eye.look(ports.Selection(netns_pid=samples.Pid(pid)))
        if kept is not None:
            kept.keep(sample)
        else:
            self._others[space.inode] = sample
        return True

    def _hidden(self) -> tuple[tuple[str, samples.Missing], ...]:
        """What a round says about processes whose namespace it may not see."""
        hidden = self._index.hidden
        return (("netns/all", places.hidden_namespaces(hidden)),) if hidden else ()


def _affordable() -> int:
    """As many namespaces as the file limit allows, and no more than are worth it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, min(_MOST_KEPT, (soft - _DESCRIPTORS_LEFT) // _DESCRIPTORS_EACH))


def _cpu_since(begun: float) -> dt.timedelta:
    return dt.timedelta(seconds=time.process_time() - begun)
