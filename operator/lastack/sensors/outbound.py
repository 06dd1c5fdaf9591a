"""The CLOSE_WAIT sockets that processes have as clients, by process. Called by sampler.

The kernel does not say who holds a socket: rows are joined with descriptors, which costs about 5 us per open file.
So a row is joined once and remembered while it is there, and cheap looks join only where a leak could begin.
"""

import collections
import dataclasses
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence

from lastack import ports
from lastack.engine import instants, samples
from lastack.kernel import descriptors, procfs, socket_tables
from lastack.sensors import connections, owners, tables

_WORTH_A_JOIN = 20
"""Rows of a namespace below which a cheap look does not ask whose they are: no leak is named with fewer."""
_MOST_NAMESPACES = 1024
"""Beyond so many remembered namespaces all are forgotten, so that memory stays flat."""
_NOT_ASKED = samples.Missing("not looked at: it costs a walk over the open files of the process", quiet=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """Rows by the process that holds them, and what could not be seen.

    `asked` are the processes that were asked, None where there is no row to ask for. `hidden` rows are held by
    processes that may not be looked into (`unseen`), as far as one can tell.
    """

    by_pid: Mapping[samples.Pid, Sequence[int]]
    unseen: frozenset[int]
    hidden: int
    asked: frozenset[int] | None

    def amount(self, pid: samples.Pid) -> int | samples.Missing:
        """ProcessSample.outbound of a process."""
        if self.asked is None:
            return 0
        if pid not in self.asked:
            return _NOT_ASKED
        return owners.UNSEEN if pid in self.unseen else len(self.by_pid.get(pid, ()))

    def missing(self) -> tuple[tuple[str, samples.Missing], ...]:
        """What a sample says about rows whose process is hidden."""
        if not self.hidden:
            return ()
        why = (
            f"{self.hidden} sockets in CLOSE_WAIT without a listener belong to processes that cannot be seen"
        )
        return (("closeWait.outbound", samples.Missing(why, owners.UNSEEN.fix)),)


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """The processes that hold a socket, and all that were asked."""

    pids: tuple[int, ...]
    asked: frozenset[int]


class ClientIndex:
    """Remembers who holds outbound sockets, by namespace and inode, while their rows are there."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[int, dict[int, _Held]] = {}

    def join(
        self,
        namespace: int,
        table: socket_tables.SocketTable,
        rows: Sequence[int],
        selection: ports.Selection,
        serving: Iterable[samples.Pid],
    ) -> Joined:
        """The `rows` of the table by the process that holds them; `serving` own the listeners that were selected.

        A deep look asks every process that was selected, a cheap one those that are known already.
        """
        of_inode = {table.inodes[index]: index for index in rows if table.inodes[index]}
        if not of_inode:
            self._known.pop(namespace, None)
            return Joined({}, frozenset(), 0, asked=None)
        if not selection.deep and len(of_inode) < _WORTH_A_JOIN:
            return Joined({}, frozenset(), 0, asked=frozenset())
        before = self._known.get(namespace, {})
        there = _asked(selection, serving, before)
        found, unseen = _holders(of_inode.keys(), there, before)
        if len(self._known) >= _MOST_NAMESPACES:
            self._known.clear()
        self._known[namespace] = found
        by_pid: dict[samples.Pid, list[int]] = collections.defaultdict(list)
        keepers: dict[tuple[int, ...], samples.Pid] = {}
        hidden = 0
        for inode, index in of_inode.items():
            pids = found[inode].pids
            if not pids:
                # Where processes were asked for by pid, each that is hidden is said by its own name.
                hidden += bool(unseen) and selection.pids is None
                continue
            if pids not in keepers:
                keepers[pids] = _keeper(pids)
            by_pid[keepers[pids]].append(index)
        return Joined(by_pid, unseen, hidden, asked=there)


def look(
    at: instants.Now,
    process: samples.ProcessSample,
    found: tables.Tables,
    rows: Sequence[int],
    *,
    namespace: samples.NamespaceSample,
    dead: tuple[samples.DeadSockets | samples.Missing, tuple[str, ...]],
) -> samples.OutboundLook:
    """These rows of the half-closed table, which one process holds, as columns, and its `dead` sockets by peer."""
    table = found.half_closed.table
    names: dict[str, int] = {}
    peer_of = array("I", (names.setdefault(table.peer(index), len(names)) for index in rows))
    gone, peers = dead
    dead_peer_of = array("I", (names.setdefault(peer, len(names)) for peer in peers))
    return samples.OutboundLook(
        at=at,
        process=process,
        rows=connections.accepted(table, rows, found.fin_ages),
        peers=tuple(names),
        peer_of=peer_of,
        namespace=namespace,
        dead=gone,
        dead_peer_of=None if isinstance(gone, samples.Missing) else dead_peer_of,
    )


def _asked(
    selection: ports.Selection, serving: Iterable[samples.Pid], before: Mapping[int, _Held]
) -> frozenset[int]:
    """The processes whose descriptors are looked at."""
    if selection.pids is not None:
        return frozenset(selection.pids)
    if selection.ports:
        return frozenset(serving)
    if selection.deep:
        return frozenset(procfs.pids())
    return frozenset(pid for held in before.values() for pid in held.pids)


def _holders(
    inodes: Collection[int], there: frozenset[int], before: Mapping[int, _Held]
) -> tuple[dict[int, _Held], frozenset[int]]:
    """Who of `there` holds each socket; a process is asked about a socket once."""
    groups: dict[frozenset[int], list[int]] = collections.defaultdict(list)
    for inode in inodes:
        held = before.get(inode)
        # A socket that lost its last known holder was passed on: everybody is asked anew.
        lost = held is None or (held.pids and there.isdisjoint(held.pids))
        groups[frozenset() if held is None or lost else held.asked].append(inode)
    found: dict[int, set[int]] = {
        inode: set(before[inode].pids) & there if inode in before else set() for inode in inodes
    }
    asked: dict[int, frozenset[int]] = {}
    unseen: set[int] = set()
    for already, group in groups.items():
        seen = set(there & already)
        for pid in there - already:
            held_here = descriptors.sockets(pid, wanted=group, newest_first=True)
            if not isinstance(held_here, samples.Missing):
                seen.add(pid)
                for inode in held_here:
                    found[inode].add(pid)
            elif held_here.fix is not None:
                unseen.add(pid)
        asked.update(dict.fromkeys(group, frozenset(seen)))
    return (
        {inode: _Held(tuple(sorted(pids)), asked[inode]) for inode, pids in found.items()},
        frozenset(unseen),
    )


def _keeper(pids: tuple[int, ...]) -> samples.Pid:
    """One of the processes that share a socket, so that it counts once: a master before its workers."""
    if len(pids) == 1:
        return samples.Pid(pids[0])
    facts = [found for pid in pids if not isinstance(found := procfs.process(pid), samples.Missing)]
    roots = [each.pid for each in facts if each.parent not in pids]
    return samples.Pid(min(roots or pids))
