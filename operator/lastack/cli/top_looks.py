"""What `lastack top` looks at, look after look: windows of every listener, judged anew each time. Called by cli.top.

Cheap looks most of the time. A deep one, which walks over every socket, is taken of a namespace at first, then where
something is in trouble, and never so often that it costs more than a hundredth of a processor.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Mapping, Sequence

from lastack import ports
from lastack.cli import diagnosis_answers, top_rows
from lastack.engine import samples, signals, thresholds, windows
from lastack.policy import vocabulary
from lastack.sensors import places, rounds, sampler

_DEEP_IN_TROUBLE_SECONDS = 5.0
_DEEP_OTHERWISE_SECONDS = 30.0
_DEEP_COST_FACTOR = 100
"""A deep look is followed by at least so many times its processor time without one."""
_JUDGED_EVERY = dt.timedelta(seconds=10)
"""How old the judgement of a listener may be at which nothing happens."""
_FIND_EVERY_SECONDS = 5.0
"""How often processes of a unit and namespaces are looked for anew: a restarted service has other pids."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ambient:
    """What the namespaces count of all their listeners together, per second; None while there is one look."""

    drops: float | None
    overflows: float | None
    cookies: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Everything that one look adds up to. `span` is how long the longest window is."""

    at: dt.datetime
    span: dt.timedelta
    rows: tuple[top_rows.Row, ...]
    ambient: Ambient
    namespaces: tuple[int, ...]
    missing: tuple[tuple[str, samples.Missing], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """One sample per namespace, by its inode; `deep` are those that counted everything."""

    found: Mapping[int, samples.Sample]
    deep: frozenset[int]
    missing: tuple[tuple[str, samples.Missing], ...]


class Selected:
    """Looks at what selectors name, in a namespace or a few; a source of Looks."""

    def __init__(self, eye: ports.Sampler, wanted: places.Wanted) -> None:
        self._eye = eye
        self._wanted = wanted
        self._found = places.find(wanted)
        self._found_at = time.monotonic()
        self._pace = _Pace()

    def take(self, trouble: frozenset[int]) -> Taken:
        """One look at each."""
        now = time.monotonic()
        if now - self._found_at >= _FIND_EVERY_SECONDS:
            self._found, self._found_at = places.find(self._wanted), now
        found, deep = {}, set()
        for place in self._found.places:
            selection = place.selection
            if self._pace.is_due(place.inode, now, in_trouble=place.inode in trouble):
                selection = dataclasses.replace(selection, deep=True)
                deep.add(place.inode)
            before = time.process_time()
            found[place.inode] = self._eye.look(selection)
            if selection.deep:
                self._pace.taken(place.inode, now, time.process_time() - before)
        missing = [row for sample in found.values() for row in sample.missing]
        return Taken(found, frozenset(deep), tuple(dict.fromkeys((*self._found.missing, *missing))))


class Everywhere:
    """Looks at every namespace of the host under a budget; a source of Looks."""

    def __init__(self, eye: sampler.SocketSampler, all_of_them: rounds.Rounds) -> None:
        self._eye = eye
        self._rounds = all_of_them
        self._pace = _Pace()

    def take(self, trouble: frozenset[int]) -> Taken:
        """One round, and a deep look where something is in trouble and one is due."""
        now = time.monotonic()
        seen = self._rounds.look()
        found, deep = dict(seen.found), set()
        for inode in trouble & found.keys():
            pid = next((look.owner.pid for look in found[inode].looks if look.owner.pid is not None), None)
            if pid is None or not self._pace.is_due(inode, now, in_trouble=True):
                continue
            before = time.process_time()
            sample = self._eye.look(ports.Selection(netns_pid=pid, deep=True))
            self._pace.taken(inode, now, time.process_time() - before)
            if not sample.unseen:
                found[inode] = sample
                deep.add(inode)
        missing = [row for sample in found.values() for row in sample.missing]
        return Taken(found, frozenset(deep), tuple(dict.fromkeys((*seen.missing, *missing))))


class Looks:
    """Windows of everything that is looked at; flat in memory."""

    def __init__(self, source: Selected | Everywhere, ports_wanted: frozenset[int]) -> None:
        self._source = source
        self._ports = ports_wanted
        self._windows: Mapping[windows.Key, samples.Window] = {}
        self._clients: dict[int, windows.ClientWindows] = {}
        self._outbound: dict[tuple[object, ...], int] = {}
        self._judged: dict[windows.Key, _Judged] = {}
        self._trouble: frozenset[int] = frozenset()

    def take(self) -> Table:
        """Look once, and judge."""
        taken = self._source.take(self._trouble)
        looks = [
            look
            for sample in taken.found.values()
            for look in sample.looks
            if not self._ports or look.listener.address.port in self._ports
        ]
        self._windows = _extended(self._windows, looks)
        for inode in taken.deep:
            before = self._clients.get(inode, {})
            self._clients[inode] = windows.extend_clients(before, taken.found[inode].outbound)
        self._clients = {inode: kept for inode, kept in self._clients.items() if inode in taken.found}
        idle = {
            key: known.row
            for key, window in self._windows.items()
            if (known := self._judged.get(key)) is not None and known.holds(window)
        }
        seen = self._seen(taken, [window for key, window in self._windows.items() if key not in idle])
        # The idle ones are heard, too.
        unheard = self._ports - {row.item.port for row in idle.values()}
        answer = diagnosis_answers.judge(unheard, seen)
        rows = tuple(self._remembered(row) for row in (*top_rows.of(answer.items), *idle.values()))
        self._judged = _judged(rows)
        self._outbound = {row.key: row.outbound for row in rows if row.outbound is not None}
        self._trouble = frozenset(
            row.netns
            for row in rows
            if row.netns is not None and row.finding.severity is not vocabulary.Severity.NONE
        )
        return Table(
            at=seen.at,
            span=seen.window,
            rows=rows,
            ambient=ambient(tuple(self._windows.values())),
            namespaces=tuple(seen.namespaces),
            missing=answer.missing,
        )

    def _seen(self, taken: Taken, found: Sequence[samples.Window]) -> diagnosis_answers.Seen:
        clients = [window for kept in self._clients.values() for window in kept.values()]
        return diagnosis_answers.Seen(
            windows=found,
            # Ports select listeners.
            outbound=() if self._ports else clients,
            namespaces=[inode for inode, sample in taken.found.items() if sample.looks or not sample.unseen],
            missing=taken.missing,
            window=max((window.length for window in self._windows.values()), default=dt.timedelta(0)),
            at=max((sample.at.wall for sample in taken.found.values()), default=dt.datetime.now(dt.UTC)),
        )

    def _remembered(self, row: top_rows.Row) -> top_rows.Row:
        """With what only deep looks count, from the last one."""
        if row.outbound is not None or row.key not in self._outbound:
            return row
        return dataclasses.replace(row, outbound=self._outbound[row.key])


@dataclasses.dataclass(frozen=True, slots=True)
class _Judged:
    """A row at which nothing is wrong, and of what look."""

    row: top_rows.Row
    of: samples.Look

    def holds(self, window: samples.Window) -> bool:
        """Whether nothing has happened at this listener since: to judge it is the largest part of a refresh."""
        return (
            window.last.at.since(self.of.at) < _JUDGED_EVERY
            and all(_is_idle(look) for look in window.looks)
            and window.first.listener.drops == window.last.listener.drops
            and _files(window.last) == _files(self.of)
        )


def _judged(rows: Sequence[top_rows.Row]) -> dict[windows.Key, _Judged]:
    """Those of the rows that need not be judged again while nothing happens."""
    found = {}
    for row in rows:
        window = row.item.window
        if window is None or row.finding.code is not vocabulary.DiagnosisCode.HEALTHY:
            continue
        look = window.last
        key = (look.namespace.inode, look.listener.cookie, look.owner.pid or 0)
        # What was seen for a moment only may still turn out to be something.
        if window.length >= thresholds.WINDOW_SPAN and all(_is_idle(each) for each in window.looks):
            found[key] = _Judged(row, look)
    return found


def _is_idle(look: samples.Look) -> bool:
    """Nobody waits, and nobody has closed."""
    listener = look.listener
    return not (listener.depth or listener.peak or listener.close_wait.cookies)


def _files(look: samples.Look) -> list[int | samples.Missing]:
    return [process.open_files for process in look.owner.processes]


class _Pace:
    """When the next deep look at each namespace may be taken."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[float, float]] = {}

    def is_due(self, inode: int, now: float, *, in_trouble: bool) -> bool:
        """Whether it is time; at once for a namespace that has had none."""
        if inode not in self._taken:
            return True
        at, cost = self._taken[inode]
        least = _DEEP_IN_TROUBLE_SECONDS if in_trouble else _DEEP_OTHERWISE_SECONDS
        return now - at >= max(least, cost * _DEEP_COST_FACTOR)

    def taken(self, inode: int, now: float, cost: float) -> None:
        """It was taken, and cost so many seconds of processor time."""
        self._taken[inode] = (now, cost)


def ambient(found: Sequence[samples.Window]) -> Ambient:
    """The counters of each namespace once, added up."""
    of_namespace = {window.last.namespace.inode: window for window in found}
    return Ambient(
        drops=_summed(of_namespace, "ListenDrops"),
        overflows=_summed(of_namespace, "ListenOverflows"),
        cookies=_summed(of_namespace, "TCPReqQFullDoCookies"),
    )


def _summed(of_namespace: Mapping[int, samples.Window], name: str) -> float | None:
    rates = []
    for window in of_namespace.values():
        grown = signals.counter_growth(window, name)
        if not isinstance(grown, samples.Missing) and window.length:
            rates.append(grown / window.length.total_seconds())
    return sum(rates) if rates else None


def _extended(
    before: Mapping[windows.Key, samples.Window], looks: Sequence[samples.Look]
) -> dict[windows.Key, samples.Window]:
    """The windows with the new looks; one whose look is given again, with its old time, stays as it is."""
    fresh, same = [], {}
    for look in looks:
        key = (look.namespace.inode, look.listener.cookie, look.owner.pid or 0)
        if key in before and before[key].last.at == look.at:
            same[key] = before[key]
        else:
            fresh.append(look)
    return {**same, **windows.extend(before, tuple(fresh))}
