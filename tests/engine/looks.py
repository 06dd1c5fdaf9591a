"""Looks with what `makers.look` has no word for: stands of threads, handshakes, glances, rows that are sent on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lastack.engine import samples
from tests.engine import makers

Stands = tuple[samples.ThreadStand, ...]
DATABASE = "10.9.0.7:7000"


def seen(
    look: samples.Look,
    *,
    peak: int | None = None,
    trough: int | None = None,
    handshakes: int | samples.Missing | None = None,
    stands: Stands | samples.Missing | None = None,
    sysctls: Mapping[str, str] | None = None,
    sent: float | None = None,
    files: Sequence[tuple[int, int]] | None = None,
    vanished: int | None = None,
    dead: samples.DeadSockets | samples.Missing | None = None,
    listeners: int | None = None,
    unread: Sequence[float] | None = None,
) -> samples.Look:
    """The look with some of it changed: `sent` seconds ago on every row, `files` (open, limit) by process.

    What clients that still wait have sent so many seconds ago is `unread`.
    The namespace has so many `listeners`. `dead` came through this one, and is all that the process has of that kind.
    """
    listener, rows, owner = look.listener, look.listener.close_wait, look.owner
    if sent is not None:
        columns = makers.numbers([int(sent * 1000)] * len(rows.cookies))
        rows = dataclasses.replace(rows, sent_ms=columns)
    listener = dataclasses.replace(
        listener,
        peak=peak,
        trough=trough,
        vanished_open=listener.vanished_open if vanished is None else vanished,
        close_wait=rows,
        syn_received=listener.syn_received if handshakes is None else handshakes,
        dead=listener.dead if dead is None else dead,
        unread_ages_ms=listener.unread_ages_ms
        if unread is None
        else makers.numbers([int(age * 1000) for age in unread]),
    )
    if dead is not None:
        amount = dead if isinstance(dead, samples.Missing) else len(dead.inodes)
        dying = tuple(dataclasses.replace(each, dead=amount) for each in owner.processes)
        owner = dataclasses.replace(owner, processes=dying)
    if files is not None:
        main = owner.processes[0]
        processes = tuple(
            dataclasses.replace(
                main, pid=samples.Pid(main.pid + at), open_files=count, open_files_limit=limit
            )
            for at, (count, limit) in enumerate(files)
        )
        owner = dataclasses.replace(owner, processes=processes)
    namespace = look.namespace if sysctls is None else dataclasses.replace(look.namespace, sysctls=sysctls)
    if listeners is not None:
        namespace = dataclasses.replace(namespace, listeners=listeners)
    return dataclasses.replace(
        look,
        listener=listener,
        owner=owner,
        namespace=namespace,
        stands=look.stands if stands is None else stands,
    )


def waiting_for(peers: Sequence[str], *, call: str = "recvfrom") -> Stands:
    """A thread for each peer, in the same call on a connection that the process made."""
    return tuple(
        samples.ThreadStand(samples.Pid(7), 100 + at, False, call, 5000 + at, "outbound", peer)
        for at, peer in enumerate(peers)
    )


def sending(count: int) -> Stands:
    """Threads that send to clients which do not read."""
    return tuple(
        samples.ThreadStand(
            samples.Pid(7), 200 + at, False, "sendto", 6000 + at, "inbound", "192.0.2.7:40000"
        )
        for at in range(count)
    )


def running(count: int) -> Stands:
    """Threads on a processor, or ready for one."""
    return tuple(samples.ThreadStand(samples.Pid(7), 300 + at, True) for at in range(count))


def resting(count: int) -> Stands:
    """Threads that wait for whatever comes next."""
    return tuple(samples.ThreadStand(samples.Pid(7), 400 + at, False, "epoll_wait") for at in range(count))


def locked(count: int) -> Stands:
    """Threads in a futex: of a lock, or of an idle pool."""
    return tuple(samples.ThreadStand(samples.Pid(7), 800 + at, False, "futex") for at in range(count))
