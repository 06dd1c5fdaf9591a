"""Connections that a process made itself and on which its threads stand in every look of a window. Pure.

Called by judgements; what a socketDestroy stage may choose from, and what its executor looks at again before it acts.
"""

import dataclasses
from collections.abc import Iterable

from lastack.engine import samples, stands


@dataclasses.dataclass(frozen=True, slots=True)
class StuckSocket:
    """One socket and the thread that has stood on it.

    `call` is the system call in which it waits, `peer` "ADDRESS:PORT" (IPv6 in brackets).
    """

    pid: samples.Pid
    thread: int
    inode: int
    peer: str
    call: str


def of(windows: Iterable[samples.Window]) -> tuple[StuckSocket, ...]:
    """One for each socket, by process and thread; a thread in an event loop waits for no socket in particular."""
    found: dict[int, StuckSocket] = {}
    for window in windows:
        standing = stands.standing(window)
        if isinstance(standing, samples.Missing):
            continue
        for stand in standing.threads:
            if stand.side != "outbound" or stand.peer is None or stand.call is None or not stand.inode:
                continue
            if stand.call not in stands.RESTS:
                found.setdefault(
                    stand.inode,
                    StuckSocket(stand.pid, stand.thread, stand.inode, stand.peer, stand.call),
                )
    return tuple(sorted(found.values(), key=lambda each: (each.pid, each.thread)))
