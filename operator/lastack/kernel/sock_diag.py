"""Our own NETLINK_SOCK_DIAG reader: counts, full rows and listeners of one network namespace.

Called by sensors (looking) and executors (looking again before an act). It needs no privilege; without
CAP_NET_ADMIN the kernel leaves out the marks, which nobody here reads.

    with sock_diag.SockDiag.open() as reader:  # the namespace of this thread
        reader.count_close_wait()  # {8080: PortCounts(queued=51, unread=100, held=0)}
        for listener in reader.listeners(): ...
        table = reader.sockets({State.CLOSE_WAIT}, ports={8080}, extensions={Extension.TCP_INFO})

`netns.open_sock_diag(path)` gives a reader of another namespace. All methods raise `errors.WorldError`
subclasses only: KernelReplyError, Transient, NotPermitted, Unsupported.
"""

import functools
import struct
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import Self

from lastack import errors
from lastack.kernel import (
    bytecode,
    close_waits,
    dump_sockets,
    inet_diag,
    listening,
    netlink,
    rechecks,
    socket_tables,
)

Offered = frozenset[inet_diag.Extension]

Listener = listening.Listener

_ALL_STATES = frozenset(inet_diag.State)
_LISTEN = frozenset({inet_diag.State.LISTEN})
_CLOSE_WAIT = frozenset({inet_diag.State.CLOSE_WAIT})
_EVERY_CLOSE_WAIT = inet_diag.request(_CLOSE_WAIT)
# A thread may wait on any of them; what is left out has no process any more, or no peer.
_CONNECTED = _ALL_STATES - {
    inet_diag.State.LISTEN,
    inet_diag.State.SYN_RECV,
    inet_diag.State.TIME_WAIT,
    inet_diag.State.CLOSE,
}
_OF_LISTENERS = frozenset({inet_diag.Extension.SKMEMINFO})
_EVERY_EXTENSION: Offered = frozenset(inet_diag.Extension)


class SockDiag:
    """Dumps of one namespace over one kept netlink socket, which pins that namespace until close()."""

    def __init__(
        self,
        endpoint: dump_sockets.DumpSocket,
        *,
        offered: Offered = _EVERY_EXTENSION,
        one_walk: bool = True,
        known: listening.Known | None = None,
    ) -> None:
        """Own `endpoint`; ask only for extensions that are `offered` (Features.extensions).

        Readers of one thread, also one after another, may share what listeners they have `known`.
        """
        self._endpoint = endpoint
        self._offered = offered
        self.one_walk = one_walk
        self._counter = close_waits.Counter()
        self._asked: tuple[bool, frozenset[int]] | None = None
        self._requests: list[netlink.Request] = []
        self._listening = listening.Question(listening.Known() if known is None else known)
        self._recheck = rechecks.Recheck(_OF_LISTENERS & offered)

    @classmethod
    def open(
        cls,
        *,
        offered: Offered = _EVERY_EXTENSION,
        one_walk: bool = True,
        known: listening.Known | None = None,
        buffer: bytearray | None = None,
    ) -> Self:
        """A reader of the calling thread's namespace; `buffer` as dump_sockets.DumpSocket has it."""
        endpoint = dump_sockets.DumpSocket.open(buffer=buffer)
        return cls(endpoint, offered=offered, one_walk=one_walk, known=known)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the namespace. May be called twice."""
        self._endpoint.close()

    def count_close_wait(self) -> dict[int, close_waits.PortCounts]:
        """CLOSE_WAIT sockets by local port and class; memory does not grow with their number."""
        if self.one_walk:
            try:
                return self._counter.count(self._endpoint.dump(_EVERY_CLOSE_WAIT))
            except errors.Unsupported:
                self.one_walk = False
        return self._counter.count(self._blocks(_CLOSE_WAIT))

    def sockets(
        self,
        states: Collection[inet_diag.State] = _ALL_STATES,
        *,
        ports: Collection[int] = (),
        family: int | None = None,
        extensions: Collection[inet_diag.Extension] = (),
    ) -> socket_tables.SocketTable:
        """Rows in `states`; with `ports` only those local ports (by the kernel; more than 1024: all).

        `family` 2 or 10 restricts to one address family; None (cheaper than asking twice) gives both.
        """
        table = socket_tables.SocketTable()
        if not states:
            return table
        asked = frozenset(extensions) & self._offered
        for block in self._blocks(
            frozenset(states), family=family, extensions=asked, program=_program(ports)
        ):
            found = inet_diag.rows_in(block, frozenset(states))
            if found is not None:
                table.append(found)
        return table

    def waiting(self, ports: Collection[int]) -> socket_tables.SocketTable:
        """ESTABLISHED connections to these ports that nobody has accepted or whose data nobody has read, with TCP_INFO.

        All others are dropped block by block, so that memory does not grow with them.
        """
        table = socket_tables.SocketTable()
        states = frozenset({inet_diag.State.ESTABLISHED})
        asked = frozenset({inet_diag.Extension.TCP_INFO}) & self._offered
        for block in self._blocks(states, extensions=asked, program=_program(ports)):
            found = inet_diag.rows_in(block, states)
            waiting = inet_diag.waiting(found) if found is not None else None
            if waiting is not None:
                table.append(waiting)
        return table

    def half_closed(
        self, *, apart_from: Collection[int] = ()
    ) -> tuple[socket_tables.SocketTable, socket_tables.SocketTable]:
        """CLOSE_WAIT rows with TCP_INFO, and SYN_RECV rows (which have none), in one walk.

        Of every local port but `apart_from` (by the kernel; more than 1024: of every one).
        """
        closing, opening = socket_tables.SocketTable(), socket_tables.SocketTable()
        wanted = (
            (_CLOSE_WAIT, closing),
            (frozenset({inet_diag.State.SYN_RECV}), opening),
        )
        states = frozenset({inet_diag.State.CLOSE_WAIT, inet_diag.State.SYN_RECV})
        asked = frozenset({inet_diag.Extension.TCP_INFO}) & self._offered
        program = bytecode.other_ports(apart_from) if 0 < len(apart_from) <= bytecode.MOST_PORTS else b""
        for block in self._blocks(states, extensions=asked, program=program):
            for those, table in wanted:
                found = inet_diag.rows_in(block, those)
                if found is not None:
                    table.append(found)
        return closing, opening

    def connections(
        self, inodes: AbstractSet[int], *, extensions: Collection[inet_diag.Extension] = ()
    ) -> socket_tables.SocketTable:
        """The connections with these inodes; memory does not grow with all the others."""
        table = socket_tables.SocketTable()
        for block in self._blocks(_CONNECTED, extensions=frozenset(extensions) & self._offered):
            found = inet_diag.with_inodes(block, inodes)
            if found is not None:
                table.append(found)
        return table

    def inodes(self) -> frozenset[int]:
        """The inodes of all sockets that have one and are in a table, listeners too; nothing else is kept of them."""
        found: set[int] = set()
        for block in self._blocks(_CONNECTED | _LISTEN):
            found.update(inet_diag.inodes(block))
        return frozenset(found)

    def listeners(self, *, ports: Collection[int] = ()) -> tuple[Listener, ...]:
        """The listening sockets, by port, address and inode; the same tuple as before when nothing has changed."""
        question = (self.one_walk, frozenset(ports))
        if self._asked != question:
            self._asked, self._requests = question, self._listen_requests(ports)
        try:
            return self._listening.ask(self._endpoint, self._requests)
        except errors.Unsupported:
            if not self.one_walk:
                raise
            self.one_walk = False
            return self.listeners(ports=ports)

    def are_unchanged(self, known: tuple[Listener, ...]) -> bool:
        """Whether these listeners are as `listeners()` gave them; it says nothing about new ones.

        A fraction of the cost of a dump where they are few; False also where it cannot be told.
        """
        return self._recheck.is_unchanged(self._endpoint, known)

    def _listen_requests(self, ports: Collection[int]) -> list[netlink.Request]:
        """One for both families where the kernel offers it, else two; kept, because they are asked every second."""
        families: tuple[int | None, ...] = (None,) if self.one_walk else (inet_diag.INET, inet_diag.INET6)
        asked = _OF_LISTENERS & self._offered
        return [
            inet_diag.request(_LISTEN, family=family, extensions=asked, program=_program(ports))
            for family in families
        ]

    def attributes_of_listener(self, port: int) -> dict[int, int]:
        """Attributes in the row of a listener on `port` -> the group id for CGROUP_ID, else their size."""
        found: dict[int, int] = {}
        for block in self._blocks(_LISTEN, extensions=self._offered, program=_program({port})):
            for attribute, (place, size) in inet_diag.layout(block).places.items():
                is_group = attribute == inet_diag.Attribute.CGROUP_ID and size == 8
                found[attribute] = struct.unpack_from("=Q", block.records, place)[0] if is_group else size
        return found

    def _blocks(
        self,
        states: frozenset[inet_diag.State],
        *,
        family: int | None = None,
        extensions: frozenset[inet_diag.Extension] = frozenset(),
        program: bytes = b"",
    ) -> Iterator[netlink.Block]:
        """The blocks of a dump: one walk for both families where the kernel offers it, else two."""
        ask = functools.partial(inet_diag.request, states, extensions=extensions, program=program)
        if family is None and self.one_walk:
            try:
                yield from self._endpoint.dump(ask(family=None))
            except errors.Unsupported:
                self.one_walk = False
            else:
                return
        for each in (inet_diag.INET, inet_diag.INET6) if family is None else (family,):
            yield from self._endpoint.dump(ask(family=each))


def _program(ports: Collection[int]) -> bytes:
    return bytecode.local_ports(ports) if 0 < len(ports) <= bytecode.MOST_PORTS else b""
