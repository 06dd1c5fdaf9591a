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

import dataclasses
import struct
from collections.abc import Collection, Iterator
from typing import Self

from lastack import errors
from lastack.kernel import bytecode, close_waits, inet_diag, netlink, socket_tables

Offered = frozenset[inet_diag.Extension]

_ALL_STATES = frozenset(inet_diag.State)
_EVERY_EXTENSION: Offered = frozenset(inet_diag.Extension)


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket; SO_REUSEPORT siblings are a row each."""

    family: int
    """2 (IPv4) or 10 (IPv6)."""
    address: str
    """`*` for both families, `0.0.0.0`, `::` for IPv6 only, or one address."""
    port: int
    depth: int
    """Connections that wait for accept()."""
    limit: int
    """min(backlog, somaxconn) when listen() ran; the kernel drops above limit + 1."""
    drops: int | None
    """sk_drops: every segment this socket turned away, stray ones included; None: the kernel did not say."""
    inode: int
    uid: int
    cookie: int
    cgroup_id: int | None


class SockDiag:
    """Dumps of one namespace over one kept netlink socket, which pins that namespace until close()."""

    def __init__(
        self, endpoint: netlink.DumpSocket, *, offered: Offered = _EVERY_EXTENSION, one_walk: bool = True
    ) -> None:
        """Own `endpoint`; ask only for extensions that are `offered` (Features.extensions)."""
        self._endpoint = endpoint
        self._offered = offered
        self.one_walk = one_walk
        self._counter = close_waits.Counter()

    @classmethod
    def open(cls, *, offered: Offered = _EVERY_EXTENSION, one_walk: bool = True) -> Self:
        """A reader of the calling thread's namespace."""
        return cls(netlink.DumpSocket.open(), offered=offered, one_walk=one_walk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the namespace. May be called twice."""
        self._endpoint.close()

    def count_close_wait(self) -> dict[int, close_waits.PortCounts]:
        """CLOSE_WAIT sockets by local port and class; memory does not grow with their number."""
        return self._counter.count(self._blocks(frozenset({inet_diag.State.CLOSE_WAIT})))

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

    def unaccepted(self, ports: Collection[int]) -> socket_tables.SocketTable:
        """ESTABLISHED connections to these local ports that no process has accepted, with TCP_INFO.

        Accepted ones are dropped block by block, so that memory does not grow with them.
        """
        table = socket_tables.SocketTable()
        states = frozenset({inet_diag.State.ESTABLISHED})
        asked = frozenset({inet_diag.Extension.TCP_INFO}) & self._offered
        for block in self._blocks(states, extensions=asked, program=_program(ports)):
            found = inet_diag.rows_in(block, states)
            waiting = inet_diag.without_owner(found) if found is not None else None
            if waiting is not None:
                table.append(waiting)
        return table

    def listeners(self, *, ports: Collection[int] = ()) -> tuple[Listener, ...]:
        """The listening sockets, by port, address and inode."""
        table = self.sockets(
            {inet_diag.State.LISTEN}, ports=ports, extensions={inet_diag.Extension.SKMEMINFO}
        )
        rows = [_listener(table, index) for index in range(len(table))]
        return tuple(sorted(rows, key=lambda row: (row.port, row.address, row.inode)))

    def attributes_of_listener(self, port: int) -> dict[int, int]:
        """Attributes in the row of a listener on `port` -> the group id for CGROUP_ID, else their size."""
        found: dict[int, int] = {}
        listening = frozenset({inet_diag.State.LISTEN})
        for block in self._blocks(listening, extensions=self._offered, program=_program({port})):
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
        if family is None and self.one_walk:
            message_type, payload = inet_diag.request(
                states, family=None, extensions=extensions, program=program
            )
            blocks = self._endpoint.dump(message_type, payload, least_bytes=inet_diag.ATTRIBUTES)
            try:
                yield from blocks
            except errors.Unsupported:
                self.one_walk = False
            else:
                return
        for each in (inet_diag.INET, inet_diag.INET6) if family is None else (family,):
            message_type, payload = inet_diag.request(
                states, family=each, extensions=extensions, program=program
            )
            yield from self._endpoint.dump(message_type, payload, least_bytes=inet_diag.ATTRIBUTES)


def _program(ports: Collection[int]) -> bytes:
    return bytecode.local_ports(ports) if 0 < len(ports) <= bytecode.MOST_PORTS else b""


def _listener(table: socket_tables.SocketTable, index: int) -> Listener:
    """A row of LISTEN straight from the columns it needs: this is done for every listener of every tick."""
    address = table.local_address(index)
    return Listener(
        family=table.families[index],
        address="*" if address == "::" and table.v6only[index] == 0 else address,
        port=table.local_ports[index],
        depth=table.rqueues[index],
        limit=table.wqueues[index],
        drops=table.drops[index],
        inode=table.inodes[index],
        uid=table.uids[index],
        cookie=table.cookies[index],
        cgroup_id=table.cgroup_ids[index],
    )
