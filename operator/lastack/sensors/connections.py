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

_NO_AGES = errors.Unsupported(
    "this kernel does not tell the ages of sockets (tcp_info)",
    fix="lastack looks from kernel 4.18 with CONFIG_INET_TCP_DIAG",
)


def fin_ages(table: socket_tables.SocketTable) -> "array[int]":
    """The age in ms of every row of a CLOSE_WAIT dump: the time since its FIN.

    Answered keep-alive probes reset the time since the last ACK, not that since the last data, which is then an
    upper bound. Raises Unsupported where the kernel does not tell ages.
    """
    acknowledged, received, sent = table.last_ack_recv_ms, table.last_data_recv_ms, table.last_data_sent_ms
    for column in (acknowledged, received, sent):
        if 0 in column.present:
            raise _NO_AGES
    if inet_diag.Timer.KEEPALIVE not in table.timers:
        return acknowledged.values
    ages = array("I", acknowledged.values)
    for index, timer in enumerate(table.timers):
        if timer == inet_diag.Timer.KEEPALIVE:
            ages[index] = min(received.values[index], sent.values[index])
    return ages


def queued(
    listener: sock_diag.Listener,
    waiting: listeners.Sorted,
    half_closed: listeners.Sorted,
    ages: "array[int]",
) -> samples.QueuedRows:
    """The rows without an owner, each once: ESTABLISHED ones, and CLOSE_WAIT ones of a newer dump with `ages`."""
    found: dict[int, int] = {}
    table = waiting.table
    for index in waiting.of(listener):
        if table.inodes[index]:
            continue
        age = table.last_data_sent_ms[index]
        if age is None:
            raise _NO_AGES
        found[table.cookies[index]] = age
    table = half_closed.table
    finished = [index for index in half_closed.of(listener) if not table.inodes[index]]
    found.update((table.cookies[index], table.last_data_sent_ms.values[index]) for index in finished)
    return samples.QueuedRows(
        cookies=array("Q", found),
        ages_ms=array("I", found.values()),
        close_wait=len(finished),
        oldest_fin_ms=max((ages[index] for index in finished), default=0),
    )


def accepted(
    table: socket_tables.SocketTable, rows: Sequence[int], ages: "array[int]"
) -> samples.CloseWaitRows:
    """The CLOSE_WAIT rows that a process has accepted; `ages` are the fin_ages of the table."""
    inodes = table.inodes
    own = [index for index in rows if inodes[index]]
    return samples.CloseWaitRows(
        cookies=array("Q", map(table.cookies.__getitem__, own)),
        inodes=array("I", map(inodes.__getitem__, own)),
        unread=array("I", map(table.rqueues.__getitem__, own)),
        ages_ms=array("I", map(ages.__getitem__, own)),
        sent_ms=array("I", map(table.last_data_sent_ms.values.__getitem__, own)),
    )


def accepted_count(table: socket_tables.SocketTable, rows: Sequence[int]) -> int:
    """How many of the rows a process has accepted."""
    inodes = table.inodes
    return sum(1 for index in rows if inodes[index])


def unread_ages(table: socket_tables.SocketTable, rows: Sequence[int]) -> "array[int]":
    """Of those rows that a process has accepted, whose data it has not read: ms since data last came.

    Raises Unsupported where the kernel does not tell ages.
    """
    received = table.last_data_recv_ms
    own = [index for index in rows if table.inodes[index]]
    if any(received[index] is None for index in own):
        raise _NO_AGES
    return array("I", map(received.values.__getitem__, own))


def peers(table: socket_tables.SocketTable, rows: Sequence[int]) -> tuple[tuple[samples.PeerCount, ...], int]:
    """The ten peers with the most rows, and how many peers are left out."""
    raw, families = bytes(table.peer_addresses), table.families
    found = collections.Counter((families[i], raw[16 * i : 16 * i + 16]) for i in rows)
    named: collections.Counter[str] = collections.Counter()
    for (family, address), amount in found.items():
        named[socket_tables.address_text(family, address)] += amount
    largest = sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_PEERS]
    shown = tuple(samples.PeerCount(address, amount) for address, amount in largest)
    return shown, len(named) - len(shown)


def vanished(before: samples.CloseWaitRows, now: samples.CloseWaitRows) -> Collection[int]:
    """Inodes of the rows of the look before that are gone; young ones are closes on their way."""
    if before.cookies == now.cookies[: len(before.cookies)]:
        return ()
    left = set(now.cookies)
    return {
        inode
        for cookie, inode, age in zip(before.cookies, before.inodes, before.ages_ms, strict=True)
        if age >= _SETTLED_MS and cookie not in left
    }
