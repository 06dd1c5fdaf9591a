"""Evidence and records: whole or not at all, for their owner only, under names that the world cannot choose."""

from __future__ import annotations

import gzip
import hashlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from lastack import errors
from lastack.stores import evidence, records, state_dir
from tests.stores import given


def content_of(where: state_dir.StateDir, path: str) -> bytes:
    """What is in a stored file."""
    return gzip.decompress((where.path / path).read_bytes())


def test_keeps_a_file_with_the_sum_of_its_content(where: state_dir.StateDir) -> None:
    """`zcat FILE | sha256sum` is what the ledger says."""
    files = evidence.EvidenceFiles(where, max_bytes=1000)
    kept = files.keep("device-api-k3jq7w2m4a", "threads.txt", b"stack\n" * 20, "threads, grouped")
    path = where.path / kept.path
    assert "evidence/device-api-k3jq7w2m4a/threads.txt.gz" == kept.path
    assert ("threads, grouped", path.stat().st_size) == (kept.what, kept.bytes)
    assert hashlib.sha256(content_of(where, kept.path)).hexdigest() == kept.sha256
    assert b"stack\n" * 20 == content_of(where, kept.path)
    assert ("0o100600", "0o40700") == (oct(path.stat().st_mode), oct(path.parent.stat().st_mode))


def test_a_name_that_is_taken_gets_a_number(where: state_dir.StateDir) -> None:
    """Nothing that was kept is overwritten."""
    files = evidence.EvidenceFiles(where, max_bytes=1000)
    paths = [files.keep("i", "dump", bytes([n]), "x").path for n in range(3)]
    assert ["evidence/i/dump.gz", "evidence/i/dump-2.gz", "evidence/i/dump-3.gz"] == paths
    assert [b"\0", b"\1", b"\2"] == [content_of(where, path) for path in paths]


def test_what_is_too_large_is_cut_and_says_so(where: state_dir.StateDir) -> None:
    """The sum is of what is kept, the note included."""
    kept = evidence.EvidenceFiles(where, max_bytes=10).keep("i", "dump", b"0123456789ABCDEF", "x")
    said = b"\n[cut by lastack: 6 of 16 bytes are not kept, the limit is 10]\n"
    assert b"0123456789" + said == content_of(where, kept.path)
    assert hashlib.sha256(content_of(where, kept.path)).hexdigest() == kept.sha256


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a\0b", "a\nb", "é" * 300, ".hidden"]
)
def test_no_name_of_the_world_is_a_path(where: state_dir.StateDir, name: str) -> None:
    """Nothing leaves the folder of its incident, nothing is hidden."""
    files = evidence.EvidenceFiles(where, max_bytes=10)
    for incident, file in ((name, "dump"), ("incident", name)):
        path = where.path / files.keep(incident, file, b"x", "x").path
        assert where.evidence_folder == path.parent.parent
        assert not path.name.startswith(".")
        assert path.resolve() == path


def test_the_room_of_the_ledger_is_left_to_it(where: state_dir.StateDir) -> None:
    """Many dumps of many processes must not take what the record of the next act needs."""
    files = evidence.EvidenceFiles(where, max_bytes=1000, keep_free_bytes=where.room() + 2**40)
    with pytest.raises(errors.StateUnusable, match="no room for threads of api: ") as problem:
        files.keep("i", "dump", b"x", "threads of api")
    assert str(where.evidence_folder) in (problem.value.fix or "")
    assert [] == list((where.evidence_folder / "i").iterdir())


def test_a_record_is_replaced_in_one_step(where: state_dir.StateDir) -> None:
    """For its owner only, with the pages that it links to."""
    records.write(where, "Device-API/../x", "# first")
    second = "# second [x](../runbooks/unknown.md) [y](../runbooks/no-such-page.md)"
    path = records.write(where, "Device-API/../x", second)
    assert where.records_folder / "device-api-x.md" == path
    assert "0o100600" == oct(path.stat().st_mode)
    assert path.read_text().startswith("# second")
    assert [path.name] == [found.name for found in where.records_folder.iterdir()]
    pages = {found.name for found in where.pages_folder.iterdir()}
    assert {"unknown.md", "accept-stall.md"} <= pages
    assert "no-such-page.md" not in pages


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[state_dir.StateDir]:
    """A state directory on a file system of 600 KiB; needs root to mount it."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=0700", "none", str(place)], check=True)
    try:
        found = state_dir.prepare(place)
        with state_dir.locked(found):
            yield found
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(where: state_dir.StateDir) -> pathlib.Path:
    """Take all room that is left."""
    path = where.path / "ballast"
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, where.room())
    return path


def test_a_full_disk_refuses_evidence_and_leaves_no_half_of_it(small_disk: state_dir.StateDir) -> None:
    """The names that are there are whole."""
    files = evidence.EvidenceFiles(small_disk, max_bytes=10**6)
    files.keep("i", "small", b"x", "x")
    fill(small_disk)
    with pytest.raises(errors.StateUnusable, match="no room") as refused:
        files.keep("i", "large", os.urandom(200_000), "x")
    assert "free some space" in str(refused.value.fix)
    assert ["small.gz"] == [path.name for path in (small_disk.evidence_folder / "i").iterdir()]


def test_a_full_disk_refuses_a_tick_whole_and_goes_on_later(small_disk: state_dir.StateDir) -> None:
    """Nothing of it was said; when there is room the chain goes on where it was."""
    book = given.opened(small_disk, keep_free_bytes=10_000)
    given.write(book, [given.said("before")])
    assert book.standing(None, given.at(0)).disk_full is None
    ballast = fill(small_disk)
    assert "0 MiB are left" in str(book.standing(None, given.at(0)).disk_full)
    large = given.said("x" * 300_000)
    with pytest.raises(errors.StateUnusable, match="no room"):
        given.write(book, [given.said("half"), large])
    assert 1 == book.folded.head.seq
    ballast.unlink()
    given.write(book, [given.said("after")])
    book.close()
    assert ["before", "after"] == given.texts(small_disk)
    assert given.lines(small_disk) == given.daily(small_disk)
