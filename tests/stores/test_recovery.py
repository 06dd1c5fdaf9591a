"""Damage: nothing is deleted, nothing is believed that does not verify, and the ledger says what happened to it."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3

import pytest

from lastack import errors
from lastack.runbook import chain
from lastack.stores import readings, schema, state_dir
from tests.stores import given

ENTRIES = 30


def filled(where: state_dir.StateDir, count: int = ENTRIES) -> list[bytes]:
    """A ledger of so many entries, closed; its lines."""
    book = given.opened(where)
    for number in range(count):
        given.write(book, [given.said(f"number {number}", number)])
    book.close()
    return given.lines(where)


def reopened(where: state_dir.StateDir) -> tuple[str, ...]:
    """Open and close once more; what people are told."""
    book = given.opened(where)
    notices = book.notices
    book.close()
    return notices


def resumed(where: state_dir.StateDir) -> dict[str, object]:
    """The last entry, which tells of the damage; the chain up to it holds."""
    with readings.reading(where) as reading:
        assert isinstance(reading.verify(), chain.Intact)
    assert given.lines(where) == given.daily(where)
    found: dict[str, object] = json.loads(given.lines(where)[-1])
    assert "ledger.resumed" == found["kind"]
    return found


def test_a_file_that_is_no_database_is_set_aside_and_rebuilt(where: state_dir.StateDir) -> None:
    """Under a name that says when; all entries come back from the daily files."""
    before = filled(where)
    content = b"this is not a database, and it is longer than a header" * 50
    where.database.write_bytes(content)
    (notice,) = reopened(where)
    assert "ledger.sqlite.damaged-20261122T100000Z" in notice
    assert f"{ENTRIES} entries were read back" in notice
    assert content == where.path.joinpath("ledger.sqlite.damaged-20261122T100000Z").read_bytes()
    assert before == given.lines(where)[:-1]
    assert notice == resumed(where)["text"]
    assert () == reopened(where)


@pytest.mark.parametrize("seed", range(25))
def test_damage_at_any_place_never_leaves_a_ledger_that_lies(where: state_dir.StateDir, seed: int) -> None:
    """Random bytes of the file changed: either nothing of worth was hit, or it is set aside and rebuilt."""
    before = filled(where)
    chance = random.Random(seed)
    content = bytearray(where.database.read_bytes())
    for _ in range(chance.choice((1, 20, 400))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    where.database.write_bytes(content)
    try:
        notices = reopened(where)
    except errors.StateUnusable:
        # What is left names another program's tables: it is refused, and nothing is touched.
        assert content == where.database.read_bytes()
        return
    after = given.lines(where)
    assert before == after[:ENTRIES]
    assert bool(notices) == (len(after) > ENTRIES)
    with readings.reading(where) as reading:
        assert isinstance(reading.verify(), chain.Intact)


def test_an_entry_edited_in_the_database_is_found_and_put_right(where: state_dir.StateDir) -> None:
    """Verify names it; the writer sets the file aside and takes the daily files, which still verify."""
    before = filled(where)
    edit(where, 7, b"number 6", b"number 9")
    with readings.reading(where) as reading:
        broken = reading.verify()
    assert isinstance(broken, chain.Broken)
    assert 7 == broken.seq
    (notice,) = reopened(where)
    assert "the chain does not hold at entry 7" in notice
    assert before == given.lines(where)[:-1]


def test_what_only_the_damaged_database_still_has_is_salvaged(where: state_dir.StateDir) -> None:
    """The daily files were behind when it happened: the rows after them are read as far as they follow."""
    before = filled(where)
    (path,) = where.day_folder.iterdir()
    path.write_bytes(b"".join(line + b"\n" for line in before[:20]))
    edit(where, 7, b"number 6", b"number 9")
    (notice,) = reopened(where)
    assert "20 entries were read back from ledger/*.jsonl and 10 from the old database itself" in notice
    assert before == given.lines(where)[:-1]


def test_daily_files_that_do_not_verify_are_read_up_to_there(where: state_dir.StateDir) -> None:
    """Both are damaged: what is left is what verifies, and both stay under other names."""
    before = filled(where)
    (path,) = where.day_folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"number 11", b"number 99"))
    where.database.write_bytes(b"rubbish" * 1000)
    notices = reopened(where)
    assert "11 entries were read back" in notices[0]
    assert "the daily files were set aside as ledger.damaged-20261122T100000Z" in notices[1]
    assert before[:11] == given.lines(where)[:-1]
    found = resumed(where)["data"]
    assert isinstance(found, dict)
    assert ["ledger.sqlite.damaged-20261122T100000Z", "ledger.damaged-20261122T100000Z"] == found["setAside"]


def test_a_database_that_is_gone_comes_back_from_the_daily_files(where: state_dir.StateDir) -> None:
    """As after a copy of the text files only."""
    before = filled(where)
    where.database.unlink()
    (notice,) = reopened(where)
    assert f"was not there; {ENTRIES} entries were read back" in notice
    assert before == given.lines(where)[:-1]


@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_database_that_was_emptied_comes_back_too(where: state_dir.StateDir, content: bytes) -> None:
    """SQLite takes such a file for a new database; the daily files know better."""
    before = filled(where)
    where.database.write_bytes(content)
    (notice,) = reopened(where)
    assert f"{ENTRIES} entries were read back" in notice
    assert before == given.lines(where)[:-1]


def test_a_database_that_was_rolled_back_shows(where: state_dir.StateDir) -> None:
    """An old copy is put back: the daily files know more, and it is said."""
    filled(where, 10)
    shutil.copy(where.database, where.path / "old")
    after = filled(where, 5)
    shutil.copy(where.path / "old", where.database)
    (notice,) = reopened(where)
    assert "ended at entry 10: perhaps an old copy was put back; 5 entries were read back" in notice
    assert after == given.lines(where)[:-1]


def test_daily_files_of_another_story_are_set_aside(where: state_dir.StateDir) -> None:
    """They follow no entry of the database: neither is deleted, the database is believed."""
    before = filled(where, 10)
    other = state_dir.prepare(where.path.parent / "other")
    filled(other, 12)
    shutil.rmtree(where.day_folder)
    shutil.copytree(other.day_folder, where.day_folder)
    book = given.opened(where)
    given.write(book, [given.said("onwards")])
    book.close()
    assert before == given.lines(where)[:10]
    edited = where.day_folder / "2026-11-22.jsonl"
    lines = edited.read_bytes().splitlines()
    edited.write_bytes(b"\n".join([*lines[:-1], lines[-1].replace(b"onwards", b"upwards")]) + b"\n")
    edited.write_bytes(edited.read_bytes() + b"{}\n")
    (notice,) = reopened(where)
    assert "the last line of ledger/*.jsonl is not an entry" in notice
    assert [b"{}"] == (
        where.path / "ledger.damaged-20261122T100000Z/2026-11-22.jsonl"
    ).read_bytes().splitlines()[-1:]
    assert given.lines(where) == given.daily(where)


def test_a_second_damage_in_the_same_second_has_its_own_name(where: state_dir.StateDir) -> None:
    """What was set aside before is never overwritten."""
    filled(where, 3)
    for _ in range(3):
        where.database.write_bytes(b"rubbish" * 1000)
        reopened(where)
    found = where.path.glob("ledger.sqlite.damaged-*")
    names = sorted(path.name for path in found if not path.name.endswith(("-wal", "-shm")))
    stamp = "ledger.sqlite.damaged-20261122T100000Z"
    assert [stamp, f"{stamp}-2", f"{stamp}-3"] == names


def test_a_newer_database_is_refused_and_says_who_wrote_it(where: state_dir.StateDir) -> None:
    """Nothing in it is touched, by the writer or by a reader."""
    filled(where, 3)
    with sqlite3.connect(where.database) as connection:
        connection.execute("INSERT INTO written_by VALUES ('9.1.0', ?, '2027-01-01')", (schema.VERSION + 1,))
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = where.database.read_bytes()
    for attempt in (reopened, given.lines):
        with pytest.raises(errors.StateUnusable, match=r"written by lastack 9\.1\.0") as refused:
            attempt(where)
        assert "run lastack 9.1.0 or newer" == refused.value.fix
    assert before == where.database.read_bytes()


def test_a_database_of_another_program_is_refused(where: state_dir.StateDir) -> None:
    """It is not ours to set aside."""
    with sqlite3.connect(where.database) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    with pytest.raises(errors.StateUnusable, match=r"another program.*songs"):
        reopened(where)


def test_a_reader_says_that_the_database_is_damaged(where: state_dir.StateDir) -> None:
    """It sets nothing aside: that is the writer's to do."""
    filled(where, 3)
    where.database.write_bytes(b"rubbish" * 1000)
    with pytest.raises(errors.StateDamaged, match="file is not a database"):
        given.lines(where)
    where.database.write_bytes(b"")
    with pytest.raises(errors.StateDamaged, match="is empty"):
        given.lines(where)


def test_damaged_caches_are_written_anew(where: state_dir.StateDir) -> None:
    """They are derived: what the entries add up to is what counts."""
    filled(where, 3)
    with sqlite3.connect(where.database) as connection:
        connection.execute("INSERT INTO incidents VALUES ('never-was', x'00')")
    connection.close()
    assert () == reopened(where)
    with readings.reading(where) as reading:
        assert () == reading.incidents()


def edit(where: state_dir.StateDir, seq: int, before: bytes, after: bytes) -> None:
    """What somebody with a database tool can do."""
    with sqlite3.connect(where.database) as connection:
        connection.execute("DROP TRIGGER entries_stay")
        (line,) = connection.execute("SELECT line FROM entries WHERE seq = ?", (seq,)).fetchone()
        connection.execute("UPDATE entries SET line = ? WHERE seq = ?", (line.replace(before, after), seq))
    connection.close()
