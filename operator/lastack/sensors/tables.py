"""The socket tables of one look: what is dumped, in which order and how filtered. Called by sampler."""

import dataclasses
from array import array
from collections.abc import Sequence

from lastack.kernel import inet_diag, sock_diag, socket_tables
from lastack.sensors import connections, listeners

_STATES = inet_diag.State


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """Rows by listener: ESTABLISHED without owner, CLOSE_WAIT; `counted` is ESTABLISHED and SYN_RECV, if deep."""

    waiting: listeners.Sorted
    half_closed: listeners.Sorted
    fin_ages: "array[int]"
    """Of the rows of `half_closed`, in ms."""
    counted: listeners.Sorted | None


def dump(
    reader: sock_diag.SockDiag,
    directory: listeners.Directory,
    chosen: Sequence[sock_diag.Listener],
    *,
    deep: bool,
) -> Tables:
    """Ask for the rows that the look needs and no others. Raises errors.WorldError."""
    ports = {each.port for each in chosen}
    # A quiet listener has no un-accepted rows, and those of siblings cannot be told apart.
    busy = {each.port for each in chosen if each.depth and not directory.shared(each)}
    waiting = reader.unaccepted(busy) if busy else socket_tables.SocketTable()
    counted = None
    if deep:
        counted = (
            reader.sockets({_STATES.ESTABLISHED, _STATES.SYN_RECV}, ports=ports)
            if ports
            else socket_tables.SocketTable()
        )
    # Last, so that a connection whose FIN arrives meanwhile is seen twice and counted once, never missed.
    half_closed = (
        reader.sockets(
            {_STATES.CLOSE_WAIT}, ports=() if deep else ports, extensions={inet_diag.Extension.TCP_INFO}
        )
        if ports or deep
        else socket_tables.SocketTable()
    )
    return Tables(
        waiting=directory.sort(waiting),
        half_closed=directory.sort(half_closed),
        fin_ages=connections.fin_ages(half_closed),
        counted=None if counted is None else directory.sort(counted),
    )
