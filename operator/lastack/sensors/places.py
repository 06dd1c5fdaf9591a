"""From selectors that a person gave to the network namespaces to look at, one selection each. Called by cli.

Selectors of one kind are united, of different kinds intersected; processes and units are looked for in their own
namespaces unless one is named.
"""

import dataclasses
from collections.abc import Iterable

from lastack import errors, ports
from lastack.engine import samples
from lastack.kernel import netns, procfs
from lastack.sensors import processes


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `pids` and `units` None: not asked, which is not the same as none."""

    ports: frozenset[int] = frozenset()
    pids: frozenset[samples.Pid] | None = None
    units: frozenset[str] | None = None
    netns: tuple[str, ...] = ()
    """Each a pid, or the path of a namespace; empty: not asked."""
    all_netns: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """One namespace to look at; `inode` is the number that `ls -l /proc/PID/ns` shows."""

    selection: ports.Selection
    inode: int


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """Where to look, and (what, why) of what was asked for and is not there or may not be seen."""

    places: tuple[Place, ...]
    missing: tuple[tuple[str, samples.Missing], ...]


def find(wanted: Wanted) -> Found:
    """Resolve the selectors; nothing is raised for what is not there."""
    missing: list[tuple[str, samples.Missing]] = []
    pids = _pids(wanted, missing)
    if pids is not None and not pids:
        return Found((), tuple(missing))
    chosen: dict[int, ports.Selection] = {}
    for name, selection in _candidates(wanted, pids, missing):
        try:
            path = _path(selection)
            inode = (netns.identify(path) if path else netns.own()).inode
        except errors.WorldError as problem:
            missing.append((name, samples.Missing(problem.message, problem.fix)))
            continue
        chosen.setdefault(inode, dataclasses.replace(selection, ports=wanted.ports, pids=pids))
    places = tuple(Place(selection, inode) for inode, selection in sorted(chosen.items()))
    return Found(places, tuple(missing))


def _pids(wanted: Wanted, missing: list[tuple[str, samples.Missing]]) -> frozenset[samples.Pid] | None:
    """The processes that were asked for and are there; None when any will do."""
    chosen: frozenset[samples.Pid] | None = None
    if wanted.pids is not None:
        gone = {pid for pid in wanted.pids if procfs.is_gone(pid)}
        for pid in sorted(gone):
            why = samples.Missing(f"process {pid} does not exist", "give the pid of a running process: ps -e")
            missing.append((f"pid/{pid}", why))
        chosen = wanted.pids - gone
    if wanted.units is not None:
        members: set[samples.Pid] = set()
        for unit in sorted(wanted.units):
            those = processes.pids_of_unit(unit)
            if not those:
                why = samples.Missing(
                    f"no process runs in unit {unit}",
                    f"look whether it exists and runs: systemctl status {unit}",
                )
                missing.append((f"unit/{unit}", why))
            members |= those
        chosen = frozenset(members) if chosen is None else chosen & members
    return chosen


def _candidates(
    wanted: Wanted, pids: frozenset[samples.Pid] | None, missing: list[tuple[str, samples.Missing]]
) -> Iterable[tuple[str, ports.Selection]]:
    """Selections by namespace, with the name under which one that cannot be seen is reported."""
    if wanted.netns:
        return [_named(where) for where in wanted.netns]
    if wanted.all_netns:
        return _every_namespace(missing)
    if pids is not None:
        return [(f"pid/{pid}", ports.Selection(netns_pid=pid)) for pid in sorted(pids)]
    return [("netns/self", ports.Selection())]


def _named(where: str) -> tuple[str, ports.Selection]:
    if where.isdecimal():
        pid = samples.Pid(int(where))
        return f"pid/{pid}", ports.Selection(netns_pid=pid)
    return f"netns/{where}", ports.Selection(netns_path=where)


def _every_namespace(missing: list[tuple[str, samples.Missing]]) -> list[tuple[str, ports.Selection]]:
    """The own namespace, and one process of every other that has any."""
    found: dict[int, samples.Pid] = {}
    hidden = 0
    for pid in procfs.pids():
        try:
            found.setdefault(netns.identify(netns.path_of(pid)).inode, samples.Pid(pid))
        except errors.NotPermitted:
            hidden += 1
        except errors.NotReachable:
            continue
    if hidden:
        missing.append(("netns/all", hidden_namespaces(hidden)))
    others = [(f"pid/{pid}", ports.Selection(netns_pid=pid)) for pid in found.values()]
    return [("netns/self", ports.Selection()), *others]


def hidden_namespaces(processes: int) -> samples.Missing:
    """What is said about so many processes whose network namespaces may not be seen."""
    what = (
        "the network namespace of 1 process"
        if processes == 1
        else f"the network namespaces of {processes} processes"
    )
    return samples.Missing(
        f"not permitted: {what} cannot be seen",
        "run as root, or with CAP_SYS_PTRACE and CAP_SYS_ADMIN",
    )


def _path(selection: ports.Selection) -> str | None:
    if selection.netns_pid is not None:
        return netns.path_of(selection.netns_pid)
    return selection.netns_path
