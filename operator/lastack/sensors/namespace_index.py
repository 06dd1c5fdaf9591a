"""Which network namespaces there are, without asking every process each second. Called by rounds.

The list of processes is read every few rounds, and not at all while no process was made; only those that are new are
asked for their namespace, once more a walk later, since a container's first process changes its own while it starts.
"""

from collections.abc import Collection

from lastack import errors
from lastack.engine import samples
from lastack.kernel import netns, procfs

_WALK_EVERY = 5
"""Rounds between two lists of processes: a new namespace is found within so many seconds."""
_ASK_ALL_EVERY = 60
"""Walks after which every process is asked anew (5 min): it may have moved, or its pid been used again."""


class NamespaceIndex:
    """Processes by network namespace. One thread at a time."""

    def __init__(self) -> None:
        """Know no process."""
        self._pids: dict[netns.NetNamespace, set[int]] = {}
        self._space_of: dict[int, netns.NetNamespace | None] = {}
        self._young: frozenset[int] = frozenset()
        self._rounds = 0
        self._walks = 0
        self._newest: int | samples.Missing = samples.Missing("nothing was read yet")

    @property
    def hidden(self) -> int:
        """Processes whose namespace may not be seen."""
        return sum(space is None for space in self._space_of.values())

    def namespaces(self) -> Collection[netns.NetNamespace]:
        """Those that have a process, as far as one can see; the list is as old as the last walk."""
        if self._rounds % _WALK_EVERY == 0:
            self._walk()
        self._rounds += 1
        return self._pids.keys()

    def process_in(self, space: netns.NetNamespace) -> int | None:
        """A process that is in the namespace now, the one with the lowest pid; None when none is left.

        Processes that are not there any more, or have moved, are forgotten on the way.
        """
        for pid in sorted(self._pids.get(space, ())):
            self._ask(pid)
            if self._space_of.get(pid) == space and not procfs.is_gone(pid):
                return pid
            self._forget(pid)
        return None

    def _walk(self) -> None:
        self._walks += 1
        anew = self._walks % _ASK_ALL_EVERY == 0
        newest = procfs.newest_pid()
        unchanged = newest == self._newest and not isinstance(newest, samples.Missing)
        if unchanged and not anew and not self._young:
            return
        self._newest = newest
        there = frozenset(procfs.pids())
        for pid in self._space_of.keys() - there:
            self._forget(pid)
        fresh = there - self._space_of.keys()
        for pid in there if anew else fresh | (self._young & there):
            self._ask(pid)
        self._young = fresh

    def _ask(self, pid: int) -> None:
        """Put the process where it belongs; one that has ended belongs nowhere."""
        self._forget(pid)
        try:
            found: netns.NetNamespace | None = netns.identify(netns.path_of(pid))
        except errors.NotPermitted:
            found = None
        except errors.NotReachable:
            return
        self._space_of[pid] = found
        if found is not None:
            self._pids.setdefault(found, set()).add(pid)

    def _forget(self, pid: int) -> None:
        space = self._space_of.pop(pid, None)
        if space is not None:
            self._pids[space].discard(pid)
            if not self._pids[space]:
                del self._pids[space]
