"""What the control group of a process holds it to: processor quota, memory limit, waits for memory. Called by sampler.

A limit may be set at the group itself or at any group above it (a pod above its container, a slice above its unit);
the one that holds the process tightest counts. Each group is read once per look, whatever its number of processes.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from lastack.engine import samples
from lastack.kernel import cgroup_mounts, procfs

_NO_LIMIT = 1 << 62
"""Version 1 writes no limit as the largest multiple of a page in 63 bits."""
_NOT_SEEN = samples.Missing(
    "its control group cannot be seen from here",
    "run on the host instead of in a container, or mount /sys/fs/cgroup of the host",
)
_NOT_COUNTED = samples.Missing("the memory of its control group is not counted")
_NO_PRESSURE = samples.Missing("waits for memory are told by cgroup version 2 with PSI only")

Found = samples.GroupSample | samples.Missing


@dataclasses.dataclass(frozen=True, slots=True)
class _Memory:
    used: int | samples.Missing
    limit: int | samples.Missing | None
    refused: int | samples.Missing


class GroupReader:
    """Reads control groups; knows where they are mounted."""

    def __init__(self, trees: tuple[cgroup_mounts.Tree, ...] | None = None) -> None:
        """`trees` are the mounted hierarchies, if not those that this process sees."""
        self._trees = trees

    def look(self) -> Callable[[samples.Pid], Found]:
        """A reader for one look: what it has read of a group is said again for its other processes."""
        read: dict[str, Found] = {}

        def of_process(pid: samples.Pid) -> Found:
            content = procfs.read(f"/proc/{pid}/cgroup")
            if isinstance(content, samples.Missing):
                return content
            text = content.decode(errors="replace")
            if text not in read:
                read[text] = self.read(cgroup_mounts.parse_groups(text))
            return read[text]

        return of_process

    def read(self, paths: Mapping[str, str]) -> Found:
        """The group with these paths by controller, as in /proc/PID/cgroup."""
        if self._trees is None:
            found = cgroup_mounts.read_trees()
            if isinstance(found, samples.Missing):
                return found
            self._trees = found
        processor, memory = self._folders(paths, "cpu"), self._folders(paths, "memory")
        pressure = self._of_tree(paths, cgroup_mounts.UNIFIED)
        if not processor and not memory:
            return _NOT_SEEN
        periods, throttled = _quota(processor)
        # What version 1 has, version 2 has not.
        amounts = _memory(memory, _memory_1 if "memory" in paths else _memory_2)
        return samples.GroupSample(
            periods=periods,
            throttled_periods=throttled,
            memory=amounts.used,
            memory_limit=amounts.limit,
            memory_refused=amounts.refused,
            memory_stalled=_stalled(pressure),
        )

    def _folders(self, paths: Mapping[str, str], controller: str) -> Sequence[str]:
        """Where the files of a controller stand, in version 1 if it is there, else in version 2."""
        return self._of_tree(paths, controller if controller in paths else cgroup_mounts.UNIFIED)

    def _of_tree(self, paths: Mapping[str, str], controller: str) -> Sequence[str]:
        if controller not in paths:
            return ()
        return cgroup_mounts.folders(self._trees or (), controller, paths[controller])


def _quota(folders: Sequence[str]) -> tuple[int | samples.Missing, int | samples.Missing]:
    """Periods and throttled periods of the group whose quota ran out most often: that one holds the process."""
    if not folders:
        return _NOT_SEEN, _NOT_SEEN
    found = [_numbers(f"{folder}/cpu.stat") for folder in folders]
    seen = [each for each in found if not isinstance(each, samples.Missing)]
    if not seen:
        why = next(each for each in found if isinstance(each, samples.Missing))
        return why, why
    # Without the controller, or at the root, there is a cpu.stat without periods: nobody can set a quota there.
    tightest = max(seen, key=lambda stat: (stat.get("nr_throttled", 0), stat.get("nr_periods", 0)))
    return tightest.get("nr_periods", 0), tightest.get("nr_throttled", 0)


def _memory(folders: Sequence[str], read: Callable[[str], _Memory | None]) -> _Memory:
    """The group with the least room below its limit; without any limit the innermost that is counted."""
    if not folders:
        return _Memory(_NOT_SEEN, _NOT_SEEN, _NOT_SEEN)
    found = [each for folder in folders if (each := read(folder)) is not None]
    if not found:
        return _Memory(_NOT_COUNTED, None, _NOT_COUNTED)
    limited = [
        (each.limit - each.used, at)
        for at, each in enumerate(found)
        if isinstance(each.limit, int) and isinstance(each.used, int)
    ]
    return found[min(limited)[1]] if limited else found[0]


def _memory_2(folder: str) -> _Memory | None:
    """Version 2; None where the controller is not on for this group, and at the root, which has no limit."""
    used = _number(f"{folder}/memory.current")
    if used is None:
        return None
    events = _numbers(f"{folder}/memory.events")
    refused = events if isinstance(events, samples.Missing) else events.get("max", 0)
    return _Memory(used, _limit(f"{folder}/memory.max"), refused)


def _memory_1(folder: str) -> _Memory | None:
    used, refused = _number(f"{folder}/memory.usage_in_bytes"), _number(f"{folder}/memory.failcnt")
    if used is None:
        return None
    return _Memory(
        used, _limit(f"{folder}/memory.limit_in_bytes"), _NOT_COUNTED if refused is None else refused
    )


def _limit(path: str) -> int | samples.Missing | None:
    content = procfs.read(path)
    if isinstance(content, samples.Missing):
        return content
    text = content.strip()
    if text == b"max" or (text.isdigit() and int(text) >= _NO_LIMIT):
        return None
    return int(text) if text.isdigit() else samples.Missing(f"{path} is not a number")


def _stalled(folders: Sequence[str]) -> dt.timedelta | samples.Missing:
    """The time in which some task of the group waited for memory: `some avg10=... total=MICROSECONDS`."""
    content = procfs.read(f"{folders[0]}/memory.pressure") if folders else _NO_PRESSURE
    if isinstance(content, samples.Missing):
        return _NO_PRESSURE
    for line in content.split(b"\n"):
        words = line.split()
        if words[:1] == [b"some"] and words[-1].startswith(b"total="):
            return dt.timedelta(microseconds=int(words[-1][len(b"total=") :]))
    return _NO_PRESSURE


def _number(path: str) -> int | None:
    content = procfs.read(path)
    if isinstance(content, samples.Missing) or not content.strip().isdigit():
        return None
    return int(content)


def _numbers(path: str) -> dict[str, int] | samples.Missing:
    """A file of lines `name number`."""
    content = procfs.read(path)
    if isinstance(content, samples.Missing):
        return content
    pairs = (line.split() for line in content.splitlines())
    return {pair[0].decode(): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
