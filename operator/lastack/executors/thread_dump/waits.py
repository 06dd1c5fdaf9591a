"""What the threads of a dumped process wait for in the kernel, joined by thread: call, socket, peer. Used by `series`.

A stack says where code stands, the kernel says on what: together they are the sentence that a person needs. Read
right after the dump, without stopping anything; a thread that has moved on meanwhile has another call then.
"""

import dataclasses
from collections.abc import Mapping

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import stacks
from lastack.kernel import blocked_calls, descriptors, netns, procfs

READS = frozenset({"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "poll", "ppoll", "select", "pselect6"})
WRITES = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile"})


_FOR_SIGNALS = frozenset({"rt_sigtimedwait", "rt_sigsuspend", "pause"})
"""What a thread that looks after the others sleeps in: no runtime shows it as a frame."""


def of_process(pid: int) -> Mapping[int, stacks.Wait] | samples.Missing:
    """Thread id (as this pid namespace has it) -> its wait; threads that ended meanwhile are left out."""
    threads = procfs.threads(pid)
    if isinstance(threads, samples.Missing):
        return threads
    if blocked_calls.is_foreign(pid):
        return samples.Missing("a 32-bit program, the numbers of whose system calls are not known")
    calls: dict[int, blocked_calls.BlockedCall | None] = {}
    for thread in threads:
        call = blocked_calls.of_thread(pid, thread)
        if not isinstance(call, samples.Missing):
            calls[thread] = call
        elif call.fix is not None:
            return call
    inodes = {
        thread: descriptors.socket_at(pid, call.descriptor)
        for thread, call in calls.items()
        if call is not None and call.descriptor is not None
    }
    connections = _connections(pid, {inode for inode in inodes.values() if inode})
    return {thread: _wait(call, connections.get(inodes.get(thread, 0))) for thread, call in calls.items()}


def joined(dump: stacks.ProcessDump) -> stacks.ProcessDump:
    """The dump with the wait of every thread that the kernel tells; as it is where nothing may be seen.

    A wait that the dump brings with it was seen with the stack, which says more than one that is seen now.
    """
    if not dump.of_kernel:
        return _with_only_peer(dump)
    waits = of_process(dump.pid)
    if isinstance(waits, samples.Missing):
        return dump
    if len(waits) == len(dump.threads) == 1:
        # The only thread is the only thread, also where the runtime does not know its id in the kernel (uwsgi).
        (wait,), (thread,) = waits.values(), dump.threads
        return dataclasses.replace(dump, threads=(dataclasses.replace(thread, wait=wait),))
    outer = _outer_ids(dump.pid, waits)
    threads = tuple(
        _waiting(thread, thread.wait or waits.get(outer.get(thread.thread, thread.thread)))
        for thread in dump.threads
    )
    return dataclasses.replace(dump, threads=threads)


def _waiting(thread: stacks.ThreadStack, wait: stacks.Wait | None) -> stacks.ThreadStack:
    """One of several threads, with its wait; who waits for a signal waits for work."""
    for_signal = wait is not None and wait.call in _FOR_SIGNALS
    return dataclasses.replace(thread, wait=wait, waits_for_work=thread.waits_for_work or for_signal)


def _with_only_peer(dump: stacks.ProcessDump) -> stacks.ProcessDump:
    """Goroutines: which socket one waits for is not told, but where all connections go to one peer, it is that one."""
    held = descriptors.sockets(dump.pid)
    inodes = set() if isinstance(held, samples.Missing) else set(held)
    peers = {peer for side, peer in _connections(dump.pid, inodes).values() if side == "outbound"}
    if len(peers) != 1:
        return dump
    (peer,) = peers
    threads = tuple(
        dataclasses.replace(each, wait=dataclasses.replace(each.wait, peer=peer))
        if each.wait is not None and each.wait.side == "outbound"
        else each
        for each in dump.threads
    )
    return dataclasses.replace(dump, threads=threads)


def _outer_ids(pid: int, waits: Mapping[int, stacks.Wait]) -> dict[int, int]:
    """Thread ids of the process's own pid namespace -> ours; empty where they are the same."""
    status = procfs.status(pid)
    if isinstance(status, samples.Missing) or len(status.get("NSpid", "").split()) < 2:
        return {}
    found = {}
    for thread in waits:
        own = procfs.status(thread)
        if not isinstance(own, samples.Missing):
            found[int(own["NSpid"].split()[-1])] = thread
    return found


def _connections(pid: int, inodes: set[int]) -> dict[int, tuple[samples.Side, str | None]]:
    """Side and peer of the sockets, in the namespace of the process; empty where it may not be entered."""
    if not inodes:
        return {}
    path = netns.path_of(pid)
    try:
        here = netns.identify(path) == netns.own()
        with netns.open_sock_diag("/proc/thread-self/ns/net" if here else path) as reader:
            listening = reader.listeners()
            table = reader.connections(inodes)
    except errors.WorldError:
        return {}
    ports = {each.port for each in listening}
    found: dict[int, tuple[samples.Side, str | None]] = {
        each.inode: ("listening", None) for each in listening if each.inode in inodes
    }
    for index, inode in enumerate(table.inodes):
        side: samples.Side = "inbound" if table.local_ports[index] in ports else "outbound"
        found[inode] = (side, table.peer(index))
    return found


def _wait(
    call: blocked_calls.BlockedCall | None, connection: tuple[samples.Side, str | None] | None
) -> stacks.Wait:
    if call is None:
        return stacks.Wait(None, running=True)
    side, peer = connection or ("other", None)
    return stacks.Wait(call.name, running=False, side=side, peer=peer)
