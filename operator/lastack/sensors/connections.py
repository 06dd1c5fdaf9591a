"""Rows of socket tables as the columns and counts of a listener's sample. Called by sampler; pure."""

import collections
from array import array
from collections.abc import Collection, Sequence

from lastack import errors
from lastack.engine import samples
from lastack.kernel import inet_diag, sock_diag, socket_tables
from lastack.sensors import listeners

_MOST_PEERS = 10
_SETTLED_MS = 2000
"""A younger row is a close on its way, which happens thousands of times on a healthy server: whether its
descriptor stayed open is not worth a walk over all descriptors."""


def queued(
    listener: sock_diag.Listener, waiting: listeners.Sorted, half_closed: listeners.Sorted
) -> samples.QueuedRows:
    """The rows without an owner of two dumps, each once; the dump of CLOSE_WAIT is the newer one."""
    ages: dict[int, int] = {}
    finished: dict[int, int] = {}
    for each in (waiting, half_closed):
        table = each.table
        for index in each.of(listener):
            if table.inodes[index]:
                continue
            cookie = table.cookies[index]
            ages[cookie] = _known(table.last_data_sent_ms[index])
            if table.states[index] == inet_diag.State.CLOSE_WAIT:
                finished[cookie] = _since_fin(table, index)
    return samples.QueuedRows(
        cookies=array("Q", ages),
        ages_ms=array("I", ages.values()),
        close_wait=len(finished),
        oldest_fin_ms=max(finished.values(), default=0),
    )


def accepted(table: socket_tables.SocketTable, rows: Sequence[int]) -> samples.CloseWaitRows:
    """The CLOSE_WAIT rows that a process has accepted."""
    own = [index for index in rows if table.inodes[index]]
    return samples.CloseWaitRows(
        cookies=array("Q", [table.cookies[index] for index in own]),
        inodes=array("I", [table.inodes[index] for index in own]),
        unread=array("I", [table.rqueues[index] for index in own]),
        ages_ms=array("I", [_since_fin(table, index) for index in own]),
        sent_ms=array("I", [_known(table.last_data_sent_ms[index]) for index in own]),
    )


def count(table: socket_tables.SocketTable, rows: Sequence[int], state: inet_diag.State) -> int:
    """Rows in a state; of ESTABLISHED ones only those that a process has accepted."""
    states, inodes = table.states, table.inodes
    if state is inet_diag.State.ESTABLISHED:
        return sum(1 for index in rows if states[index] == state and inodes[index])
    return sum(1 for index in rows if states[index] == state)


def peers(table: socket_tables.SocketTable, rows: Sequence[int]) -> tuple[tuple[samples.PeerCount, ...], int]:
    """The ten peers with the most rows, and how many peers are left out."""
    raw = table.peer_addresses
    found = collections.Counter((table.families[i], bytes(raw[16 * i : 16 * i + 16])) for i in rows)
    named: collections.Counter[str] = collections.Counter()
    for (family, address), amount in found.items():
        named[socket_tables.address_text(family, address)] += amount
    largest = sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_PEERS]
    shown = tuple(samples.PeerCount(address, amount) for address, amount in largest)
    return shown, len(named) - len(shown)


def vanished(before: samples.CloseWaitRows, now: samples.CloseWaitRows) -> Collection[int]:
    """Inodes of the held rows of the look before that are gone; young ones are closes on their way."""
    if before.cookies == now.cookies[: len(before.cookies)]:
        return ()
    left = set(now.cookies)
    return {
        inode
        for cookie, inode, unread, age in zip(
            before.cookies, before.inodes, before.unread, before.ages_ms, strict=True
        )
        if unread == 0 and age >= _SETTLED_MS and cookie not in left
    }


def _since_fin(table: socket_tables.SocketTable, index: int) -> int:
    """Age of a CLOSE_WAIT row: answered keep-alive probes reset the time since the last ACK, not of data."""
    if table.timers[index] == inet_diag.Timer.KEEPALIVE:
        return min(_known(table.last_data_recv_ms[index]), _known(table.last_data_sent_ms[index]))
    return _known(table.last_ack_recv_ms[index])


def _known(age: int | None) -> int:
    if age is None:
        raise errors.Unsupported(
            "this kernel does not tell the ages of sockets (tcp_info)",
            fix="lastack looks from kernel 4.18 with CONFIG_INET_TCP_DIAG",
        )
    return age
