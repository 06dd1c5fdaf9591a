"""One process at one instant: what it is, since when, its files and threads, its unit. Called by sampler.

psutil tells the whole name where it is installed; the one-file build carries no C extension and is content with
the 15 bytes that the kernel keeps of it.
"""

import dataclasses
import datetime as dt

from lastack.engine import samples
from lastack.kernel import cgroups, descriptors, procfs

_MOST_LIVES = 4096
"""Beyond so many remembered processes all are forgotten, so that memory stays flat however often they restart."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Life:
    """What does not change while a process lives."""

    started: dt.timedelta
    command: str
    unit: str | None
    container: str | None


class ProcessReader:
    """Reads processes; remembers what cannot change in one life of one process."""

    def __init__(self, *, counted_descriptors: bool) -> None:
        """Take Features.counted_descriptors."""
        self._counted = counted_descriptors
        self._lives: dict[int, _Life] = {}

    def read(
        self,
        pid: samples.Pid,
        outbound: int | samples.Missing,
        group: samples.GroupSample | samples.Missing,
    ) -> samples.ProcessSample | samples.Missing:
        """The process now; Missing when it is gone or a zombie, which holds nothing."""
        facts = procfs.process(pid)
        if isinstance(facts, samples.Missing):
            self._lives.pop(pid, None)
            return facts
        if facts.state == "Z":
            return samples.Missing(f"vanished: process {pid} has ended and waits for its parent")
        life = self._lives.get(pid)
        if life is None or life.started != facts.started:
            if len(self._lives) >= _MOST_LIVES:
                self._lives.clear()
            life = self._lives[pid] = _life(facts)
        return samples.ProcessSample(
            pid=pid,
            parent=samples.Pid(facts.parent) if facts.parent else None,
            command=life.command,
            started=facts.started,
            open_files=descriptors.open_files(pid, counted=self._counted),
            open_files_limit=descriptors.open_files_limit(pid),
            threads=facts.threads,
            outbound=outbound,
            unit=life.unit,
            container=life.container,
            state=facts.state,
            cpu=facts.cpu,
            group=group,
        )


def pids_of_unit(unit: str) -> frozenset[samples.Pid]:
    """Every process whose control group is the unit's, by name with its suffix; empty when there is none."""
    found = []
    for pid in procfs.pids():
        where = cgroups.path(pid)
        if not isinstance(where, samples.Missing) and cgroups.unit(where) == unit:
            found.append(samples.Pid(pid))
    return frozenset(found)


def _life(facts: procfs.ProcessFacts) -> _Life:
    where = cgroups.path(facts.pid)
    return _Life(
        started=facts.started,
        command=_whole_name(facts),
        unit=None if isinstance(where, samples.Missing) else cgroups.unit(where),
        container=None if isinstance(where, samples.Missing) else cgroups.container(where),
    )


def _whole_name(facts: procfs.ProcessFacts) -> str:
    """The name of the program; psutil completes one that the kernel cut."""
    try:
        import psutil
    except ImportError:
        return facts.name
    try:
        return psutil.Process(facts.pid).name()
    except psutil.Error:
        return facts.name
