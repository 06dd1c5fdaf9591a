"""Programs that a dumped process runs and waits for, and the peer that keeps them waiting. Used by `series`.

Who has no blocking read of a socket, or does not want one, runs curl or psql and waits for that: the socket is then one
of another process, and the stack ends at a pipe.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from lastack.engine import samples
from lastack.executors.thread_dump import meanings, stacks, waits
from lastack.kernel import procfs

_MOST_PROGRAMS = 64
"""A pipeline is a handful; more below one process are no single call."""
_BLOCKS = waits.READS | waits.WRITES | {"connect"}


Children = Mapping[int, Sequence[int]]
"""By the pid of their parent."""


def joined(dump: stacks.ProcessDump, children_of_all: Callable[[], Children]) -> stacks.ProcessDump:
    """The dump with the connection that the program of each such thread waits for; few dumps need the children.

    It stays as it is where several peers are waited for, nothing may be seen, or a child waits for no peer:
    which of the children is the one that the thread waits for cannot be told.
    """
    waiting = [thread for thread in dump.threads if meanings.waits_for_program(thread)]
    if not waiting:
        return dump
    children = children_of_all()
    below = [_waits_from(child, children) for child in children.get(dump.pid, ())]
    found = {wait.peer: wait for each in below for wait in each}
    if len(found) != 1 or not all(below):
        return dump
    (wait,) = found.values()
    threads = tuple(
        dataclasses.replace(thread, wait=wait) if thread in waiting else thread for thread in dump.threads
    )
    return dataclasses.replace(dump, threads=threads)


def _waits_from(child: int, children: Children) -> list[stacks.Wait]:
    """What a program and those below it wait for, of connections that they made themselves."""
    left = [child]
    seen: set[int] = set()
    found = []
    while left and len(seen) < _MOST_PROGRAMS:
        program = left.pop()
        if program in seen:
            continue
        seen.add(program)
        left.extend(children.get(program, ()))
        facts, each = procfs.process(program), waits.of_process(program)
        if isinstance(facts, samples.Missing) or isinstance(each, samples.Missing):
            continue
        found += [
            dataclasses.replace(wait, program=stacks.plain(facts.name))
            for wait in each.values()
            if wait.side == "outbound" and wait.peer is not None and wait.call in _BLOCKS
        ]
    return found
