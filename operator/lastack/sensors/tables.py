"""The socket tables of one look: what is dumped, in which order and how filtered. Called by sampler."""

import dataclasses
from array import array
from collections.abc import Sequence

from lastack.kernel import inet_diag, sock_diag, socket_tables
from lastack.sensors import connections, listeners

_STATES = inet_diag.State


@dataclasses.dataclass(frozen=True, slots=True)
class Tables:
    """Rows by listener: ESTABLISHED without owner or unread, CLOSE_WAIT, SYN_RECV; ESTABLISHED ones, if deep."""

    waiting: listeners.Sorted
    half_closed: listeners.Sorted
    fin_ages: "array[int]"
    """Of the rows of `half_closed`, in ms."""
    opening: listeners.Sorted | None
    """None: not asked for, since the namespace has no connections."""
    established: listeners.Sorted | None


def dump(
    reader: sock_diag.SockDiag,
    directory: listeners.Directory,
    chosen: Sequence[sock_diag.Listener],
    *,
    deep: bool,
    connected: bool,
) -> Tables:
    """Ask for the rows that the look needs and no others. Raises errors.WorldError.

    `connected` False: the namespace has no connection that a process has or will have.
    """
    ports = {each.port for each in chosen}
    # A quiet listener has no un-accepted rows, and those of siblings cannot be told apart.
    busy = {each.port for each in chosen if each.depth and not directory.shared(each)}
    waiting = reader.waiting(busy) if busy else socket_tables.SocketTable()
    established = None
    if deep:
        established = (
            reader.sockets({_STATES.ESTABLISHED}, ports=ports) if ports else socket_tables.SocketTable()
        )
    # Last, so that a connection whose FIN arrives meanwhile is seen twice and counted once, never missed. One walk
    # gives what came through the listeners and what processes have as clients: all but the ports of other listeners.
    half_closed, opening = (
        reader.half_closed(apart_from=directory.ports - ports)
        if connected
        else (socket_tables.SocketTable(), None)
    )
    return Tables(
        waiting=directory.sort(waiting),
        half_closed=directory.sort(half_closed),
        fin_ages=connections.fin_ages(half_closed),
        opening=None if opening is None else directory.sort(opening),
        established=None if established is None else directory.sort(established),
    )
