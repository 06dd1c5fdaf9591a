"""The first and the last line of a recording, which recorders write and replays read; pure.

A recording is a gzip stream of JSON lines (`zcat` shows it). After the header each line is one look at one network
namespace: `{"place": 0, "deep": true, "look": PATCH}`, where PATCH is an RFC 7396 merge patch to the look before at
that place (stores.sample_forms says what a look holds). The last line says why the recording ended.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal, TypeVar, cast, get_args

from lastack import errors, quantities
from lastack.engine import instants, samples

API_VERSION = "lastack.dev/v1alpha1"
KIND = "Recording"

T = TypeVar("T")

Ended = Literal["done", "interrupted", "limit", "full", "unseen"]
"""As planned, by Ctrl-C, at the size that was allowed, on a full disk, or with nothing left to look at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """By whom, where and of what a recording is. `planned` is how long it was to last."""

    build: str
    kernel: str
    started: dt.datetime
    planned: dt.timedelta
    every: dt.timedelta
    asked: tuple[str, ...]
    """The selectors as they were given."""
    ports: frozenset[int]
    """Only listeners on these ports are in it; empty: all."""
    places: tuple[int, ...]
    """Inodes of the network namespaces, by the number that a look names."""
    features: Mapping[str, bool]
    """What the kernel offered, by name."""
    missing: tuple[tuple[str, samples.Missing], ...]
    """What was asked for and was not there from the beginning."""


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """The last line of a recording that was brought to its end."""

    why: Ended
    looks: int


def header_line(header: Header) -> dict[str, object]:
    """The first line."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "build": header.build,
        "kernel": header.kernel,
        "startedAt": instants.rfc3339(header.started, microseconds=True),
        "planned": quantities.short(header.planned),
        "every": quantities.short(header.every),
        "asked": list(header.asked),
        "ports": sorted(header.ports),
        "places": list(header.places),
        "features": dict(header.features),
        "missing": [{"what": what, "why": why.why, "fix": why.fix} for what, why in header.missing],
    }


def read_header(line: object, name: str) -> Header:
    """The header again; `name` is the file's, for the sentence. Raises NotARecording."""
    if not isinstance(line, dict) or line.get("kind") != KIND or "apiVersion" not in line:
        raise not_one(name, "its first line is no header")
    if line["apiVersion"] != API_VERSION:
        raise errors.NotARecording(
            f"{name} is a recording of apiVersion {line['apiVersion']}, made by lastack {line.get('build')}; "
            f"expected {API_VERSION}",
            fix="upgrade lastack to that version or a newer one",
        )
    try:
        return Header(
            build=_of(str, line["build"]),
            kernel=_of(str, line["kernel"]),
            started=instants.from_rfc3339(_of(str, line["startedAt"])),
            planned=quantities.duration(_of(str, line["planned"])),
            every=quantities.duration(_of(str, line["every"])),
            asked=tuple(_of(str, word) for word in _of(list, line["asked"])),
            ports=frozenset(_of(int, port) for port in _of(list, line["ports"])),
            places=tuple(_of(int, inode) for inode in _of(list, line["places"])),
            features={key: value is True for key, value in _of(dict, line["features"]).items()},
            missing=tuple(_missing(row) for row in _of(list, line["missing"])),
        )
    except KeyError as problem:
        raise not_one(name, f"its header has no field {problem}") from problem
    except (TypeError, ValueError) as problem:
        raise not_one(name, f"its header cannot be read: {problem}") from problem


def end_line(end: End) -> dict[str, object]:
    """The last line."""
    return {"end": {"why": end.why, "looks": end.looks}}


def read_end(value: object) -> End:
    """The value of the last line. Raises ValueError."""
    row = _of(dict, value)
    why, looks = row.get("why"), row.get("looks")
    if why not in get_args(Ended) or type(looks) is not int:
        raise ValueError(f"expected why the recording ended, found {value!r}")
    return End(cast("Ended", why), looks)


def not_one(name: str, why: str) -> errors.NotARecording:
    """The error for a file that is something else."""
    return errors.NotARecording(
        f"{name} is not a recording of lastack: {why}",
        fix="give a file that `lastack record FILE` wrote",
    )


def _missing(row: object) -> tuple[str, samples.Missing]:
    fields = _of(dict, row)
    fix = fields["fix"]
    return _of(str, fields["what"]), samples.Missing(
        _of(str, fields["why"]), None if fix is None else _of(str, fix)
    )


def _of(kind: type[T], value: object) -> T:
    if isinstance(value, kind):
        return value
    raise ValueError(f"expected {kind.__name__}, found {value!r}")
