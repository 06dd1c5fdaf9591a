"""A recording is whole up to wherever it ends, never larger than allowed, and never trusted."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import json
import os
import pathlib
import subprocess
import zlib
from array import array
from collections.abc import Iterator

import pytest

from lastack import errors
from lastack.engine import instants, samples
from lastack.stores import recorders, recordings, replays

ROOM = 1024 * 1024
BEGUN = dt.datetime(2026, 11, 22, 10, 0, tzinfo=dt.UTC)
HEADER = recordings.Header(
    build="0.1.0",
    kernel="6.1.0",
    started=BEGUN,
    planned=dt.timedelta(minutes=1),
    every=dt.timedelta(seconds=1),
    asked=("--port=8080",),
    ports=frozenset({8080}),
    places=(9, 10),
    features={"pidfd": True, "tcp_info": False},
    missing=(("pid/900", samples.Missing("process 900 does not exist", "ps -e")),),
)


def sample(second: int, *, rows: int = 0) -> samples.Sample:
    """A look at one listener; `rows` of its queue cannot be packed well."""
    at = instants.Now(BEGUN + dt.timedelta(seconds=second), dt.timedelta(hours=1, seconds=second), "boot")
    noise = array("Q", [int.from_bytes(os.urandom(8), "little") for _ in range(rows)])
    empty = array("Q")
    listener = samples.ListenerSample(
        samples.ListenerAddress("*", 8080, "inet6"),
        1,
        rows,
        50,
        second,
        samples.QueuedRows(noise, array("I", range(rows))),
        samples.CloseWaitRows(empty, empty, empty, empty, empty),
        0,
        0,
        0,
        reuseport=False,
        peers=(),
        peers_omitted=0,
    )
    space = samples.NamespaceSample(9, {"ListenDrops": second}, {"net.core.somaxconn": "4096"})
    return samples.Sample(at, (samples.Look(at, listener, samples.Owner(None, ()), space),))


def record(path: pathlib.Path, looks: list[samples.Sample], *, most_bytes: int = ROOM) -> None:
    """A whole recording of these looks, every second one deep, in turns of two places."""
    with recorders.Recorder(path, HEADER, most_bytes=most_bytes) as recorder:
        for number, look in enumerate(looks):
            recorder.add(number % 2, look, deep=number % 2 == 0)
        recorder.end("done")


def add_many(recorder: recorders.Recorder, count: int, *, rows: int) -> None:
    """So many looks, of which each takes its room."""
    for second in range(count):
        recorder.add(0, sample(second, rows=rows), deep=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """What is in a file."""

    looks: list[samples.Sample]
    end: recordings.End | None
    damage: str | None


def read(path: pathlib.Path) -> Read:
    """Everything that can be read."""
    with replays.Replay(path) as replay:
        looks = [frame.sample() for frame in replay.frames()]
        return Read(looks, replay.end, replay.damage)


def test_what_was_recorded_is_replayed(tmp_path: pathlib.Path) -> None:
    """Every look, in order, with its place and depth; header and end too."""
    path, looks = tmp_path / "r", [sample(second, rows=3) for second in range(5)]
    record(path, looks)
    with replays.Replay(path) as replay:
        frames = list(replay.frames())
        assert HEADER == replay.header
        assert (recordings.End("done", 5), None) == (replay.end, replay.damage)
    assert looks == [frame.sample() for frame in frames]
    assert [(0, True), (1, False), (0, True), (1, False), (0, True)] == [
        (frame.place, frame.deep) for frame in frames
    ]
    assert [look.at for look in looks] == [frame.at for frame in frames]


def test_it_is_a_gzip_file_of_json_lines_for_its_owner_only(tmp_path: pathlib.Path) -> None:
    """Any tool can read it."""
    path = tmp_path / "r"
    record(path, [sample(0), sample(1)])
    shown = subprocess.run(["zcat", str(path)], check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert ("Recording", "lastack.dev/v1alpha1", "1m") == tuple(
        lines[0][key] for key in ("kind", "apiVersion", "planned")
    )
    assert {"end": {"why": "done", "looks": 2}} == lines[-1]
    assert "0o100600" == oct(path.stat().st_mode)


def test_what_does_not_change_is_not_written_again(tmp_path: pathlib.Path) -> None:
    """A minute of a quiet namespace is about as small as its first look."""
    path = tmp_path / "r"
    with recorders.Recorder(path, HEADER, most_bytes=ROOM) as recorder:
        recorder.add(0, sample(0), deep=True)
        first = recorder.size
        for second in range(1, 61):
            recorder.add(0, sample(second), deep=False)
        recorder.end("done")
    assert path.stat().st_size < 8 * first


def test_a_file_that_is_there_is_left_alone(tmp_path: pathlib.Path) -> None:
    """Unless told to; a link to a file elsewhere is never followed."""
    path = tmp_path / "r"
    path.write_text("dear diary")
    with pytest.raises(errors.UsageError, match="is there already") as refused:
        record(path, [sample(0)])
    assert "--force" in str(refused.value.fix)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.UsageError):
        record(link, [sample(0)])
    assert ("dear diary", ["link", "r"]) == (
        path.read_text(),
        sorted(each.name for each in tmp_path.iterdir()),
    )


def test_with_force_the_new_one_takes_the_place_of_the_old(tmp_path: pathlib.Path) -> None:
    """In one step; nothing is left beside it, and a link is replaced, not followed."""
    path, other = tmp_path / "r", tmp_path / "other"
    other.write_text("dear diary")
    path.symlink_to(other)
    with recorders.Recorder(path, HEADER, most_bytes=ROOM, replace=True) as recorder:
        recorder.add(0, sample(0), deep=True)
        recorder.end("done")
    assert [sample(0)] == read(path).looks
    assert ("dear diary", ["other", "r"]) == (
        other.read_text(),
        sorted(each.name for each in tmp_path.iterdir()),
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [(".", errors.UsageError), ("no/where", errors.NotReachable), ("\udcff" * 300, errors.NotReachable)],
)
def test_what_cannot_be_made_is_said(
    tmp_path: pathlib.Path, name: str, kind: type[errors.LastackError]
) -> None:
    """A folder, a folder that is not there, a name that is too long."""
    with pytest.raises(kind, match=r"is there already|cannot be written|is a folder"):
        record(tmp_path / name, [])


def test_it_ends_before_it_is_larger_than_allowed(tmp_path: pathlib.Path) -> None:
    """The look that would not fit is not in it; it is whole, and says why it ended."""
    path = tmp_path / "r"
    with recorders.Recorder(path, HEADER, most_bytes=20_000) as recorder:
        with pytest.raises(recorders.LimitReached):
            add_many(recorder, 100, rows=200)
        kept = recorder.looks
    found = read(path)
    assert 2 < kept < 100
    assert (kept, recordings.End("limit", kept), None) == (len(found.looks), found.end, found.damage)
    assert 15_000 < path.stat().st_size <= 20_000


def test_a_limit_that_is_too_small_for_the_header_is_a_usage_error(tmp_path: pathlib.Path) -> None:
    """And no file is left."""
    with pytest.raises(errors.UsageError, match="too few"):
        record(tmp_path / "r", [], most_bytes=100)
    assert [] == list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 64 KiB; needs root to mount it."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_what_was_written_is_whole(small_disk: pathlib.Path) -> None:
    """The disk is named, with the next step; every look before is there, and none by half."""
    path = small_disk / "r"
    with recorders.Recorder(path, HEADER, most_bytes=ROOM) as recorder:
        with pytest.raises(errors.StateUnusable, match="no room to write") as refused:
            add_many(recorder, 1000, rows=50)
        kept = recorder.looks
    found = read(path)
    assert f"free some space on the file system of {small_disk}" in str(refused.value.fix)
    assert (True, kept) == (kept > 20, len(found.looks))
    # The last line may fit where a look did not.
    assert found.end == recordings.End("full", kept) or "is cut after line" in str(found.damage)


def test_a_full_disk_at_the_start_leaves_nothing(small_disk: pathlib.Path) -> None:
    """Not even an empty file."""
    with (small_disk / "ballast").open("wb", buffering=0) as file:
        room = os.statvfs(small_disk)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
    with pytest.raises(errors.StateUnusable, match="no room"):
        record(small_disk / "r", [])
    assert ["ballast"] == [each.name for each in small_disk.iterdir()]


def test_wherever_it_is_cut_its_beginning_is_read(tmp_path: pathlib.Path) -> None:
    """At every byte: never an exception of another kind, never a look that was not there, always a word about it."""
    path, cut = tmp_path / "r", tmp_path / "cut"
    looks = [sample(second, rows=2) for second in range(4)]
    record(path, looks)
    whole, most = path.read_bytes(), 0
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        try:
            found = read(cut)
        except errors.NotARecording:
            assert 0 == most, size
            continue
        most = max(most, len(found.looks))
        assert looks[: len(found.looks)] == found.looks
        assert found.damage or found.end
    assert len(looks) == most


def test_a_byte_that_changed_on_the_way_is_noticed(tmp_path: pathlib.Path) -> None:
    """What comes before it is read; nothing of another type comes out."""
    path, bad = tmp_path / "r", tmp_path / "bad"
    looks = [sample(second, rows=2) for second in range(4)]
    record(path, looks)
    whole = bytearray(path.read_bytes())
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 0x55
        bad.write_bytes(changed)
        try:
            assert len(read(bad).looks) <= len(looks)
        except (errors.NotARecording, ValueError):
            continue


def test_one_that_somebody_unpacked_is_read_too(tmp_path: pathlib.Path) -> None:
    """Mail programs do that."""
    path = tmp_path / "r"
    record(path, [sample(0), sample(1)])
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert [sample(0), sample(1)] == read(path).looks


LINE = json.dumps(recordings.header_line(HEADER))
NO_RECORDINGS = {
    "empty": (b"", "it is empty"),
    "text": (b"dear diary\n", "its first line is no JSON"),
    "binary": (b"\x7fELF\x00\xff" * 100, "its first line is no JSON|cut"),
    "other-json": (b"{}\n", "its first line is no header"),
    "list": (b"[]\n", "its first line is no header"),
    "deep": (b"[" * 100_000 + b"\n", "its first line is no JSON"),
    "other-gzip": (gzip.compress(b"dear diary\n"), "its first line is no JSON"),
    "no-line": (gzip.compress(b"{}"), "before its first look"),
    "cut-at-once": (gzip.compress(LINE.encode())[:30], "it is empty|before its first look"),
    "no-places": (json.dumps({**json.loads(LINE), "places": 5}).encode() + b"\n", "places|list"),
    "no-start": (json.dumps({**json.loads(LINE), "startedAt": "soon"}).encode() + b"\n", "'soon'"),
    "no-build": (LINE.replace('"build"', '"bild"').encode() + b"\n", "no field 'build'"),
}


@pytest.mark.parametrize("name", NO_RECORDINGS)
def test_what_is_no_recording_is_said_to_be_none(tmp_path: pathlib.Path, name: str) -> None:
    """With what was found, and what to give instead."""
    content, said = NO_RECORDINGS[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(errors.NotARecording, match=said) as refused:
        read(path)
    assert str(path) in refused.value.message
    assert "lastack record FILE" in str(refused.value.fix)


def test_a_newer_recording_is_refused_with_the_way_to_read_it(tmp_path: pathlib.Path) -> None:
    """Expected, found, and what to do."""
    path = tmp_path / "file"
    path.write_text(LINE.replace("v1alpha1", "v2").replace("0.1.0", "9.0.0") + "\n")
    with pytest.raises(
        errors.NotARecording, match=r"lastack\.dev/v2, made by lastack 9\.0\.0; expected"
    ) as refused:
        read(path)
    assert "upgrade lastack" in str(refused.value.fix)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    """Neither is a recording."""
    for path, said in ((tmp_path, "it is a folder"), (tmp_path / "x", "is not there")):
        with pytest.raises(errors.NotARecording, match=said):
            read(path)


@pytest.mark.parametrize(
    "line",
    [
        b"5",
        b"{}",
        b'{"place":7,"look":{}}',
        b'{"place":true,"look":{}}',
        b'{"place":0,"look":5}',
        b'{"place":0,"look":{"sample":{"at":"now"},"instants":5}}',
        b'{"end":5}',
        b'{"end":{"why":"because","looks":1}}',
        b"{" * 100_000,
        b'{"a":' * 990 + b"5" + b"}" * 990,
        b"\xff",
    ],
)
def test_a_line_that_is_no_look_ends_the_reading(tmp_path: pathlib.Path, line: bytes) -> None:
    """What stands before it counts, and the line is named."""
    path = tmp_path / "file"
    record(path, [sample(0)])
    head, first, _ = gzip.decompress(path.read_bytes()).splitlines()
    path.write_bytes(b"\n".join([head, first, line]) + b"\n")
    found = read(path)
    assert [sample(0)] == found.looks
    assert "line 3 cannot be read" in str(found.damage)


def test_a_file_that_unpacks_to_more_than_fits_ends_the_reading(tmp_path: pathlib.Path) -> None:
    """A line of gigabytes is no look: a few hundred kilobytes cannot take all memory."""
    path = tmp_path / "bomb"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(packer.compress(LINE.encode() + b"\n"))
        for _ in range(300):
            file.write(packer.compress(b" " * 1024 * 1024))
        file.write(packer.flush())
    found = read(path)
    assert ([], True) == (found.looks, "has a line that is too long" in str(found.damage))
