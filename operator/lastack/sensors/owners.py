"""Which processes hold a listening socket, kept between looks and confirmed at each. Called by sampler.

Joining inodes with descriptors costs about 5 us per open file of the machine, so it is done for a socket that
was not seen before and for a process that was not there before; what is known is confirmed by one readlink.
"""

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping

from lastack.engine import samples
from lastack.kernel import descriptors, procfs

UNSEEN = samples.Missing(
    "not permitted: needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to see which sockets it holds",
    "run as root, or grant both capabilities",
)
_NOBODY = samples.Missing(
    "no process that can be seen holds the socket; its owner is hidden, or lives in another pid namespace",
    "run as root, on the host instead of in a container",
)
_FORGET_EVERY = 720
"""Looks until everything is asked anew (an hour at 5 s): a socket can be passed to an older process."""


@dataclasses.dataclass(frozen=True, slots=True)
class Holders:
    """inode -> pids, ascending, empty where none was found; `unseen` processes could not be looked into."""

    pids: Mapping[int, tuple[samples.Pid, ...]]
    unseen: frozenset[int]

    def why_none(self) -> samples.Missing:
        """Why a socket has no holder."""
        return UNSEEN if self.unseen else _NOBODY


class OwnerIndex:
    """Remembers the holders of sockets, by inode."""

    def __init__(self) -> None:
        """Know nothing."""
        self._found: dict[int, dict[int, int]] = {}
        self._asked: dict[int, frozenset[int]] = {}
        self._unseen: set[int] = set()
        self._looks = 0
        self._there: frozenset[int] = frozenset()
        self._newest: int | samples.Missing = samples.Missing("nothing was read yet")

    def holders(self, inodes: Collection[int], among: Iterable[samples.Pid] | None = None) -> Holders:
        """Who holds these sockets; `among` None asks every process."""
        self._looks += 1
        there = self._everybody() if among is None else frozenset(among)
        if self._looks % _FORGET_EVERY == 0:
            self._ask_anew()
        self._confirm(inodes)
        groups: dict[frozenset[int], list[int]] = collections.defaultdict(list)
        for inode in inodes:
            groups[self._asked.get(inode, frozenset())].append(inode)
        for asked, group in groups.items():
            if there is not asked:
                self._ask(there - asked, group)
            now_asked = there if among is None else asked | there
            self._asked.update(dict.fromkeys(group, now_asked))
        found = {
            inode: tuple(samples.Pid(pid) for pid in sorted(self._found.get(inode, ())) if pid in there)
            for inode in inodes
        }
        self._unseen &= there
        return Holders(found, frozenset(self._unseen))

    def _everybody(self) -> frozenset[int]:
        """Every process, perhaps some that have ended: they are listed when one was made, not at each look."""
        newest = procfs.newest_pid()
        if newest != self._newest or isinstance(newest, samples.Missing):
            self._newest, self._there = newest, frozenset(procfs.pids())
        return self._there

    def _ask_anew(self) -> None:
        """Forget the sockets that are held no more, and ask for all others in one walk."""
        held = frozenset(inode for inode, pids in self._found.items() if pids)
        asked = frozenset[int]().union(*{self._asked.get(inode, frozenset()) for inode in held})
        self._found = {}
        self._ask(asked, held)
        self._asked = dict.fromkeys(held, asked)

    def _confirm(self, inodes: Iterable[int]) -> None:
        """Drop what does not hold any more; a socket that lost its last known holder is looked for anew."""
        for inode in inodes:
            held = self._found.get(inode)
            if not held:
                continue
            lost = [
                pid for pid, descriptor in held.items() if not descriptors.still_holds(pid, descriptor, inode)
            ]
            for pid in lost:
                del held[pid]
            # The same pid may have moved the socket to another descriptor.
            self._ask(lost, (inode,))
            if not held:
                self._asked.pop(inode, None)

    def _ask(self, pids: Iterable[int], inodes: Collection[int]) -> None:
        for pid in pids:
            held = descriptors.sockets(pid, wanted=inodes)
            if not isinstance(held, samples.Missing):
                for inode, descriptor in held.items():
                    self._found.setdefault(inode, {})[pid] = descriptor
                self._unseen.discard(pid)
            elif held.fix is not None:
                # It is there and may hold anything.
                self._unseen.add(pid)


def main_pid(processes: Collection[samples.ProcessSample]) -> samples.Pid | None:
    """The owner whose parent is not an owner: the master of its workers.

    PID 1 holds what it activated and is the owner only when nobody else is, and so does every other systemd (of a
    container, of a user); several left: the youngest, as a service that was started anew while the old one ends.
    """
    candidates = [process for process in processes if not _activates(process)] or list(processes)
    pids = {process.pid for process in candidates}
    roots = [process for process in candidates if process.parent not in pids]
    youngest = max(roots or candidates, key=lambda process: (process.started, process.pid), default=None)
    return None if youngest is None else youngest.pid


def _activates(process: samples.ProcessSample) -> bool:
    return process.pid == 1 or process.command == "systemd"
