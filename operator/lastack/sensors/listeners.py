"""Which connection belongs to which listener. Called by sampler, over the tables that kernel gives.

A connection belongs to the listener of its family on its own local address, else to the one on all addresses.
The family of the row settles the rest: what a dual-stack socket accepted is of family IPv6 even with IPv4
addresses, so `*`, `0.0.0.0` and `::` never compete for one row.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from lastack.engine import samples
from lastack.kernel import inet_diag, sock_diag, socket_tables
from lastack.sensors import reuseport

_ANY = frozenset({"*", "0.0.0.0", "::"})

_Place = tuple[int, int, str]
"""Port, family and address; the address is empty for a listener on all addresses."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sorted:
    """One table with its rows sorted by listener; `outbound` are those whose local port nobody listens on."""

    table: socket_tables.SocketTable
    by_cookie: Mapping[int, Sequence[int]]
    outbound: Sequence[int]

    def of(self, listener: sock_diag.Listener) -> Sequence[int]:
        """The numbers of the rows that came through a listener."""
        return self.by_cookie.get(listener.cookie, ())


class Directory:
    """The listeners of one namespace at one instant, to find the one that a connection came through."""

    def __init__(
        self, found: Iterable[sock_diag.Listener], holders: Mapping[int, tuple[samples.Pid, ...]]
    ) -> None:
        """Index the listeners of one dump; `holders` are the processes by socket inode, as far as known."""
        self._places: dict[_Place, list[sock_diag.Listener]] = collections.defaultdict(list)
        for listener in found:
            self._places[_place(listener)].append(listener)
        self.ports = frozenset(port for port, _, _ in self._places)
        self.inodes = frozenset(each.inode for those in self._places.values() for each in those)
        self._holders = holders

    def shared(self, listener: sock_diag.Listener) -> bool:
        """Whether other sockets listen on the same address (SO_REUSEPORT)."""
        return len(self._places[_place(listener)]) > 1

    def sort(self, table: socket_tables.SocketTable) -> Sorted:
        """Find the listener of every row."""
        rows, outbound = self._by_place(table)
        by_cookie: dict[int, Sequence[int]] = {}
        for place, those in rows.items():
            siblings = self._places[place]
            if len(siblings) == 1:
                by_cookie[siblings[0].cookie] = those
            else:
                by_cookie.update(reuseport.share_out(table, those, siblings, self._holders))
        return Sorted(table, by_cookie, outbound)

    def _by_place(self, table: socket_tables.SocketTable) -> tuple[dict[_Place, list[int]], list[int]]:
        rows: dict[_Place, list[int]] = collections.defaultdict(list)
        outbound: list[int] = []
        narrow = frozenset(port for port, _, address in self._places if address)
        found: dict[tuple[int, int, bytes], _Place | None] = {}
        raw = bytes(table.local_addresses)
        for index, (port, family) in enumerate(zip(table.local_ports, table.families, strict=True)):
            if port not in self.ports:
                outbound.append(index)
                continue
            # Only where somebody listens on one address does the address of the row matter.
            key = (port, family, raw[16 * index : 16 * index + 16] if port in narrow else b"")
            if key not in found:
                found[key] = self._place_of(*key)
            place = found[key]
            if place is not None:
                rows[place].append(index)
        return rows, outbound

    def _place_of(self, port: int, family: int, raw: bytes) -> _Place | None:
        """Where a connection came in: at its own address, else at all addresses; None: at no listener."""
        exact = (port, family, socket_tables.address_text(family, raw)) if raw else None
        everywhere = (port, family, "")
        return next((place for place in (exact, everywhere) if place in self._places), None)


def address_of(listener: sock_diag.Listener) -> samples.ListenerAddress:
    """The address of a listening socket in the words of the engine."""
    family: samples.Family = "inet" if listener.family == inet_diag.INET else "inet6"
    return samples.ListenerAddress(listener.address, listener.port, family)


def _place(listener: sock_diag.Listener) -> _Place:
    address = "" if listener.address in _ANY else listener.address
    return (listener.port, listener.family, address)
