"""One network namespace under watch: what its last whole look found, and whether it still holds. Called by rounds.

A whole look walks over every socket of the machine. Whether it has to be taken again is told by what costs nearly
nothing: the listeners, asked after one by one or dumped, and the namespace's counts of sockets and of TCP segments.
Where the listeners are the same and no segment came or went, no connection can have begun, ended or changed its state.
"""

import dataclasses
import enum
import functools
from typing import Self

from lastack import errors
from lastack.engine import instants, samples
from lastack.kernel import features, listening, net_counters, netns, sock_diag

_DUMPED_EVERY = 10
"""Glances after which the listeners are dumped even where they seem to be the same, so that nothing hides for long."""


class Verdict(enum.IntEnum):
    """What a glance says about the last whole look; the larger, the sooner the next one is worth its cost."""

    HOLDS = 0
    """Nothing has happened since."""
    MOVED = 1
    """Connections came, went or may have changed."""
    TROUBLE = 2
    """Somebody waits, was turned away or left rows behind, or the listeners are not those that they were."""
    UNSEEN = 3
    """There was no whole look yet."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Marks:
    """What was read just before a whole look."""

    listeners: tuple[sock_diag.Listener, ...]
    segments: tuple[int, int] | samples.Missing
    in_use: int | samples.Missing
    """Sockets, listeners among them."""
    connected: bool
    """Whether there was anything besides listeners."""


@dataclasses.dataclass(slots=True)
class KeptNamespace:
    """Open descriptors into one namespace, which they pin until close(): whoever keeps it watches `pid` for its end."""

    space: netns.NetNamespace
    pid: int
    reader: sock_diag.SockDiag
    gauges: net_counters.Kept
    sample: samples.Sample | None = None
    looked_at: instants.Now | None = None
    """When the last whole look was taken."""
    refreshed_at: instants.Now | None = None
    """When its processes were read last."""
    verdict: Verdict = Verdict.UNSEEN
    listeners: tuple[sock_diag.Listener, ...] = ()
    """As the last glance saw them."""
    _marks: _Marks | None = None
    _carried: tuple[samples.Look, ...] = ()
    """The looks of the last whole look as the next one would have them, if nothing happens."""
    _quiet: bool = False
    _glances: int = 0
    _peaks: dict[int, int] = dataclasses.field(default_factory=dict)
    _troughs: dict[int, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def open(
        cls,
        space: netns.NetNamespace,
        pid: int,
        offered: features.Features,
        known: listening.Known,
        buffer: bytearray,
    ) -> Self:
        """Keep the namespace of a process. Raises NotReachable when it is another one by now, NotPermitted."""
        path = netns.path_of(pid)
        gauges = net_counters.Kept.open(pid)
        if isinstance(gauges, samples.Missing):
            raise errors.NotReachable(f"{path}: {gauges.why}", fix=gauges.fix)
        try:
            reader = _reader(space, path, offered, known, buffer)
        except errors.WorldError:
            gauges.close()
            raise
        kept = cls(space, pid, reader, gauges)
        # Only now, with both open, does the path tell whose they are.
        if netns.identify(path) != space:
            kept.close()
            raise errors.NotReachable(f"{path} is not network namespace {space.inode} any more")
        return kept

    def close(self) -> None:
        """Let go of the namespace. May be called twice."""
        self.reader.close()
        self.gauges.close()

    def glance(self) -> Verdict:
        """Compare with the last whole look. Raises errors.WorldError when the kernel does not answer."""
        self._glances += 1
        # In different rounds for different namespaces, so that rounds cost the same.
        if (self._glances + self.space.inode) % _DUMPED_EVERY and self._holds_as_asked():
            self.verdict = Verdict.HOLDS
            return self.verdict
        before, self.listeners = self.listeners, self.reader.listeners()
        if self.listeners is not before:
            for each in self.listeners:
                self._peaks[each.cookie] = max(each.depth, self._peaks.get(each.cookie, 0))
                self._troughs[each.cookie] = min(each.depth, self._troughs.get(each.cookie, each.depth))
        self.verdict = self._judge()
        return self.verdict

    def _holds_as_asked(self) -> bool:
        """Whether nothing has happened, told without a dump; False also where that does not tell.

        Every listener is there and as it was, and there are as many sockets as before: with nothing but listeners there
        is no room for another. Beside connections it takes a count of segments too, and misses for some rounds only a
        listener that came in the same second in which a connection went without a word (an orphan's time-out).
        """
        marks = self._marks
        if marks is None or not self._quiet or self.listeners is not marks.listeners:
            return False
        if not self.reader.are_unchanged(self.listeners):
            return False
        in_use = self.gauges.in_use()
        if isinstance(in_use, samples.Missing) or in_use != marks.in_use:
            return False
        if not marks.connected:
            return in_use == len(self.listeners)
        segments = self.gauges.segments()
        return not isinstance(segments, samples.Missing) and segments == marks.segments

    def _judge(self) -> Verdict:
        marks = self._marks
        if marks is None:
            return Verdict.UNSEEN
        if not self._quiet or self.listeners is not marks.listeners:
            return Verdict.TROUBLE
        # Read after the dump, so that what happened until now shows. With nothing there but listeners, then as now,
        # no row can be other than it was; this is also the cheapest to read.
        if not marks.connected and not self._is_connected(self.gauges.in_use()):
            return Verdict.HOLDS
        segments = self.gauges.segments()
        moved = isinstance(segments, samples.Missing) or segments != marks.segments
        return Verdict.MOVED if moved else Verdict.HOLDS

    def _is_connected(self, in_use: int | samples.Missing) -> bool:
        return isinstance(in_use, samples.Missing) or in_use > len(self.listeners)

    def mark(self) -> None:
        """Remember how things stand; a whole look follows at once. Raises errors.WorldError."""
        self._marks = None
        segments = self.gauges.segments()
        self.listeners = self.reader.listeners()
        in_use = self.gauges.in_use()
        self._marks = _Marks(self.listeners, segments, in_use, self._is_connected(in_use))

    def keep(self, sample: samples.Sample) -> None:
        """Take the whole look that followed the mark."""
        looks = tuple(self._with_peak(look) for look in sample.looks)
        self.sample = dataclasses.replace(sample, looks=looks)
        self.looked_at = self.refreshed_at = sample.at
        self._carried = tuple(_carried(look) for look in looks)
        self._quiet = not sample.outbound and self._is_what_was_marked(looks) and all(map(_is_quiet, looks))
        self._peaks, self._troughs = {}, {}
        self.verdict = Verdict.HOLDS if self._quiet else Verdict.TROUBLE

    def restamp(self, at: instants.Now) -> None:
        """The last whole look holds: it is what one would see now."""
        if self.sample is not None:
            looks = tuple(
                samples.Look(at, look.listener, look.owner, look.namespace, look.stands)
                for look in self._carried
            )
            self.sample = samples.Sample(at, looks, self.sample.missing, ())

    def take_processes(self, at: instants.Now, read: dict[samples.Pid, samples.ProcessSample]) -> None:
        """Put newer facts about its processes into what is carried on."""
        self.refreshed_at = at
        self._carried = tuple(
            dataclasses.replace(
                look,
                owner=dataclasses.replace(
                    look.owner, processes=tuple(read.get(each.pid, each) for each in look.owner.processes)
                ),
            )
            for look in self._carried
        )

    @property
    def processes(self) -> tuple[samples.ProcessSample, ...]:
        """Who holds its listeners, as last read."""
        return tuple({each.pid: each for look in self._carried for each in look.owner.processes}.values())

    def _with_peak(self, look: samples.Look) -> samples.Look:
        """With the extremes of the queue since the whole look before: every round is a glance."""
        cookie, depth = look.listener.cookie, look.listener.depth
        peak, trough = max(self._peaks.get(cookie, 0), depth), min(self._troughs.get(cookie, depth), depth)
        return dataclasses.replace(
            look, listener=dataclasses.replace(look.listener, peak=peak, trough=trough)
        )

    def _is_what_was_marked(self, looks: tuple[samples.Look, ...]) -> bool:
        """The whole look saw the listeners that stood there just before it."""
        marked = {
            (each.cookie, each.depth, each.limit, each.drops)
            for each in (self._marks.listeners if self._marks else ())
        }
        seen = {
            (
                each.cookie,
                each.depth,
                each.limit,
                None if isinstance(each.drops, samples.Missing) else each.drops,
            )
            for each in (look.listener for look in looks)
        }
        return marked == seen


def _is_quiet(look: samples.Look) -> bool:
    """Nothing in the look would be older at the next one: no row waits, none is half-closed, none is half-open."""
    listener = look.listener
    waiting = isinstance(listener.queued, samples.QueuedRows) and len(listener.queued.cookies) > 0
    opening = not isinstance(listener.syn_received, samples.Missing) and listener.syn_received > 0
    return not (listener.depth or waiting or opening or len(listener.close_wait.cookies))


def _carried(look: samples.Look) -> samples.Look:
    """The look as the next one has it: there was a look before, from which nothing vanished."""
    listener = look.listener
    if isinstance(listener.vanished_open, samples.Missing):
        listener = dataclasses.replace(listener, vanished_open=0)
    return dataclasses.replace(
        look, listener=dataclasses.replace(listener, peak=listener.depth, trough=listener.depth)
    )


def _reader(
    space: netns.NetNamespace,
    path: str,
    offered: features.Features,
    known: listening.Known,
    buffer: bytearray,
) -> sock_diag.SockDiag:
    """A reader of the namespace; the own one is not entered, which would take a right."""
    opened = (
        sock_diag.SockDiag.open if space == netns.own() else functools.partial(netns.open_sock_diag, path)
    )
    return opened(offered=offered.extensions, one_walk=offered.one_walk, known=known, buffer=buffer)
