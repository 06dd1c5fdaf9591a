"""Dead sockets of processes: connections that are over, are in no table, and are still open. Called by sampler.

To find them takes a walk over all open files of a process and a question to each socket that is in no table. So it is
done where there can be many, at a deep look and else once a minute; between, what was found is confirmed by a readlink
each.
"""

import collections
import dataclasses
import datetime as dt
import time
from array import array
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from lastack.engine import instants, samples
from lastack.kernel import dead_sockets, descriptors, inet_diag, net_counters, socket_tables
from lastack.sensors import listeners

WORTH_A_WALK = 20
"""Open files of a process, and sockets in no table, below which nobody asks: no leak is named with fewer."""
_EVERY = dt.timedelta(minutes=1)
_SHARE_OF_TIME = 200
"""A walk that took long is followed by at least so many times as long without one."""
_MOST_FOLLOWED = 10_000
"""More dead sockets of one process tell nothing new."""
_FORGOTTEN = dt.timedelta(minutes=10)
"""What was due so long ago is not looked at any more."""
_MOST_PROCESSES = 8192
"""Beyond so many remembered processes all are forgotten, so that memory stays flat."""
_NO_CALL = samples.Missing(
    "this kernel lets nobody ask what became of them (pidfd_getfd)", "needs kernel 5.6"
)

_SILENT_MS = 30_000
"""Most handlers have a time-out of 30 s or less for what they call; who waits for longer hangs."""


class Reader(Protocol):
    """What of sock_diag.SockDiag is needed here."""

    def inodes(self) -> Collection[int]:
        """All sockets that are in a table."""
        ...

    def connections(
        self, inodes: AbstractSet[int], *, extensions: Collection[inet_diag.Extension] = ()
    ) -> socket_tables.SocketTable:
        """The connections with these inodes."""
        ...


Processes = Mapping[samples.Pid, samples.ProcessSample]
_Row = tuple[int, int, int, str]
"""Inode, unread bytes, age in ms, and of a process's own the peer as ADDRESS:PORT."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dead:
    """What is known of processes at one look; one that was not asked is nowhere.

    `inbound` is by process and cookie of the listener, `outbound` by process.
    """

    counts: Mapping[samples.Pid, int | samples.Missing]
    silences: Mapping[samples.Pid, samples.Silence]
    inbound: Mapping[tuple[samples.Pid, int], tuple[_Row, ...]]
    outbound: Mapping[samples.Pid, tuple[_Row, ...]]

    def count(self, pid: samples.Pid) -> int | samples.Missing:
        """ProcessSample.dead of a process."""
        return self.counts.get(pid, samples.NOT_WALKED)

    def told(self, process: samples.ProcessSample) -> samples.ProcessSample:
        """The process with what was found of it."""
        silence = self.silences.get(process.pid)
        return dataclasses.replace(process, dead=self.count(process.pid), silence=silence)

    def of_listener(
        self, cookie: int, pids: Collection[samples.Pid]
    ) -> samples.DeadSockets | samples.Missing:
        """What came through a listener and is open in one of the processes; what several share counts once."""
        asked = [self.counts[pid] for pid in pids if pid in self.counts]
        missing = next((each for each in asked if isinstance(each, samples.Missing)), None)
        if not asked or missing is not None:
            return missing or samples.NOT_WALKED
        rows = {row[0]: row for pid in pids for row in self.inbound.get((pid, cookie), ())}
        return columns(rows.values())

    def of_client(self, pid: samples.Pid) -> tuple[samples.DeadSockets | samples.Missing, tuple[str, ...]]:
        """What a process made itself, and the peer of each."""
        count = self.count(pid)
        if isinstance(count, samples.Missing):
            return count, ()
        rows = self.outbound.get(pid, ())
        return columns(rows), tuple(peer for *_, peer in rows)


@dataclasses.dataclass(slots=True)
class _Walked:
    """What the last walk over one life of a process found, less what was closed since."""

    started: dt.timedelta
    at: dt.timedelta
    next_at: dt.timedelta
    missing: samples.Missing | None = None
    found: listeners.Sorted | None = None
    """None: they could not be asked, and are few."""
    open: dict[int, int] = dataclasses.field(default_factory=dict)
    """Number of the row -> descriptor."""
    silence: samples.Silence | None = None


class DeadSocketIndex:
    """Remembers the dead sockets of processes from look to look."""

    def __init__(self, *, can_ask: bool, silent_ms: int = _SILENT_MS) -> None:
        """Take Features.pidfd_getfd, and from when on a connection counts as silent."""
        self._can_ask = can_ask
        self._silent_ms = silent_ms
        self._walked: dict[samples.Pid, _Walked] = {}
        self._forget_at = dt.timedelta(0)

    def __len__(self) -> int:
        return len(self._walked)

    def look(
        self,
        at: instants.Now,
        running: Processes,
        directory: listeners.Directory,
        reader: Reader,
        *,
        deep: bool,
    ) -> Dead:
        """Ask the processes that are due, and confirm what is known of the others.

        `reader` is of the namespace in which the calling thread stands, and asked only when somebody is due.
        """
        self._forget(at)
        due = [process for process in running.values() if self._is_due(at, process, deep=deep)]
        if due and _may_be_many():
            listed = reader.inodes()
            for process in due:
                self._walk(at, process, directory, reader, listed)
        counts: dict[samples.Pid, int | samples.Missing] = {}
        silences: dict[samples.Pid, samples.Silence] = {}
        inbound: dict[tuple[samples.Pid, int], tuple[_Row, ...]] = {}
        outbound: dict[samples.Pid, tuple[_Row, ...]] = {}
        told: set[int] = set()
        for pid, process in sorted(running.items()):
            walked = self._walked.get(pid)
            if walked is None or walked.started != process.started:
                continue
            if walked.missing is not None:
                counts[pid] = walked.missing
            elif walked.found is not None:
                _confirm(pid, walked)
                counts[pid] = len(walked.open)
                if walked.silence is not None:
                    silences[pid] = walked.silence
                for cookie, rows in walked.found.by_cookie.items():
                    inbound[pid, cookie] = tuple(_rows(walked, at, rows, named=False))
                # A master and its workers may share one: it is the master's, which came first.
                mine = _rows(walked, at, walked.found.outbound, named=True)
                own = tuple(row for row in mine if row[0] not in told)
                told.update(row[0] for row in own)
                if own:
                    outbound[pid] = own
        return Dead(counts, silences, inbound, outbound)

    def _is_due(self, at: instants.Now, process: samples.ProcessSample, *, deep: bool) -> bool:
        files = process.open_files
        if isinstance(files, samples.Missing) or files < WORTH_A_WALK:
            return False
        walked = self._walked.get(process.pid)
        return deep or walked is None or walked.started != process.started or at.steady >= walked.next_at

    def _walk(
        self,
        at: instants.Now,
        process: samples.ProcessSample,
        directory: listeners.Directory,
        reader: Reader,
        listed: Collection[int],
    ) -> None:
        begun = time.process_time()
        walked = _Walked(process.started, at.steady, at.steady)
        held = descriptors.sockets(process.pid)
        if isinstance(held, samples.Missing):
            # Whose descriptors cannot be seen has no open files either, and its owner says why.
            return
        suspects = dead_sockets.suspects(process.pid, held, listed)
        descriptor_of = dict(list(suspects.items())[:_MOST_FOLLOWED])
        found = dead_sockets.examine(process.pid, descriptor_of.values()) if self._can_ask else _NO_CALL
        if not isinstance(found, samples.Missing):
            walked.found = directory.sort(found)
            # A descriptor may have become another dead socket meanwhile: that is for the next walk.
            walked.open = {
                row: descriptor_of[inode] for row, inode in enumerate(found.inodes) if inode in descriptor_of
            }
            if len(walked.open) >= WORTH_A_WALK:
                walked.silence = _silence(reader, directory, held.keys(), self._silent_ms)
        elif len(suspects) >= WORTH_A_WALK:
            why = f"{len(suspects)} TCP sockets of it are in no table of the kernel: {found.why}"
            walked.missing = samples.Missing(why, found.fix)
        cost = dt.timedelta(seconds=time.process_time() - begun)
        walked.next_at = at.steady + max(_EVERY, cost * _SHARE_OF_TIME)
        self._walked[process.pid] = walked

    def _forget(self, at: instants.Now) -> None:
        """Processes that have ended, or that nobody asks about any more."""
        if len(self._walked) > _MOST_PROCESSES:
            self._walked.clear()
        if at.steady >= self._forget_at:
            self._forget_at = at.steady + _FORGOTTEN
            self._walked = {
                pid: walked for pid, walked in self._walked.items() if at.steady - walked.next_at < _FORGOTTEN
            }


def columns(rows: Iterable[_Row]) -> samples.DeadSockets:
    """The rows as columns."""
    inodes, unread, ages = array("I"), array("I"), array("I")
    for inode, size, age, _ in rows:
        inodes.append(inode)
        unread.append(size)
        ages.append(age)
    return samples.DeadSockets(inodes, unread, ages)


def _silence(
    reader: Reader, directory: listeners.Directory, held: AbstractSet[int], least_ms: int
) -> samples.Silence | None:
    """The server to which most connections go that a process made itself and that are silent."""
    table = reader.connections(held, extensions=(inet_diag.Extension.TCP_INFO,))
    sent, received = table.last_data_sent_ms.values, table.last_data_recv_ms.values
    peers = collections.Counter(
        table.peer(row)
        for row in directory.sort(table).outbound
        if table.states[row] == inet_diag.State.ESTABLISHED and min(sent[row], received[row]) >= least_ms
    )
    return next((samples.Silence(peer, count) for peer, count in peers.most_common(1)), None)


def _may_be_many() -> bool:
    """False where the kernel's counts prove that hardly a socket of this namespace is in no table.

    Two bounds, and the smaller one holds: of all sockets of the namespace those of TCP that are in a table are taken
    away, and likewise of all TCP sockets of the machine. Unix sockets count in the first, other namespaces in the
    second, so that neither is tight everywhere.
    """
    counts = net_counters.sockets_in_use("thread-self")
    if isinstance(counts, samples.Missing) or "TCP.inuse" not in counts:
        return True
    listed = counts["TCP.inuse"] + counts.get("TCP6.inuse", 0)
    bounds = [counts[name] - listed for name in ("sockets.used", "TCP.alloc") if name in counts]
    return not bounds or min(bounds) >= WORTH_A_WALK


def _confirm(pid: samples.Pid, walked: _Walked) -> None:
    """Forget what was closed since: its descriptor is free, or something else."""
    found = walked.found
    if found is not None:
        walked.open = {
            row: descriptor
            for row, descriptor in walked.open.items()
            if descriptors.still_holds(pid, descriptor, found.table.inodes[row])
        }


def _rows(walked: _Walked, at: instants.Now, rows: Iterable[int], *, named: bool) -> Iterable[_Row]:
    """Those of the rows that are open still, as old as they are now; `named` ones with their peer."""
    if walked.found is None:
        return
    table = walked.found.table
    more_ms = int((at.steady - walked.at).total_seconds() * 1000)
    for row in rows:
        if row in walked.open:
            age = min(table.last_data_recv_ms.values[row], table.last_data_sent_ms.values[row])
            yield table.inodes[row], table.rqueues[row], age + more_ms, table.peer(row) if named else ""
