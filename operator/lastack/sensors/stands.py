"""Where the threads of processes stand, joined with the sockets that they wait for. Called by sampler.

Only while somebody waits: a healthy service costs nothing here. 200 threads that wait for a socket each took 9 ms of
processor time (Linux 6.18, 2 busy cores), 11 ms with sockets that are new; those cost a walk over the connections.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping

from lastack.engine import samples
from lastack.kernel import blocked_calls, call_numbers, descriptors, procfs, sock_diag
from lastack.sensors import listeners

_MOST_THREADS = 512
"""Of one process: beyond, a read would take longer than a look may, and a part of them would mislead."""
_MOST_IN_ALL = 2048
"""Of all processes of a look, for the same reason: many workers with many threads each."""
_OLD_MS, _SEVERAL = 30_000, 3
"""CLOSE_WAIT rows so old, and so many of them, may be handlers that hang: from then on threads are worth a read."""
_MOST_NAMESPACES = 1024
"""Beyond so many remembered namespaces all are forgotten, so that memory stays flat."""

Stands = tuple[samples.ThreadStand, ...] | samples.Missing


@dataclasses.dataclass(frozen=True, slots=True)
class _Connection:
    side: samples.Side
    peer: str | None = None


_OTHER = _Connection("other")


@dataclasses.dataclass(slots=True)
class _Thread:
    """One thread as /proc tells it; `call` None: it runs."""

    id: int
    call: blocked_calls.BlockedCall | None
    inode: int


class StandReader:
    """Reads threads; remembers the sockets that they waited for at the read before."""

    def __init__(self, machine: str | None = None, *, most_in_all: int = _MOST_IN_ALL) -> None:
        """`machine` is that of uname, if it is not this one; `most_in_all` bounds the threads of one read."""
        self._machine = machine or os.uname().machine
        self._most_in_all = most_in_all
        self._known: dict[int, Mapping[int, _Connection]] = {}

    def read(
        self,
        reader: sock_diag.SockDiag,
        directory: listeners.Directory,
        namespace: int,
        pids: Iterable[samples.Pid],
    ) -> dict[samples.Pid, Stands]:
        """The threads of each process, ascending; Missing where they cannot be seen. Raises errors.WorldError."""
        found: dict[samples.Pid, list[_Thread] | samples.Missing] = {}
        left = self._most_in_all
        for pid in sorted(pids):
            these = found[pid] = self._threads(pid, left)
            left -= 0 if isinstance(these, samples.Missing) else len(these)
        inodes = {
            thread.inode
            for those in found.values()
            if not isinstance(those, samples.Missing)
            for thread in those
        }
        connections = self._connections(reader, directory, namespace, inodes - {0})
        return {
            pid: those
            if isinstance(those, samples.Missing)
            else tuple(_stand(pid, thread, connections.get(thread.inode, _OTHER)) for thread in those)
            for pid, those in found.items()
        }

    def _threads(self, pid: samples.Pid, left: int) -> list[_Thread] | samples.Missing:
        """Calls and inodes of the threads; sides and peers come later, of all processes at once."""
        if self._machine not in call_numbers.NUMBERS:
            return samples.Missing(f"the system call numbers of {self._machine} are not known")
        threads = procfs.threads(pid)
        if isinstance(threads, samples.Missing):
            return threads
        if len(threads) > min(_MOST_THREADS, left):
            return samples.Missing(
                f"process {pid} has {len(threads)} threads; a look reads at most {_MOST_THREADS} of a process "
                f"and {self._most_in_all} in all",
                f"take a thread dump: lastack dump {pid}",
            )
        if blocked_calls.is_foreign(pid):
            return samples.Missing(
                f"process {pid} is a 32-bit program, the numbers of whose system calls are not known",
                f"take a thread dump: lastack dump {pid}",
            )
        found: list[_Thread] = []
        inodes: dict[int, int] = {}
        why = samples.Missing(f"vanished: process {pid} is not there (any more)")
        for thread in threads:
            call = blocked_calls.of_thread(pid, thread, machine=self._machine)
            if isinstance(call, samples.Missing):
                if call.fix is not None:
                    return call
                why = call  # this thread ended; the others are there
                continue
            wanted = None if call is None else call.descriptor
            if wanted is not None and wanted not in inodes:
                inodes[wanted] = descriptors.socket_at(pid, wanted)
            found.append(_Thread(thread, call, 0 if wanted is None else inodes[wanted]))
        return found or why

    def _connections(
        self, reader: sock_diag.SockDiag, directory: listeners.Directory, namespace: int, inodes: set[int]
    ) -> Mapping[int, _Connection]:
        """Side and peer of every socket; one that is no connection of this namespace (unix, UDP) is `other`.

        A socket keeps its inode for life: only new ones are looked for, and that takes one walk for all.
        """
        before = self._known.get(namespace, {})
        found = {inode: before[inode] for inode in inodes if inode in before}
        found.update(dict.fromkeys(inodes & directory.inodes, _Connection("listening")))
        unknown = inodes - found.keys()
        if unknown:
            found.update(dict.fromkeys(unknown, _OTHER))
            table = reader.connections(unknown)
            for index, inode in enumerate(table.inodes):
                side: samples.Side = "inbound" if table.local_ports[index] in directory.ports else "outbound"
                found[inode] = _Connection(side, table.peer(index))
        if len(self._known) >= _MOST_NAMESPACES:
            self._known.clear()
        self._known[namespace] = found
        return found


def somebody_waits(depth: int, rows: samples.CloseWaitRows) -> bool:
    """Whether a listener with this queue and these accepted rows may have threads that hang."""
    return depth > 0 or sum(age >= _OLD_MS for age in rows.ages_ms) >= _SEVERAL


def of_owner(owner: samples.Owner, found: Mapping[samples.Pid, Stands]) -> Stands:
    """The threads of all processes of an owner, by pid; Missing where those of one are hidden."""
    every: list[samples.ThreadStand] = []
    why = owner.missing or samples.Missing("vanished: no process of the owner is there (any more)")
    for process in owner.processes:
        those = found[process.pid]
        if not isinstance(those, samples.Missing):
            every.extend(those)
        elif those.fix is not None:
            return those
        else:
            why = those
    return tuple(every) if every else why


def _stand(pid: samples.Pid, thread: _Thread, connection: _Connection) -> samples.ThreadStand:
    if thread.call is None:
        return samples.ThreadStand(pid, thread.id, running=True)
    return samples.ThreadStand(
        pid,
        thread.id,
        running=False,
        call=thread.call.name,
        inode=thread.inode,
        side=connection.side,
        peer=connection.peer,
    )
