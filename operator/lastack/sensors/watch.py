"""Watch for a while: a deep look, cheap looks and glances between, a deep look at the end.

Called by `lastack diagnose`.
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Sequence

from lastack import ports
from lastack.engine import samples

_LOOK_EVERY = dt.timedelta(milliseconds=500)
_GLANCE_EVERY = dt.timedelta(milliseconds=100)
"""A burst that overflows a short queue is taken within some tenths of a second, and comes back each second, as dropped
handshakes are tried again: looks alone miss it, or meet it every time."""
_MOST_LOOKS = 20
"""A long window gets no more looks than this, which bounds what is kept of it."""
_SHARE_OF_TIME = 10
"""A look that took long is followed by at least so many times as long without one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """One window per listener that was there at the last look, and what could not be seen.

    `outbound` has one per process that had sockets in CLOSE_WAIT as a client at the last look.
    """

    windows: tuple[samples.Window, ...]
    outbound: tuple[samples.OutboundWindow, ...]
    missing: tuple[tuple[str, samples.Missing], ...]
    seen: tuple[bool, ...]
    """Per selection: whether it could be looked at."""


def watch(
    sampler: ports.Sampler,
    selections: Sequence[ports.Selection],
    window: dt.timedelta,
    progress: Callable[[dt.timedelta], None],
) -> Watched:
    """Look at every selection from now until `window` has passed; zero is one look. Blocks for that long.

    `progress` is told how much time has passed. A namespace that vanishes meanwhile keeps what was seen of it.
    """
    begun = time.monotonic()
    deep = [dataclasses.replace(selection, deep=True) for selection in selections]
    cheap = [dataclasses.replace(selection, deep=False) for selection in selections]
    taken: list[list[samples.Sample]] = [[sampler.look(each)] for each in deep]
    took = time.monotonic() - begun
    every = max(_LOOK_EVERY.total_seconds(), window.total_seconds() / _MOST_LOOKS, took * _SHARE_OF_TIME)
    # From the first look on: to find the owners may take its time, and the window is what lies between two looks.
    first = time.monotonic()
    end = first + window.total_seconds()
    following = first + every
    pause = _GLANCE_EVERY.total_seconds()
    while (left := end - time.monotonic()) > 0:
        progress(window - dt.timedelta(seconds=left))
        time.sleep(max(0.0, min(left, following - time.monotonic(), pause)))
        if time.monotonic() < following:
            pause = _glance(sampler, cheap)
            continue
        if following < end - every / 2:
            _look(sampler, cheap, taken)
        following += every
    if window > dt.timedelta(0):
        _look(sampler, deep, taken)
    return gather(taken)


def _look(
    sampler: ports.Sampler, selections: Sequence[ports.Selection], taken: list[list[samples.Sample]]
) -> None:
    for selection, series in zip(selections, taken, strict=True):
        series.append(sampler.look(selection))


def _glance(sampler: ports.Sampler, selections: Sequence[ports.Selection]) -> float:
    """Glance at every selection; returns the seconds until the next glance."""
    begun = time.monotonic()
    for selection in selections:
        sampler.glance(selection)
    return max(_GLANCE_EVERY.total_seconds(), (time.monotonic() - begun) * _SHARE_OF_TIME)


def gather(taken: Sequence[Sequence[samples.Sample]]) -> Watched:
    """The windows of what was looked at, one series of samples per selection; also of looks that were recorded."""
    found: list[samples.Window] = []
    outbound: list[samples.OutboundWindow] = []
    missing: dict[tuple[str, samples.Missing], None] = {}
    for series in taken:
        missing.update(dict.fromkeys(series[-1].missing))
        whole = [sample for sample in series if not _failed(sample)]
        if whole:
            found.extend(_windows(whole))
            outbound.extend(_outbound_windows(whole))
    seen = tuple(not _failed(series[0]) for series in taken)
    return Watched(tuple(found), tuple(outbound), tuple(missing), seen)


def _windows(taken: Sequence[samples.Sample]) -> list[samples.Window]:
    """Windows of the listeners that the newest sample has, in its order.

    A listener is the same while its socket is (namespace and cookie): what listens anew has a window of its own,
    since its counters start again.
    """
    history: dict[tuple[int, int], list[samples.Look]] = {_socket(look): [] for look in taken[-1].looks}
    for sample in taken:
        for look in sample.looks:
            if _socket(look) in history:
                history[_socket(look)].append(look)
    return [samples.Window(tuple(looks)) for looks in history.values()]


def _outbound_windows(taken: Sequence[samples.Sample]) -> list[samples.OutboundWindow]:
    """Windows of the processes that the newest sample has; another process with the same pid is another one."""
    history: dict[tuple[int, dt.timedelta], list[samples.OutboundLook]] = {
        (look.process.pid, look.process.started): [] for look in taken[-1].outbound
    }
    for sample in taken:
        for look in sample.outbound:
            if (look.process.pid, look.process.started) in history:
                history[look.process.pid, look.process.started].append(look)
    return [samples.OutboundWindow(tuple(looks)) for looks in history.values()]


def _socket(look: samples.Look) -> tuple[int, int]:
    return (look.namespace.inode, look.listener.cookie)


def _failed(sample: samples.Sample) -> bool:
    """Nothing could be seen: the namespace is gone or closed to us, or the kernel did not answer."""
    return bool(sample.unseen) and not sample.looks
