"""A series of dumps of a process tree, some time apart. Driven by `thread_dumps` (in rounds) and by cli (`dump`).

Every process of the tree that is of a known runtime is dumped in each round; whoever drives calls `advance` until
it says that the series is over, and may do something else in between.
"""

import collections
import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import time
from collections.abc import Callable, Iterable

from lastack import errors
from lastack.engine import instants, samples
from lastack.executors.thread_dump import groups, programs, readers, runtimes, stacks, turns, waits
from lastack.kernel import procfs
from lastack.policy import valid

MOST_PROCESSES = 64
"""More than this many processes of one member are left out, and the summary says so."""

MOST_WAIT = dt.timedelta(seconds=15)
"""For the turn: a dump that nothing is wrong with takes a tenth of a second."""

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
    """A process whose dump is to be taken, or is being taken; `left` are the next best readers.

    `turn` is held from before the process is touched until it is read; `waits_since` is when it was first wanted.
    """

    process: Process
    kind: runtimes.Kind
    reader: readers.Reader
    left: tuple[readers.Reader, ...]
    reading: readers.Reading | None = None
    turn: turns.Turn | None = None
    waits_since: dt.timedelta | None = None


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
        current, self._current = self._current, None
        if current is None:
            return
        try:
            if current.reading is not None:
                current.reading.close()
        finally:
            if current.turn is not None:
                current.turn.close()

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
            who = None if pid in seen else self._readers_of(pid, given=pid in given)
            seen.add(pid)
            if who is not None or pid in given:
                waiting.extend(children[pid])
            if who is not None:
                kind, (reader, *left) = who
                with contextlib.suppress(errors.NotReachable):
                    found.append(_Taking(given.get(pid) or _life(pid), kind, reader, tuple(left)))
        # Beside a runtime that can be asked, the rest of a unit is what its start script runs.
        asked = [taking for taking in found if taking.kind not in readers.SEEN_BY_KERNEL]
        return asked or found

    def _readers_of(
        self, pid: int, *, given: bool
    ) -> tuple[runtimes.Kind, tuple[readers.Reader, ...]] | None:
        """Who reads this process; None, with the reason in `missing` where it was meant, when nobody does."""
        found = runtimes.recognize(pid)
        if isinstance(found, samples.Missing):
            kind = errors.NotPermitted if "not permitted" in found.why else errors.NotReachable
            if given or kind is errors.NotPermitted:
                self.missing[pid] = kind(f"process {pid}: {found.why}", fix=found.fix)
            return None
        who = self._readers.of(found.kind, self._settings)
        if not given and found.kind in readers.SEEN_BY_KERNEL and not self._is_worker(pid, who):
            return None  # a shell, a tail, a helper: only what is meant is looked at so
        if given and (not who or who[0].passive):
            self.missing[pid] = errors.Unsupported(found.sentence(pid), fix=found.by_hand(pid))
        return (found.kind, who) if who else None

    def _is_worker(self, pid: int, who: tuple[readers.Reader, ...]) -> bool:
        """Whether a child runs the program of a process that was given, whose functions may be read."""
        return not who[0].passive and _program(pid) in {_program(each.pid) for each in self._given}

    def _one(self, now: instants.Now, within: dt.timedelta) -> None:
        """Begin the next dump, or wait for the one that runs."""
        taking = self._current or self._queue.popleft()
        self._current = taking
        process = taking.process
        try:
            if taking.reading is None:
                taking = self._begun(taking, now, within)
            if taking.reading is None:
                return
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
            dump = programs.joined(waits.joined(dump), _children)
            if self._round is not None:
                self._round.append(dump)
        self.close()

    def _begun(self, taking: _Taking, now: instants.Now, within: dt.timedelta) -> _Taking:
        """The same with its reading; without one, while it is another's turn. Raises NotReachable with the holder."""
        pid = taking.process.pid
        if not taking.reader.passive:
            found = turns.take(pid, within.total_seconds())
            if isinstance(found, str):
                since = now.steady if taking.waits_since is None else taking.waits_since
                if now.steady - since > MOST_WAIT:
                    raise errors.NotReachable(
                        f"process {pid} was not asked: {found}, for more than {MOST_WAIT.total_seconds():g} s; "
                        "on a host one dump is taken at a time",
                        fix="wait for it to end, or end it",
                    )
                self._current = dataclasses.replace(taking, waits_since=since)
                return self._current
            self._current = taking = dataclasses.replace(taking, turn=found)
        reading = taking.reader.begin(pid, self._settings, now.steady)
        self._current = dataclasses.replace(taking, reading=reading)
        return self._current

    def _fell_back(self, taking: _Taking, problem: errors.WorldError) -> bool:
        """Whether the next best thing is taken instead; why it had to be stays in `missing`."""
        if not taking.left or procfs.is_gone(taking.process.pid):
            return False
        self.close()
        self.missing[taking.process.pid] = problem
        self._current = _Taking(taking.process, taking.kind, taking.left[0], taking.left[1:])
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


def _program(pid: int) -> pathlib.Path | None:
    try:
        return pathlib.Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return None


def _life(pid: int) -> Process:
    facts = procfs.process(pid)
    if isinstance(facts, samples.Missing):
        raise errors.NotReachable(f"process {pid} does not exist", fix="it has ended, or the pid is wrong")
    return Process(pid, facts.parent, stacks.plain(facts.name), facts.started)


def _cut(process: Process, why: str) -> errors.WorldError:
    return errors.NotReachable(
        f"process {process.pid} ({process.command}): its dump is not whole, threads or frames may be missing: {why}",
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
