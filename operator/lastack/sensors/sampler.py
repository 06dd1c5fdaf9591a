"""One look at listeners, their connections and owners: ports.Sampler on the real kernel.

Called by the loop each tick and by `lastack diagnose`. A look that cannot be had is a Sample with its reason;
nothing is kept open between looks, so that no namespace of a dead member is held.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from lastack import errors, ports
from lastack.engine import instants, samples
from lastack.kernel import features, listening, netns, procfs, sock_diag
from lastack.sensors import (
    connections,
    dead,
    groups,
    listeners,
    memories,
    namespaces,
    outbound,
    owners,
    processes,
    quiet,
    stands,
    tables,
)

_NOT_DEEP = samples.Missing("not looked at: it costs a walk over every socket")
_NO_CONNECTIONS = samples.Missing("not looked at: the namespace has no connections")
_NO_DROPS = samples.Missing("this kernel does not tell the drops of a listener")
_SHARED = samples.Missing(
    "several sockets listen here (SO_REUSEPORT): what nobody accepted yet cannot be tied to one of them",
    inherent=True,
)

_Result = TypeVar("_Result")
_Holders = Mapping[int, tuple[samples.Pid, ...]]
_Running = Mapping[samples.Pid, samples.ProcessSample]


@dataclasses.dataclass(frozen=True, slots=True)
class _Scene:
    """What one look has read of the sockets of a namespace."""

    at: instants.Now
    namespace: samples.NamespaceSample
    held: owners.Holders
    mine: _Holders
    """Those of the holders that were selected."""
    directory: listeners.Directory
    everything: Collection[sock_diag.Listener]
    chosen: tuple[sock_diag.Listener, ...]
    found: tables.Tables
    accepted: Mapping[int, samples.CloseWaitRows]
    """By the cookie of the listener."""

    def waiting(self, selection: ports.Selection) -> frozenset[int]:
        """Cookies of the listeners at which somebody waits, or whose owners were asked for in any case."""
        return frozenset(
            each.cookie
            for each in self.chosen
            if selection.stands or stands.somebody_waits(each.depth, self.accepted[each.cookie])
        )


class SocketSampler:
    """Looks by netlink and /proc; one per process, called from one thread at a time."""

    def __init__(self, clock: ports.Clock, offered: features.Features, sysctls: Collection[str] = ()) -> None:
        """Take the features of this kernel, and the sysctls that a namespace's sample shall have."""
        self._clock = clock
        self._offered = offered
        self._sysctls = tuple(sysctls)
        self._owners = owners.OwnerIndex()
        self._processes = processes.ProcessReader(counted_descriptors=offered.counted_descriptors)
        self._groups = groups.GroupReader()
        self._stands = stands.StandReader()
        self._clients = outbound.ClientIndex()
        self._dead = dead.DeadSocketIndex(can_ask=offered.pidfd_getfd)
        self._memories = memories.ListenerMemories()
        self._gate = quiet.Gate()
        self._known = listening.Known()

    def look(self, selection: ports.Selection) -> samples.Sample:
        """One look at everything selected; what cannot be seen is in `missing`, nothing is raised for it."""
        path = _path(selection)
        try:
            return _inside(path, lambda: self._look(selection))
        except errors.WorldError as problem:
            whole = (f"netns/{path or 'self'}", samples.Missing(problem.message, problem.fix))
            return samples.Sample(self._clock.now(), (), (whole, *_missing_pids(selection.pids, ())))

    def glance(self, selection: ports.Selection) -> None:
        """A LISTEN dump, which walks over no connection: the deepest queues are kept for the next look.

        60 listeners took 0.2 ms of processor time, where a look at them took 3.4 (Linux 6.18, 2 busy cores).
        """

        def dump() -> None:
            with self._reader() as reader:
                self._memories.glance(netns.own().inode, reader.listeners(ports=selection.ports))

        # What cannot be seen now is said by the next look.
        with contextlib.suppress(errors.WorldError):
            _inside(_path(selection), dump)

    def expect(self, inodes: Iterable[int]) -> None:
        """Ask at once who holds these listening sockets of any namespaces, before a look at each of them."""
        self._owners.holders(frozenset(inodes))

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """The inode of the process's network namespace; None where it cannot be seen or the process is gone."""
        try:
            return netns.identify(netns.path_of(pid)).inode
        except errors.WorldError:
            return None

    def _reader(self) -> sock_diag.SockDiag:
        return sock_diag.SockDiag.open(
            offered=self._offered.extensions, one_walk=self._offered.one_walk, known=self._known
        )

    def _look(self, selection: ports.Selection) -> samples.Sample:
        """The look itself, in the namespace of the calling thread."""
        with self._reader() as reader:
            scene = self._read(reader, selection)
            inode, waiting = scene.namespace.inode, scene.waiting(selection)
            at_stake = {
                pid for each in scene.chosen if each.cookie in waiting for pid in scene.mine[each.inode]
            }
            stood = self._stands.read(reader, scene.directory, inode, at_stake)
            serving = {pid for pids in scene.mine.values() for pid in pids}
            half_closed = scene.found.half_closed
            clients = self._clients.join(inode, half_closed.table, half_closed.outbound, selection, serving)
            # Whoever was asked for may have nothing left that is in a table.
            asked = (selection.pids or ()) if selection.deep else ()
            running = self._read_processes(
                {*serving, *clients.by_pid, *asked}, clients, None if selection.deep else at_stake
            )
            gone = self._dead.look(scene.at, running, scene.directory, reader, deep=selection.deep)
        running = {pid: gone.told(process) for pid, process in running.items()}
        looks = []
        for each in scene.chosen:
            owner = _owner([running[pid] for pid in scene.mine[each.inode] if pid in running], scene.held)
            listener = self._sample(each, scene, owner, gone)
            where = stands.of_owner(owner, stood) if each.cookie in waiting else samples.NOTHING_WAITS
            looks.append(samples.Look(scene.at, listener, owner, scene.namespace, where))
        self._memories.end_look(inode, {each.cookie for each in scene.everything})
        return samples.Sample(
            scene.at,
            tuple(looks),
            (*_missing_pids(selection.pids, scene.held.unseen | clients.unseen), *clients.missing()),
            _outbound(scene, clients, running, gone),
        )

    def _read(self, reader: sock_diag.SockDiag, selection: ports.Selection) -> _Scene:
        """Owners first, then everything else of one instant."""
        held = self._find_owners(reader, selection)
        mine = _selected(held.pids, selection.pids)
        # Listed again: to find owners takes its time, and queues and rows shall be of one instant.
        at = self._clock.now()
        everything = reader.listeners()
        directory = listeners.Directory(everything, held.pids)
        chosen = [each for each in everything if each.inode in mine]
        namespace = namespaces.read(self._sysctls, len(everything))
        connected = selection.deep or self._gate.is_open(namespace, len(everything))
        found = tables.dump(reader, directory, chosen, deep=selection.deep, connected=connected)
        chosen = _deepest(chosen, reader) if any(each.depth for each in chosen) else chosen
        table = found.half_closed.table
        accepted = {
            each.cookie: connections.accepted(table, found.half_closed.of(each), found.fin_ages)
            for each in chosen
        }
        return _Scene(at, namespace, held, mine, directory, everything, tuple(chosen), found, accepted)

    def _find_owners(self, reader: sock_diag.SockDiag, selection: ports.Selection) -> owners.Holders:
        """Holders of the listeners on the selected ports; beyond the selected processes in a deep look only."""
        wanted = {
            each.inode for each in reader.listeners() if not selection.ports or each.port in selection.ports
        }
        among = None if selection.deep else selection.pids
        return self._owners.holders(wanted, among)

    def _read_processes(
        self,
        pids: Collection[samples.Pid],
        clients: outbound.Joined,
        grouped: Collection[samples.Pid] | None,
    ) -> _Running:
        """Those of the processes that are still there; the control groups of `grouped` (None: of all)."""
        found = {}
        groups_of = self._groups.look()
        for pid in pids:
            group = groups_of(pid) if grouped is None or pid in grouped else samples.NOTHING_WAITS
            process = self._processes.read(pid, clients.amount(pid), group)
            if not isinstance(process, samples.Missing):
                found[pid] = process
        return found

    def _sample(
        self, listener: sock_diag.Listener, scene: _Scene, owner: samples.Owner, gone: dead.Dead
    ) -> samples.ListenerSample:
        shared, found = scene.directory.shared(listener), scene.found
        rows, key = scene.accepted[listener.cookie], (scene.namespace.inode, listener.cookie)
        peers, omitted = connections.peers(found.half_closed.table, found.half_closed.of(listener))
        sample = samples.ListenerSample(
            address=listeners.address_of(listener),
            cookie=listener.cookie,
            depth=listener.depth,
            limit=listener.limit,
            drops=_NO_DROPS if listener.drops is None else listener.drops,
            queued=_SHARED
            if shared
            else connections.queued(listener, found.waiting, found.half_closed, found.fin_ages),
            close_wait=rows,
            vanished_open=self._memories.vanished_open(key, rows, owner),
            established=_NOT_DEEP
            if found.established is None
            else connections.accepted_count(found.established.table, found.established.of(listener)),
            syn_received=_syn_received(listener, found, shared=shared),
            reuseport=shared,
            peers=peers,
            peers_omitted=omitted,
            peak=self._memories.peak(key, listener.depth),
            trough=self._memories.trough(key, listener.depth),
            dead=gone.of_listener(listener.cookie, [process.pid for process in owner.processes]),
            unread_ages_ms=connections.unread_ages(found.waiting.table, found.waiting.of(listener))
            if listener.depth and not shared
            else samples.NOT_BUSY,
        )
        self._memories.keep(key, rows)
        return sample


def _inside(path: str | None, work: Callable[[], _Result]) -> _Result:
    """Do the work in the namespace at a path, without a thread where that is the own one."""
    if path is None or netns.identify(path) == netns.own():
        return work()
    return netns.call_in(path, work)


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


def _syn_received(
    listener: sock_diag.Listener, found: tables.Tables, *, shared: bool
) -> int | samples.Missing:
    if shared:
        return _SHARED
    return _NO_CONNECTIONS if found.opening is None else len(found.opening.of(listener))


def _outbound(
    scene: _Scene, clients: outbound.Joined, running: _Running, gone: dead.Dead
) -> tuple[samples.OutboundLook, ...]:
    """What each process has open as a client, by pid; one that ended meanwhile has nothing."""
    return tuple(
        outbound.look(
            scene.at,
            running[pid],
            scene.found,
            clients.by_pid.get(pid, ()),
            namespace=scene.namespace,
            dead=gone.of_client(pid),
        )
        for pid in sorted(clients.by_pid.keys() | gone.outbound.keys())
        if pid in running
    )


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
