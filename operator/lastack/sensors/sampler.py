"""One look at listeners, their connections and owners: ports.Sampler on the real kernel.

Called by the loop each tick and by `lastack diagnose`. A look that cannot be had is a Sample with its reason;
nothing is kept open between looks, so that no namespace of a dead member is held.
"""

import dataclasses
from collections.abc import Collection, Mapping

from lastack import errors, ports
from lastack.engine import samples
from lastack.kernel import descriptors, features, inet_diag, netns, procfs, sock_diag
from lastack.sensors import connections, listeners, namespaces, owners, processes, tables

_NOT_DEEP = samples.Missing("not looked at: it costs a walk over every socket")
_FIRST_LOOK = samples.Missing("there was no look before")
_NO_DROPS = samples.Missing("this kernel does not tell the drops of a listener")
_SHARED = samples.Missing(
    "several sockets listen here (SO_REUSEPORT): what nobody accepted yet cannot be tied to one of them",
    inherent=True,
)
_REMEMBERED_LOOKS = 1000
"""A listener that this sampler has not looked at for so many looks is forgotten."""

_Holders = Mapping[int, tuple[samples.Pid, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Before:
    """The accepted CLOSE_WAIT rows of a listener at the look before, and which look that was."""

    rows: samples.CloseWaitRows
    look: int


class SocketSampler:
    """Looks by netlink and /proc; one per process, called from one thread at a time."""

    def __init__(self, clock: ports.Clock, offered: features.Features, sysctls: Collection[str] = ()) -> None:
        """Take the features of this kernel, and the sysctls that a namespace's sample shall have."""
        self._clock = clock
        self._offered = offered
        self._sysctls = tuple(sysctls)
        self._owners = owners.OwnerIndex()
        self._processes = processes.ProcessReader(counted_descriptors=offered.counted_descriptors)
        self._before: dict[tuple[int, int], _Before] = {}
        self._looks = 0

    def look(self, selection: ports.Selection) -> samples.Sample:
        """One look at everything selected; what cannot be seen is in `missing`, nothing is raised for it."""
        self._looks += 1
        path = _path(selection)
        try:
            if path is None or netns.identify(path) == netns.own():
                return self._look(selection)
            return netns.call_in(path, lambda: self._look(selection))
        except errors.WorldError as problem:
            whole = (f"netns/{path or 'self'}", samples.Missing(problem.message, problem.fix))
            return samples.Sample(self._clock.now(), (), (whole, *_missing_pids(selection.pids, ())))

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """The inode of the process's network namespace; None where it cannot be seen or the process is gone."""
        try:
            return netns.identify(netns.path_of(pid)).inode
        except errors.WorldError:
            return None

    def _look(self, selection: ports.Selection) -> samples.Sample:
        """The look itself, in the namespace of the calling thread."""
        with sock_diag.SockDiag.open(
            offered=self._offered.extensions, one_walk=self._offered.one_walk
        ) as reader:
            held = self._find_owners(reader, selection)
            mine = _selected(held.pids, selection.pids)
            # Listed again: to find owners takes its time, and queues and rows shall be of one instant.
            at = self._clock.now()
            everything = reader.listeners()
            directory = listeners.Directory(everything, held.pids)
            chosen = [each for each in everything if each.inode in mine]
            found = tables.dump(reader, directory, chosen, deep=selection.deep)
            chosen = _deepest(chosen, reader) if any(each.depth for each in chosen) else chosen
        namespace = namespaces.read(self._sysctls)
        running = self._read_processes(
            {pid for pids in mine.values() for pid in pids}, found.half_closed, selection
        )
        looks = []
        for each in chosen:
            owner = _owner([running[pid] for pid in mine[each.inode] if pid in running], held)
            listener = self._sample(each, directory, found, owner, namespace.inode)
            looks.append(samples.Look(at, listener, owner, namespace))
        self._forget(namespace.inode, {each.cookie for each in everything})
        return samples.Sample(at, tuple(looks), _missing_pids(selection.pids, held.unseen))

    def _find_owners(self, reader: sock_diag.SockDiag, selection: ports.Selection) -> owners.Holders:
        """Holders of the listeners on the selected ports; beyond the selected processes in a deep look only."""
        wanted = {
            each.inode for each in reader.listeners() if not selection.ports or each.port in selection.ports
        }
        among = None if selection.deep else selection.pids
        return self._owners.holders(wanted, among)

    def _read_processes(
        self, pids: Collection[samples.Pid], half_closed: listeners.Sorted, selection: ports.Selection
    ) -> dict[samples.Pid, samples.ProcessSample]:
        """Those of the processes that are still there."""
        table = half_closed.table
        outbound = {table.inodes[index] for index in half_closed.outbound} - {0}
        found = {}
        for pid in pids:
            calls: int | samples.Missing = _NOT_DEEP
            if selection.deep:
                sockets = descriptors.sockets(pid, wanted=outbound)
                calls = sockets if isinstance(sockets, samples.Missing) else len(sockets)
            process = self._processes.read(pid, calls)
            if not isinstance(process, samples.Missing):
                found[pid] = process
        return found

    def _sample(
        self,
        listener: sock_diag.Listener,
        directory: listeners.Directory,
        found: tables.Tables,
        owner: samples.Owner,
        namespace: int,
    ) -> samples.ListenerSample:
        shared = directory.shared(listener)
        table, rows = found.half_closed.table, found.half_closed.of(listener)
        accepted = connections.accepted(table, rows, found.fin_ages)
        peers, omitted = connections.peers(table, rows)
        established: int | samples.Missing = _NOT_DEEP
        syn_received: int | samples.Missing = _NOT_DEEP
        if found.counted is not None:
            counted, through = found.counted.table, found.counted.of(listener)
            established = connections.count(counted, through, inet_diag.State.ESTABLISHED)
            syn_received = (
                _SHARED if shared else connections.count(counted, through, inet_diag.State.SYN_RECV)
            )
        return samples.ListenerSample(
            address=listeners.address_of(listener),
            cookie=listener.cookie,
            depth=listener.depth,
            limit=listener.limit,
            drops=_NO_DROPS if listener.drops is None else listener.drops,
            queued=_SHARED
            if shared
            else connections.queued(listener, found.waiting, found.half_closed, found.fin_ages),
            close_wait=accepted,
            vanished_open=self._vanished_open((namespace, listener.cookie), accepted, owner),
            established=established,
            syn_received=syn_received,
            reuseport=shared,
            peers=peers,
            peers_omitted=omitted,
        )

    def _vanished_open(
        self, key: tuple[int, int], rows: samples.CloseWaitRows, owner: samples.Owner
    ) -> int | samples.Missing:
        """Held rows of the look before that are gone although a process of the owner still has them open."""
        before = self._before.get(key)
        self._before[key] = _Before(rows, self._looks)
        if before is None:
            return _FIRST_LOOK
        gone = connections.vanished(before.rows, rows)
        if not gone:
            return 0
        if owner.missing is not None:
            return owner.missing
        still_open: set[int] = set()
        for process in owner.processes:
            held = descriptors.sockets(process.pid, wanted=gone)
            if isinstance(held, samples.Missing):
                return held
            still_open.update(held)
        return len(still_open)

    def _forget(self, namespace: int, cookies: Collection[int]) -> None:
        """Keep memory flat: listeners that are gone or that nobody looks at any more are forgotten."""
        oldest = self._looks - _REMEMBERED_LOOKS
        self._before = {
            key: before
            for key, before in self._before.items()
            if before.look >= oldest and (key[0] != namespace or key[1] in cookies)
        }


def _path(selection: ports.Selection) -> str | None:
    """The namespace to look at; None: the caller's own."""
    if selection.netns_pid is not None:
        return netns.path_of(selection.netns_pid)
    return selection.netns_path


def _deepest(before: list[sock_diag.Listener], reader: sock_diag.SockDiag) -> list[sock_diag.Listener]:
    """The busy listeners with the larger of their depths before and after the rows were read.

    A connection that arrives between the two would else be a row without a slot, and hide that another row went
    with its client while its slot stayed taken: a stalled listener would seem to have accepted one.
    """
    after = {each.cookie: each.depth for each in reader.listeners()}
    return [
        dataclasses.replace(each, depth=max(each.depth, after.get(each.cookie, 0))) if each.depth else each
        for each in before
    ]


def _selected(holders: _Holders, pids: frozenset[samples.Pid] | None) -> _Holders:
    if pids is None:
        return holders
    return {inode: held for inode, held in holders.items() if not pids.isdisjoint(held)}


def _owner(running: list[samples.ProcessSample], held: owners.Holders) -> samples.Owner:
    if running:
        return samples.Owner(owners.main_pid(running), tuple(running))
    return samples.Owner(None, (), held.why_none())


def _missing_pids(
    pids: frozenset[samples.Pid] | None, unseen: Collection[int]
) -> tuple[tuple[str, samples.Missing], ...]:
    """The selected processes that are not there, or that may not be looked into."""
    found = []
    for pid in sorted(pids or ()):
        if procfs.is_gone(pid):
            found.append((f"pid/{pid}", samples.Missing(f"process {pid} does not exist (any more)")))
        elif pid in unseen:
            found.append((f"pid/{pid}", owners.UNSEEN))
    return tuple(found)
