"""Which threads of an owner stand still over a window, and what holds them. Pure.

Called by engine.signals (workers.stuck) and by the rows that ask whether threads wait on behalf of connections.
"""

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable

from lastack.engine import close_waits, samples, thresholds

SENDS = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"})
RESTS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2", "accept", "accept4"})
"""Calls in which a thread waits for whatever comes next, and for nobody in particular."""
_ONE_READING = samples.Missing(
    "where its threads stand was read once, which does not tell who stands still", "watch for longer than 0 s"
)

RUNNING = "running on a processor"
CLIENTS = "sending to clients"


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """The threads that stood in the same place in every reading; `readings` of them, from first to last `span`."""

    threads: tuple[samples.ThreadStand, ...]
    readings: int
    span: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Threads that the same thing holds: a peer ("ADDRESS:PORT"), CLIENTS or RUNNING."""

    held_by: str
    threads: int


def is_waited_for(look: samples.Look) -> bool:
    """Whether anybody waits at this instant: in the queue, or accepted long ago and not answered."""
    return look.listener.depth > 0 or close_waits.old(look) >= thresholds.HANDLER_ROWS


def standing(window: samples.Window) -> Standing | samples.Missing:
    """The threads that have not moved; Missing where fewer than two looks could say where they stood."""
    read = [(look.at, look.stands) for look in window.looks if not isinstance(look.stands, samples.Missing)]
    if len(read) < 2:
        whys = [look.stands for look in window.looks if isinstance(look.stands, samples.Missing)]
        barred = next((why for why in whys if why != samples.NOTHING_WAITS), None)
        return barred or (_ONE_READING if read else samples.NOTHING_WAITS)
    places = [{(stand.pid, stand.thread): _place(stand) for stand in stands} for _, stands in read]
    last = read[-1][1]
    still = tuple(
        stand
        for stand in last
        if all(each.get((stand.pid, stand.thread)) == _place(stand) for each in places)
    )
    return Standing(still, len(read), read[-1][0].since(read[0][0]))


def _place(stand: samples.ThreadStand) -> tuple[bool, str | None, int]:
    return (True, None, 0) if stand.running else (False, stand.call, stand.inode)


def groups(threads: Iterable[samples.ThreadStand]) -> tuple[Group, ...]:
    """The stuck ones among them by what holds them, the largest first.

    Stuck is a thread that stands on a connection that its process made itself, that sends to a client which does
    not read, or that never leaves the processor. A lock cannot be told from an idle pool: both are a futex.
    """
    found = collections.Counter(held for held in map(_held_by, threads) if held is not None)
    return tuple(Group(held, count) for held, count in sorted(found.items(), key=lambda p: (-p[1], p[0])))


def _held_by(stand: samples.ThreadStand) -> str | None:
    if stand.running:
        return RUNNING
    if stand.side == "outbound":
        return stand.peer or "a connection of its own"
    return CLIENTS if stand.side == "inbound" and stand.call in SENDS else None


def may_wait(threads: Iterable[samples.ThreadStand]) -> int:
    """How many of them could be waiting for something on behalf of a connection whose client has left.

    Not those that rest until something comes, and not those that wait for the client of a connection of their own.
    """
    return sum(
        1
        for stand in threads
        if not stand.running and stand.call not in RESTS and stand.side not in {"inbound", "listening"}
    )
