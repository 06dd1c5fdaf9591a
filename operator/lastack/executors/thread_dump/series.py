"""A series of dumps of a process tree, some time apart. Driven by `thread_dumps` (in rounds) and by cli (`dump`).

Every process of the tree that is of a known runtime is dumped in each round; whoever drives calls `advance` until
it says that the series is over, and may do something else in between.
"""

import collections
import contextlib
import dataclasses
import datetime as dt
import os
import time
from collections.abc import Callable, Iterable

from lastack import errors
from lastack.engine import instants, samples
from lastack.executors.thread_dump import groups, readers, runtimes, stacks, waits
from lastack.kernel import procfs
from lastack.policy import valid

MOST_PROCESSES = 64
"""More than this many processes of one member are left out, and the summary says so."""

_AT_ONCE = dt.timedelta(milliseconds=500)


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """One life of one process of the tree."""

    pid: int
    parent: int
    command: str
    started: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class _Taking:
    """A process whose dump is to be taken, or is being taken."""

    process: Process
    reader: readers.Reader
    reading: readers.Reading | None = None


class Series:
    """`rounds` and `missing` grow while it goes on; errors end it and leave them as they are."""

    def __init__(
        self,
        pids: Iterable[int],
        settings: valid.ThreadDump,
        keep: Callable[[stacks.ProcessDump, int], None],
        of: readers.Readers,
    ) -> None:
        """`keep` gets each dump and the number of its round, from 1, as soon as it is there."""
        self.rounds: list[list[stacks.ProcessDump]] = []
        self.missing: dict[int, errors.WorldError] = {}
        self._settings = settings
        self._keep = keep
        self._readers = of
        self._given = [_life(pid) for pid in dict.fromkeys(pids)]
        self._queue: collections.deque[_Taking] = collections.deque()
        self._current: _Taking | None = None
        self._began: dt.timedelta | None = None
        self._round: list[stacks.ProcessDump] | None = None

    def advance(self, now: instants.Now) -> bool:
        """Go on for at most half a second; whether the series is over.

        Raises WorldError when it cannot go on: the first process of the tree ended or may not be read, nothing in
        the tree is of a runtime that can be read, py-spy is absent.
        """
        if self._round is None and now.steady < self.due(now):
            return False
        if self._round is None:
            self._open_round(now)
        deadline = time.monotonic() + _AT_ONCE.total_seconds()
        while self._current is not None or self._queue:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._one(now, dt.timedelta(seconds=left))
        return self._close_round()

    def due(self, now: instants.Now) -> dt.timedelta:
        """When the next round begins, by the steady clock."""
        if self._began is None:
            return now.steady
        return self._began + len(self.rounds) * self._settings.every

    def finding(self) -> groups.Finding | None:
        """What the complete rounds say; None before the first is complete."""
        return groups.find(self.rounds) if self.rounds else None

    def close(self) -> None:
        """End what still runs."""
        if self._current is not None and self._current.reading is not None:
            self._current.reading.close()
        self._current = None

    def _open_round(self, now: instants.Now) -> None:
        if self._began is None:
            self._began = now.steady
        first = self._given[0]
        _check(first)
        tree = self._tree()
        for left_out in tree[MOST_PROCESSES:]:
            pid = left_out.process.pid
            self.missing[pid] = errors.Unsupported(
                f"process {pid} was left out: more than {MOST_PROCESSES} processes"
            )
        self._queue.extend(tree[:MOST_PROCESSES])
        if not self._queue:
            raise self.missing.get(first.pid) or errors.NotReachable(f"process {first.pid} has ended")
        self._round = []

    def _tree(self) -> list[_Taking]:
        """The given processes and their children, as far as they can be read; one that looks is left out.

        The children of other runtimes are no part of the service: a shell, a tail, what they run.
        """
        children = _children()
        found: list[_Taking] = []
        given = {process.pid: process for process in self._given}
        waiting = collections.deque(given)
        seen = {os.getpid()}
        while waiting:
            pid = waiting.popleft()
            reader = None if pid in seen else self._reader_of(pid, given=pid in given)
            seen.add(pid)
            if reader is not None or pid in given:
                waiting.extend(children[pid])
            if reader is not None:
                with contextlib.suppress(errors.NotReachable):
                    found.append(_Taking(given.get(pid) or _life(pid), reader))
        # Beside a runtime that can be asked, the rest of a unit is what its start script runs.
        asked = [taking for taking in found if not isinstance(taking.reader, readers.KernelReader)]
        return asked or found

    def _reader_of(self, pid: int, *, given: bool) -> readers.Reader | None:
        """Who reads this process; None, with the reason in `missing` where it was meant, when nobody does."""
        found = runtimes.recognize(pid)
        if isinstance(found, samples.Missing):
            kind = errors.NotPermitted if "not permitted" in found.why else errors.NotReachable
            if given or kind is errors.NotPermitted:
                self.missing[pid] = kind(f"process {pid}: {found.why}", fix=found.fix)
            return None
        if not given and found.kind in readers.SEEN_BY_KERNEL:
            return None  # a shell, a tail, a helper: only what is meant is looked at so
        reader = self._readers.get(found.kind)
        if given and (reader is None or found.kind in readers.SEEN_BY_KERNEL):
            self.missing[pid] = errors.Unsupported(found.sentence(pid), fix=found.by_hand(pid))
        return reader

    def _one(self, now: instants.Now, within: dt.timedelta) -> None:
        """Begin the next dump, or wait for the one that runs."""
        taking = self._current or self._queue.popleft()
        self._current = taking
        process = taking.process
        try:
            if taking.reading is None:
                reading = taking.reader.begin(process.pid, self._settings.max_pause, now.steady)
                self._current = taking = dataclasses.replace(taking, reading=reading)
            assert taking.reading is not None  # noqa: S101 - begun just now, or before
            raw = taking.reading.wait(within)
            if raw is None:
                return
            # The pid may have been used again while it was being read.
            _check(process)
            dump = taking.reader.read(
                raw, pid=process.pid, parent=process.parent, command=process.command, at=now.wall
            )
        except errors.WorldError as problem:
            if not self._fell_back(taking, problem):
                self._failed(process, problem)
            return
        else:
            self._keep(dump, len(self.rounds) + 1)
            if dump.partial is not None:
                self.missing[process.pid] = _cut(process, dump.partial)
            dump = waits.joined(dump)
            if self._round is not None:
                self._round.append(dump)
        self.close()

    def _fell_back(self, taking: _Taking, problem: errors.WorldError) -> bool:
        """Whether the next best thing is taken instead; why it had to be stays in `missing`."""
        if taking.reader.instead is None or procfs.is_gone(taking.process.pid):
            return False
        self.close()
        self.missing[taking.process.pid] = problem
        self._current = _Taking(taking.process, taking.reader.instead)
        return True

    def _failed(self, process: Process, problem: errors.WorldError) -> None:
        """A worker of a prefork server may end in the middle; without its first process the member is another."""
        self.close()
        try:
            _check(process)
        except errors.NotReachable as gone:
            problem = gone
        if process == self._given[0]:
            raise problem
        self.missing[process.pid] = problem

    def _close_round(self) -> bool:
        done, self._round = self._round, None
        if not done:
            raise next(
                iter(self.missing.values()), errors.NotReachable("no process of the tree could be read")
            )
        self.rounds.append(done)
        return len(self.rounds) >= self._settings.count


def _life(pid: int) -> Process:
    facts = procfs.process(pid)
    if isinstance(facts, samples.Missing):
        raise errors.NotReachable(f"process {pid} does not exist", fix="it has ended, or the pid is wrong")
    return Process(pid, facts.parent, stacks.plain(facts.name), facts.started)


def _cut(process: Process, why: str) -> errors.WorldError:
    return errors.NotReachable(
        f"process {process.pid} ({process.command}): its dump is not whole, threads may be missing: {why}",
        fix="take another dump",
    )


def _check(process: Process) -> None:
    """Raise NotReachable unless it is still the same life."""
    facts = procfs.process(process.pid)
    if isinstance(facts, samples.Missing) or facts.started != process.started or facts.state in {"Z", "X"}:
        raise errors.NotReachable(f"process {process.pid} ({process.command}) has ended")


def _children() -> dict[int, list[int]]:
    """The children of every process."""
    found: dict[int, list[int]] = collections.defaultdict(list)
    for pid in procfs.pids():
        facts = procfs.process(pid)
        if not isinstance(facts, samples.Missing):
            found[facts.parent].append(pid)
    return found
