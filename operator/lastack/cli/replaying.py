"""`diagnose --replay FILE`: the last window of a recording, or one that ends at `--at`, as if it were seen now.

Called by cli.diagnose. Only the looks of the window are kept while the file is read.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from typing import Any

from lastack import errors, quantities
from lastack.cli import diagnosis_answers, diagnosis_documents
from lastack.engine import instants, samples
from lastack.sensors import watch
from lastack.stores import recordings, replays

_LATE = dt.timedelta(milliseconds=250)
"""By so much a look may come late and its window still be as long as was asked."""

Instant = dt.timedelta | dt.datetime
"""After the first look, or by the calendar."""


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """What a recording says, and what of it could not be read."""

    answer: diagnosis_documents.Answer
    header: recordings.Header
    name: str
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """What a DiagnosisList says of its recording, besides."""
        head = self.header
        return {
            "replayOf": self.name,
            "recordedBy": {
                "build": head.build,
                "kernel": head.kernel,
                "startedAt": instants.rfc3339(head.started),
                "selectors": list(head.asked),
            },
        }

    def sentence(self) -> str:
        """The same for people."""
        head = self.header
        return (
            f"replay of {self.name}: recorded {instants.rfc3339(head.started)} by lastack {head.build} "
            f"on Linux {head.kernel}, judged as of {instants.rfc3339(self.answer.at)}"
        )


def replay(
    path: pathlib.Path, ports: frozenset[int], window: dt.timedelta, until: Instant | None
) -> Replayed:
    """Judge the recording.

    Raises NotARecording, NotPermitted, NotReachable, and UsageError for an instant outside of it.
    """
    with replays.Replay(path) as recording:
        header = recording.header
        slices = _read(recording, window, until)
        notes = [] if recording.damage is None else [_damage(recording, slices)]
    absent = ports - header.ports if header.ports else frozenset()
    if absent:
        notes.append(
            f"port {_listed(absent)} was not recorded: {path.name} has only port {_listed(header.ports)}"
        )
    series = [slices.samples(number, ports, recording.name) for number in range(len(header.places))]
    kept = [(inode, those) for inode, those in zip(header.places, series, strict=True) if those]
    if not kept and not header.missing:
        notes.append(f"{path.name} holds no look")
    said = tuple((f"recording/{path.name}", samples.Missing(note)) for note in notes)
    watched = watch.gather([those for _, those in kept])
    seen = diagnosis_answers.Seen(
        windows=watched.windows,
        # Ports select listeners, also where none of them was recorded.
        outbound=() if ports else watched.outbound,
        namespaces=[inode for (inode, _), looked in zip(kept, watched.seen, strict=True) if looked],
        missing=(*said, *header.missing, *watched.missing),
        window=_length([those for _, those in kept]),
        at=max((those[-1].at.wall for _, those in kept), default=header.started),
    )
    return Replayed(diagnosis_answers.judge(ports - absent, seen), header, str(path), tuple(notes))


class _Slices:
    """The frames of the window, per place; what is older than any window can begin is dropped on the way."""

    def __init__(self, window: dt.timedelta) -> None:
        self._window = window
        self._frames: dict[int, list[replays.Frame]] = {}
        self.first: instants.Now | None = None
        self.last: instants.Now | None = None

    def add(self, frame: replays.Frame) -> None:
        """Take the next frame of its place."""
        self.first = self.first or frame.at
        self.last = frame.at
        frames = self._frames.setdefault(frame.place, [])
        frames.append(frame)
        if frame.deep:
            del frames[: self._begin(frames)]

    def samples(self, place: int, ports: frozenset[int], name: str) -> list[samples.Sample]:
        """The looks of the window at one place, oldest first. Raises NotARecording for one that cannot be read."""
        frames = self._frames.get(place, [])
        # It ends with a deep look, as a window of `diagnose` does, where there is one.
        deep = [number for number, frame in enumerate(frames) if frame.deep]
        frames = frames[: deep[-1] + 1] if deep else frames
        if not frames:
            return []
        try:
            found = [frame.sample() for frame in frames[self._begin(frames) :]]
        except ValueError as problem:
            raise recordings.not_one(name, f"a look cannot be read: {problem}") from problem
        return [_only(sample, ports) for sample in found] if ports else found

    def _begin(self, frames: list[replays.Frame]) -> int:
        """Where a window that ends with the last of the frames begins: at a deep look, where there is one."""
        if not self._window:
            return len(frames) - 1
        latest = frames[-1].at
        early = [
            number
            for number, frame in enumerate(frames)
            if latest.since(frame.at) >= self._window - _LATE and (frame.deep or number == 0)
        ]
        return early[-1] if early else 0


def _read(recording: replays.Replay, window: dt.timedelta, until: Instant | None) -> _Slices:
    slices = _Slices(window)
    for frame in recording.frames():
        if until is not None and _passed(slices.first or frame.at, frame.at, until):
            if slices.first is None:
                begins = instants.rfc3339(frame.at.wall)
                raise errors.UsageError(f"--at is before the first look of {recording.name}, at {begins}")
            return slices
        slices.add(frame)
    if until is not None and slices.first is not None and slices.last is not None:
        _must_be_inside(recording, slices.first, slices.last, until)
    return slices


def _passed(first: instants.Now, at: instants.Now, until: Instant) -> bool:
    return at.wall > until if isinstance(until, dt.datetime) else at.since(first) > until


def _must_be_inside(
    recording: replays.Replay, first: instants.Now, last: instants.Now, until: Instant
) -> None:
    """The last look may come a moment before the end that was asked for."""
    latest = until - recording.header.every
    if _passed(first, last, latest):
        return
    raise errors.UsageError(
        f"--at is after the last look of {recording.name}, at {instants.rfc3339(last.wall)}, "
        f"{last.since(first).total_seconds():.0f} s after the first"
    )


def _damage(recording: replays.Replay, slices: _Slices) -> str:
    held = dt.timedelta(0)
    if slices.first is not None and slices.last is not None:
        held = slices.last.since(slices.first)
    return (
        f"{recording.name} is not whole: {recording.damage}; it holds {held.total_seconds():.0f} s "
        f"of {quantities.short(recording.header.planned)}, and nothing after that can be told"
    )


def _listed(ports: frozenset[int]) -> str:
    return ", ".join(str(port) for port in sorted(ports))


def _only(sample: samples.Sample, ports: frozenset[int]) -> samples.Sample:
    looks = tuple(look for look in sample.looks if look.listener.address.port in ports)
    return dataclasses.replace(sample, looks=looks)


def _length(series: list[list[samples.Sample]]) -> dt.timedelta:
    """How long was watched, in tenths of a second: the longest of the places."""
    spans = [those[-1].at.since(those[0].at) for those in series]
    tenths = round(max(spans, default=dt.timedelta(0)) / dt.timedelta(milliseconds=100))
    return dt.timedelta(milliseconds=100 * tenths)
