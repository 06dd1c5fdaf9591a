"""What was seen at one instant. Made by sensors, read by engine.signals; holds no decisions.

A `Look` is one listener as one owner has it; a `Window` is the same listener and owner at several instants.
Large sets of sockets are columns (arrays of equal length), because a hundred thousand small objects are
a hundred megabytes.
"""

from __future__ import annotations  # array.array takes no [] at run time before 3.12

import collections
import dataclasses
import datetime as dt
from array import array
from collections.abc import Mapping
from typing import Literal, NewType

from lastack.engine import instants, trends
from lastack.policy import vocabulary

Pid = NewType("Pid", int)
_SIGNALS = frozenset(vocabulary.SignalName)
Family = Literal["inet", "inet6"]


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """Why something could not be read; never replaced by 0.

    `inherent` is true for what a listener of this kind can never have: nothing is wrong, and no right would help.
    `quiet` is true where too little has happened, or for too short a time, to tell: no trigger is raised by it.
    """

    why: str
    fix: str | None = None
    inherent: bool = False
    quiet: bool = False


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ListenerAddress:
    """Where a listener listens: `*` is dual-stack, `0.0.0.0` IPv4, `::` IPv6 only; no brackets."""

    address: str
    port: int
    family: Family

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class QueuedRows:
    """Connections that the kernel finished and the application has not accepted: inode 0, one element each.

    `ages_ms` counts from the end of the handshake (tcpi_last_data_sent: such a socket never sent data).
    `close_wait` of them have their peer's FIN already, the oldest since `oldest_fin_ms`.
    """

    cookies: array[int]
    ages_ms: array[int]
    close_wait: int = 0
    oldest_fin_ms: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class CloseWaitRows:
    """Accepted connections whose peer has sent its FIN and that the application has not closed, one element each.

    `unread` is Recv-Q in bytes, the FIN counting one. `ages_ms` is the time since the FIN, or an upper bound of it
    under keep-alive, whose answered probes reset the kernel's own figure. `sent_ms` is the time since the
    application last sent data on the socket.
    """

    cookies: array[int]
    inodes: array[int]
    unread: array[int]
    ages_ms: array[int]
    sent_ms: array[int]


@dataclasses.dataclass(frozen=True, slots=True)
class DeadSockets:
    """Connections that are over (reset) while a descriptor of them is open, one element each: they are in no table.

    `unread` are the bytes that the process has not read. `ages_ms` is the time since data last came or went, which is
    no less than the time since the FIN, as of rows under keep-alive.
    """

    inodes: array[int]
    unread: array[int]
    ages_ms: array[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Connections that a process made itself to one server, and on which nothing has come or gone for 30 s or longer.

    An idle pool looks so, and so do handlers that wait for an answer.
    """

    peer: str
    connections: int


NOT_WALKED = Missing("not looked at: it costs a walk over the open files of the process", quiet=True)
"""Why a look has no dead sockets: too few sockets are in no table, or a look before has asked."""


NOT_BUSY = Missing(
    "not looked at: it costs a walk over established connections, and nobody waits", quiet=True
)
"""Why a look has no ages of unread connections: the queue is empty, or a recording is older than they are."""


@dataclasses.dataclass(frozen=True, slots=True)
class PeerCount:
    """How many CLOSE_WAIT sockets one peer address has; v4-mapped addresses are IPv4."""

    address: str
    close_wait: int


@dataclasses.dataclass(frozen=True, slots=True)
class ListenerSample:
    """One LISTEN socket and the connections that belong to it.

    `depth` and `limit` are of the accept queue; the limit was frozen when listen() ran. `drops` counts since the
    socket was made (sk_drops), for any reason, stray segments included. A new `cookie` is a new listen socket,
    whose counters start again.
    """

    address: ListenerAddress
    cookie: int
    depth: int
    limit: int
    drops: int | Missing
    queued: QueuedRows | Missing
    close_wait: CloseWaitRows
    vanished_open: int | Missing
    """Accepted CLOSE_WAIT rows that vanished since the look before while their descriptor stayed open."""
    established: int | Missing
    syn_received: int | Missing
    reuseport: bool
    peers: tuple[PeerCount, ...]
    peers_omitted: int
    peak: int | None = None
    """The largest depth since the look before, by glances between the two; None where nobody glanced."""
    trough: int | None = None
    """The smallest depth since the look before, likewise: a queue that is full at every look may be empty between."""
    dead: DeadSockets | Missing = NOT_WALKED
    """What came through this listener, is over, and is still open in a process of its owner."""
    unread_ages_ms: array[int] | Missing = NOT_BUSY
    """Of accepted connections that are open on both sides and hold data which the process has not read: the time since
    data last came, one element each."""


STOPPED = frozenset({"T", "t"})
"""States of a process that was stopped by a signal, or by a tracer."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one instant; `started` is since boot and, with the pid, says which process it is."""

    pid: Pid
    parent: Pid | None
    command: str
    started: dt.timedelta
    open_files: int | Missing
    open_files_limit: int | Missing
    threads: int | Missing
    outbound: int | Missing = Missing("not looked at")
    """CLOSE_WAIT sockets of this process whose local port has no listener."""
    unit: str | None = None
    container: str | None = None
    state: str | Missing = Missing("not looked at")
    """One letter as in ps: R, S, D (unkillable sleep), T (stopped), t (traced), Z (ended)."""
    cpu: dt.timedelta | Missing = Missing("not looked at")
    """Processor time of all its threads since it began, user and system."""
    group: GroupSample | Missing = Missing("not looked at")
    dead: int | Missing = NOT_WALKED
    """Its descriptors of TCP connections that are over, whoever made them."""
    silence: Silence | None = None
    """The server to which it has most such connections; looked at only where many of its sockets are dead."""

    @property
    def files_share(self) -> float:
        """Open files by limit; -1 where one of them is not known."""
        if isinstance(self.open_files, Missing) or isinstance(self.open_files_limit, Missing):
            return -1
        return self.open_files / self.open_files_limit if self.open_files_limit > 0 else 1


@dataclasses.dataclass(frozen=True, slots=True)
class GroupSample:
    """What the control group of a process holds it to, cgroup v1 or v2; counters since the group was made.

    `memory_limit` None is no limit. `memory_refused` counts how often the limit was hit (v2: `max` of memory.events,
    v1: memory.failcnt); `memory_stalled` is the time in which some task waited for memory (PSI, v2 only).
    """

    periods: int | Missing
    """Enforcement periods of the processor quota in which the group wanted to run (nr_periods); 0 without a quota."""
    throttled_periods: int | Missing
    """Those of them in which the quota ran out and the group had to wait (nr_throttled)."""
    memory: int | Missing
    memory_limit: int | Missing | None
    memory_refused: int | Missing
    memory_stalled: dt.timedelta | Missing


Side = Literal["inbound", "outbound", "listening", "other"]


@dataclasses.dataclass(frozen=True, slots=True)
class ThreadStand:
    """Where one thread of an owner stood at one instant, from /proc/PID/task/TID/syscall, without stopping it.

    `call` is the system call in which it sleeps (read, recvfrom, poll, futex, ...; None for one without a name here).
    `running` is true while it runs or is ready to run. `inode` is the socket behind the one descriptor that it waits
    for, 0 where there is none; `side` then says whose connection it is: inbound came through a listener, outbound
    this process made itself. `peer` is "ADDRESS:PORT" of a connection, v4-mapped as IPv4, IPv6 in brackets.
    """

    pid: Pid
    thread: int
    running: bool
    call: str | None = None
    inode: int = 0
    side: Side = "other"
    peer: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceSample:
    """What the kernel counts per network namespace: ambient, never of one listener.

    `counters` are TcpExt and Tcp names as in /proc/net/netstat and snmp (ListenDrops, PassiveOpens, ...).
    `sysctls` are values as text, by name (net.core.somaxconn, ...).
    """

    inode: int
    counters: Mapping[str, int] | Missing
    sysctls: Mapping[str, str]
    listeners: int | Missing = Missing("not looked at")
    """How many LISTEN sockets it has, whoever was asked for: what it counts can be tied to one that is alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """The processes that hold one listening socket.

    `pid` is the owner whose parent is not an owner (PID 1 only if it is alone; several left: the youngest); None
    where no owner can be seen, and `missing` then says why.
    """

    pid: Pid | None
    processes: tuple[ProcessSample, ...]
    missing: Missing | None = None

    @property
    def main(self) -> ProcessSample | None:
        """The process that `pid` names."""
        return next((process for process in self.processes if process.pid == self.pid), None)

    @property
    def workers(self) -> tuple[ProcessSample, ...]:
        """The processes that serve: of a master that forked others, those others."""
        pids = {process.pid for process in self.processes}
        return tuple(process for process in self.processes if process.parent in pids) or self.processes

    @property
    def fullest(self) -> ProcessSample | None:
        """The process with the largest share of its file limit in use: of a pre-forking server a worker.

        Of several, and where none can be counted, the one that `pid` names.
        """
        return max(
            self.processes, key=lambda process: (process.files_share, process.pid == self.pid), default=None
        )


NOTHING_WAITS = Missing("not looked at: nothing waits here")
"""Why a look has no stands: nobody was waiting, and to read them costs a file a thread."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One listener as one owner has it, at one instant."""

    at: instants.Now
    listener: ListenerSample
    owner: Owner
    namespace: NamespaceSample
    stands: tuple[ThreadStand, ...] | Missing = NOTHING_WAITS
    """Where the threads of the owner stood; looked at only while somebody waits, since it costs a read a thread."""


@dataclasses.dataclass(frozen=True, slots=True)
class OutboundLook:
    """The CLOSE_WAIT sockets that one process has as a client (no listener on their local port), at one instant.

    And those that are over although it still has them open: a process that has only such ones has a look, too.
    `peer_of` says for each row which of `peers` ("ADDRESS:PORT" as in ThreadStand.peer) it is connected to.
    """

    at: instants.Now
    process: ProcessSample
    rows: CloseWaitRows
    peers: tuple[str, ...]
    peer_of: array[int]
    namespace: NamespaceSample
    dead: DeadSockets | Missing = NOT_WALKED
    """Connections that it made itself, that are over, and that it still has open."""
    dead_peer_of: array[int] | None = None
    """As `peer_of`, for `dead`; None where that is missing."""

    @property
    def peer_counts(self) -> tuple[PeerCount, ...]:
        """How many sockets each peer has here, the most first; its address has the port."""
        counts = collections.Counter(self.peer_of)
        named = [PeerCount(self.peers[index], count) for index, count in counts.items()]
        return tuple(sorted(named, key=lambda each: (-each.close_wait, each.address)))


@dataclasses.dataclass(frozen=True, slots=True)
class OutboundWindow:
    """The same process at one or more instants, oldest first; `trend_of` reaches further back than the looks."""

    looks: tuple[OutboundLook, ...]
    trend_of: trends.Trends = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> OutboundLook:
        """The oldest look."""
        return self.looks[0]

    @property
    def last(self) -> OutboundLook:
        """The newest look."""
        return self.looks[-1]

    @property
    def length(self) -> dt.timedelta:
        """Time from the first look to the last; zero with one look."""
        return self.last.at.since(self.first.at)


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Everything that was asked for, at one instant. `missing` holds what was asked and could not be seen."""

    at: instants.Now
    looks: tuple[Look, ...]
    missing: tuple[tuple[str, Missing], ...] = ()
    """(what, why): what is a selector such as `pid/900`, `netns//run/x`, `unit/x.service`, or a signal of the namespace
    of which a part is hidden, such as `closeWait.outbound`."""
    outbound: tuple[OutboundLook, ...] = ()
    """One per process that was asked for and has such sockets, by pid."""

    @property
    def unseen(self) -> tuple[tuple[str, Missing], ...]:
        """What of `missing` could not be looked at, without the signals of which only a part is hidden."""
        return tuple((what, why) for what, why in self.missing if what not in _SIGNALS)


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """The same listener and owner at one or more instants, oldest first.

    `trend_of` reaches further back than the looks; it is empty where nobody has watched for long, as in `diagnose`.
    """

    looks: tuple[Look, ...]
    trend_of: trends.Trends = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> Look:
        """The oldest look."""
        return self.looks[0]

    @property
    def last(self) -> Look:
        """The newest look."""
        return self.looks[-1]

    @property
    def length(self) -> dt.timedelta:
        """Time from the first look to the last; zero with one look, which has no rates."""
        return self.last.at.since(self.first.at)
