"""One recording of `lastack record`, from its first look to the sentence about it. Called by cli.record."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable

from lastack import __version__, errors, interruptions, ports, quantities
from lastack.cli import printing, progress, selecting
from lastack.engine import instants, samples
from lastack.kernel import clocks, features
from lastack.policy import sysctls
from lastack.sensors import long_watches, places, sampler
from lastack.stores import recorders, recordings

_WHY = {
    "done": "",
    "interrupted": ", interrupted",
    "limit": ", ended at the size that --limit allows",
    "full": ", ended by a full disk",
    "unseen": ", ended because nothing of it can be seen any more",
}


def record(
    file: pathlib.Path,
    wanted: places.Wanted,
    span: dt.timedelta,
    every: dt.timedelta,
    *,
    limit: int,
    replace: bool,
) -> int:
    """Look, keep and tell; the exit code.

    Raises NotReachable when there is nothing to record, and what the disk says, after saying what was kept.
    """
    offered = features.probe()
    found = places.find(wanted)
    for what, why in found.missing:
        printing.note(
            f"not seen: {printing.lines(f'{what}: {why.why}' + (f'; {why.fix}' if why.fix else ''))}"
        )
    if not found.places:
        raise errors.NotReachable("nothing that was asked for can be seen: there is nothing to record")
    eye = sampler.SocketSampler(clocks.SystemClock(), offered, sysctls.CATALOGUE)
    header = _header(wanted, found, offered, span, every)
    with recorders.Recorder(file, header, most_bytes=limit, replace=replace) as recorder:
        taking = _Taking(recorder, eye)
        return taking.run([place.selection for place in found.places], span, every)


def _header(
    wanted: places.Wanted,
    found: places.Found,
    offered: features.Features,
    span: dt.timedelta,
    every: dt.timedelta,
) -> recordings.Header:
    return recordings.Header(
        build=__version__,
        kernel=offered.release,
        started=clocks.SystemClock().now().wall,
        planned=span,
        every=every,
        asked=selecting.words(wanted),
        ports=wanted.ports,
        places=tuple(place.inode for place in found.places),
        features={
            name: value for name, value in dataclasses.asdict(offered).items() if isinstance(value, bool)
        },
        missing=found.missing,
    )


class _Taking:
    """One recording, from its first look to the sentence about it."""

    def __init__(self, recorder: recorders.Recorder, eye: sampler.SocketSampler) -> None:
        self._recorder = recorder
        self._eye = eye
        self._bar = progress.Progress()
        self._listeners: set[tuple[int, int]] = set()
        self._instants: list[instants.Now] = []

    def run(self, selections: list[ports.Selection], span: dt.timedelta, every: dt.timedelta) -> int:
        """Look, keep, and end the recording in order whatever ends it; the exit code.

        Raises what the disk says, after saying what was kept.
        """
        why: recordings.Ended = "done"
        try:
            with interruptions.raised():
                seen = long_watches.watch(
                    self._eye,
                    selections,
                    span=span,
                    every=every,
                    keep=self._keep,
                    progress=self._tell(span),
                )
            why = "done" if seen else "unseen"
        except KeyboardInterrupt:
            why = "interrupted"
        except recorders.LimitReached:
            why = "limit"
        except errors.WorldError:
            self._say("full")
            raise
        self._recorder.end(why)
        self._say(why)
        if why == "interrupted":
            return interruptions.EXIT_CODE
        return errors.WorldError.exit_code if why == "unseen" and not self._listeners else 0

    def _keep(self, place: int, sample: samples.Sample, deep: bool) -> None:  # noqa: FBT001 - long_watches.Keep
        with interruptions.held_back():
            self._recorder.add(place, sample, deep=deep)
        self._listeners |= {(look.namespace.inode, look.listener.cookie) for look in sample.looks}
        self._instants = [*self._instants[:1], sample.at]

    def _tell(self, span: dt.timedelta) -> Callable[[dt.timedelta], None]:
        def tell(passed: dt.timedelta) -> None:
            size = quantities.short_size(self._recorder.size)
            self._bar.show(f"recording for {quantities.short(span)}: {passed.total_seconds():.0f} s, {size}")

        return tell

    def _say(self, why: recordings.Ended) -> None:
        self._bar.clear()
        seconds = self._instants[-1].since(self._instants[0]).total_seconds() if self._instants else 0
        looks, listeners = self._recorder.looks, len(self._listeners)
        printing.text(
            f"{self._recorder.path}: {looks} look{'' if looks == 1 else 's'} over {seconds:.0f} s, "
            f"{listeners} listener{'' if listeners == 1 else 's'}, "
            f"{quantities.short_size(self._recorder.size)}{_WHY[why]}"
        )
