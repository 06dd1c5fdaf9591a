"""Which sockets a socketDestroy act may take right now, read from the kernel anew. Called by socket_destroys.

The plan is some seconds old when it is carried out. So everything that it rests on is looked at again: whose socket it
is, who stands on it, to whom it goes, and for how long nothing has come or gone.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from lastack import quantities
from lastack.engine import actions, samples, stands, stuck_sockets, thresholds
from lastack.kernel import (
    blocked_calls,
    descriptors,
    inet_diag,
    netns,
    sock_destroy,
    sock_diag,
    socket_tables,
)
from lastack.policy import vocabulary

_SILENT_MS = thresholds.SOCKET_SILENT // dt.timedelta(milliseconds=1)
_LEAST = quantities.short(thresholds.SOCKET_SILENT)
_TCP_INFO = frozenset({inet_diag.Extension.TCP_INFO})
_CLOSE_WAIT = frozenset({inet_diag.State.CLOSE_WAIT})


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One socket that may be destroyed; `stuck` is the thread that waits on it, None of a CLOSE_WAIT kind."""

    named: sock_destroy.Named
    local: str
    peer: str
    silent_ms: int
    stuck: stuck_sockets.StuckSocket | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Choices:
    """What may be destroyed, and why the rest of what was planned may not."""

    sockets: tuple[Choice, ...]
    kept: tuple[str, ...]
    silent_in_ms: int = 0
    """When the last of those that may be destroyed but for their silence will have been silent for long enough."""


def choose(work: actions.SocketBatch) -> Choices:
    """The sockets of the plan that may be destroyed at this instant. Raises errors.WorldError."""
    with netns.open_sock_diag(netns.path_of(work.pid)) as reader:
        if work.settings.sockets is vocabulary.SocketKind.STUCK_OUTBOUND:
            return _stuck(work, reader)
        return _half_closed(work, reader)


def still_waits(stuck: stuck_sockets.StuckSocket) -> str | None:
    """Why the thread does not stand on the socket any more; None while it does."""
    call = blocked_calls.of_thread(stuck.pid, stuck.thread)
    who = f"thread {stuck.thread} of process {stuck.pid}"
    if isinstance(call, samples.Missing):
        return f"{who}: {call.why}"
    if call is None:
        return f"{who} runs"
    if call.descriptor is None or descriptors.socket_at(stuck.pid, call.descriptor) != stuck.inode:
        return f"{who} waits for something else now"
    return None


def present(namespace_of: samples.Pid, inodes: frozenset[int]) -> frozenset[int]:
    """Which of the sockets with these inodes are still in the table. Raises errors.WorldError."""
    with netns.open_sock_diag(netns.path_of(namespace_of)) as reader:
        return frozenset(reader.connections(inodes).inodes)


def remaining(work: actions.SocketBatch, those: Sequence[Choice]) -> int:
    """How many of these sockets are still in the table, whatever has become of them. Raises errors.WorldError."""
    inodes = frozenset(choice.stuck.inode for choice in those if choice.stuck is not None)
    with netns.open_sock_diag(netns.path_of(work.pid)) as reader:
        table = reader.connections(inodes) if inodes else reader.sockets(_CLOSE_WAIT)
    there = frozenset(table.cookies)
    return sum(choice.named.cookie in there for choice in those)


def _stuck(work: actions.SocketBatch, reader: sock_diag.SockDiag) -> Choices:
    planned = {each.inode: each for each in work.sockets}
    listened = {listener.port for listener in reader.listeners()}
    table = reader.connections(frozenset(planned), extensions=_TCP_INFO)
    found, kept, silent_in_ms = [], [], 0
    for index, inode in enumerate(table.inodes):
        stuck = planned.pop(inode)
        why, silent = _unfit(work, stuck, table, index, listened), _silent_ms(table, index)
        if why is None and silent is not None and silent < _SILENT_MS:
            silent_in_ms = max(silent_in_ms, _SILENT_MS - silent)
            why = f"something came or went {silent / 1000:.0f} s ago; it has to be silent for {_LEAST}"
        if why is None:
            found.append(_choice(table, index, stuck))
        else:
            kept.append(f"{table.peer(index)}: {why}")
    kept += [f"{stuck.peer}: the connection is gone" for stuck in planned.values()]
    return Choices(tuple(found), tuple(kept), silent_in_ms)


def _unfit(
    work: actions.SocketBatch,
    stuck: stuck_sockets.StuckSocket,
    table: socket_tables.SocketTable,
    index: int,
    listened: set[int],
) -> str | None:
    """Why this connection is not destroyed, however silent it is; None when it may be."""
    if stuck.pid not in work.pids or stuck.call in stands.RESTS:
        return f"it is not one on which a thread of process {work.pid} waits"
    if table.peer(index) != stuck.peer or not work.settings.allows(stuck.peer):
        return "the policy does not name this peer"
    if table.local_ports[index] in listened:
        return f"port {table.local_ports[index]} has a listener: it may be a client's connection"
    if _silent_ms(table, index) is None:
        return "this kernel does not tell for how long it has been silent"
    if stuck.thread == stuck.pid and _has_event_loop(stuck.pid):
        return f"the main thread of process {stuck.pid} runs an event loop: every other connection hangs on it, too"
    return still_waits(stuck)


def _half_closed(work: actions.SocketBatch, reader: sock_diag.SockDiag) -> Choices:
    """Rows of the member alone: of its ports and processes, silent for long, at most as many as the policy allows."""
    kind, pids = work.settings.sockets, frozenset(work.pids)
    listened = {listener.port: listener.inode for listener in reader.listeners()}
    own_ports = _own_ports(listened, pids) & (work.ports or listened.keys())
    outbound = kind is vocabulary.SocketKind.CLOSE_WAIT_OUTBOUND
    table = reader.sockets(_CLOSE_WAIT, ports=() if outbound else sorted(own_ports), extensions=_TCP_INFO)
    owned = frozenset(inode for pid in pids for inode in _inodes(pid))
    found = []
    for index in range(len(table)):
        inode, port = table.inodes[index], table.local_ports[index]
        place = port not in listened if outbound else port in own_ports
        mine = inode in owned if inode else kind is vocabulary.SocketKind.CLOSE_WAIT_QUEUED
        silent = _silent_ms(table, index)
        if not place or not mine or _kind_of(inode, table.rqueues[index], outbound=outbound) is not kind:
            continue
        if silent is not None and silent >= _SILENT_MS and work.settings.allows(table.peer(index)):
            found.append(_choice(table, index, None))
    found.sort(key=lambda each: -each.silent_ms)
    return Choices(tuple(found[: work.settings.limit]), ())


def _kind_of(inode: int, unread: int, *, outbound: bool) -> vocabulary.SocketKind:
    if outbound:
        return vocabulary.SocketKind.CLOSE_WAIT_OUTBOUND
    if not inode:
        return vocabulary.SocketKind.CLOSE_WAIT_QUEUED
    return vocabulary.SocketKind.CLOSE_WAIT_UNREAD if unread else vocabulary.SocketKind.CLOSE_WAIT_HELD


def _own_ports(listened: dict[int, int], pids: frozenset[samples.Pid]) -> set[int]:
    """The ports whose listener no other process holds: a connection that waits there is for nobody else."""
    holders = descriptors.holders(tuple(listened.values())).pids
    return {port for port, inode in listened.items() if holders[inode] and pids.issuperset(holders[inode])}


def _inodes(pid: samples.Pid) -> tuple[int, ...]:
    held = descriptors.sockets(pid)
    return () if isinstance(held, samples.Missing) else tuple(held)


def _choice(table: socket_tables.SocketTable, index: int, stuck: stuck_sockets.StuckSocket | None) -> Choice:
    address = table.local_address(index)
    host = f"[{address}]" if ":" in address else address
    return Choice(
        named=sock_destroy.name(table, index),
        local=f"{host}:{table.local_ports[index]}",
        peer=table.peer(index),
        silent_ms=_silent_ms(table, index) or 0,
        stuck=stuck,
    )


def _silent_ms(table: socket_tables.SocketTable, index: int) -> int | None:
    """How long nothing has come and nothing has gone; answered keep-alive probes are neither."""
    sent, received = table.last_data_sent_ms[index], table.last_data_recv_ms[index]
    return None if sent is None or received is None else min(sent, received)


def _has_event_loop(pid: samples.Pid) -> bool:
    """Whether the process has an epoll instance; one that cannot be looked into counts as having one."""
    found = descriptors.has_epoll(pid)
    return isinstance(found, samples.Missing) or found
