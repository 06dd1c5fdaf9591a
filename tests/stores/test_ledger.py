"""The ledger: durable together or not at all, derived files caught up, caches equal to a rebuild."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from lastack import errors
from lastack.runbook import chain, entries
from lastack.stores import ledger, readings, state_dir
from tests.stores import given


def test_a_transaction_is_durable_and_derived_when_its_block_ends(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """Database and daily file hold the same bytes, and the chain holds."""
    given.write(book, [given.said("one"), given.said("two")])
    assert ["one", "two"] == given.texts(where)
    assert given.lines(where) == given.daily(where)
    assert chain.Intact(2, 1, book.folded.head) == chain.verify(given.daily(where), chain.Head())


def test_a_block_that_fails_leaves_nothing(where: state_dir.StateDir, book: ledger.SqliteLedger) -> None:
    """Half a tick is no tick."""
    given.write(book, [given.said("before")])
    with pytest.raises(AttributeError):
        given.write(book, [given.said("half"), None])  # type: ignore[list-item]  # what breaks the block
    given.write(book, [given.said("after")])
    assert ["before", "after"] == given.texts(where)


def test_the_sum_includes_what_was_appended_before_it_is_durable(book: ledger.SqliteLedger) -> None:
    """A decision in the same tick rests on those before it."""
    with book.transaction():
        book.append([given.said("one")])
        assert 1 == book.folded.head.seq
    assert 1 == book.folded.head.seq


def test_facts_outside_of_a_transaction_are_a_defect(book: ledger.SqliteLedger) -> None:
    """They would not be durable when the act begins."""
    with pytest.raises(errors.InvariantBroken, match="inside a transaction"):
        book.append([given.said("one")])
    with pytest.raises(errors.InvariantBroken, match="open already"), book.transaction(), book.transaction():
        pass


def test_entries_cannot_be_changed_or_deleted(where: state_dir.StateDir, book: ledger.SqliteLedger) -> None:
    """Not by a slip of our own either."""
    given.write(book, [given.said("one")])
    with sqlite3.connect(where.database) as other:
        for statement in ("UPDATE entries SET kind = 'x'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                other.execute(statement)
    other.close()


def test_a_reader_sees_one_instant_while_the_writer_goes_on(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """An export against a running lastack neither blocks it nor sees half of a tick."""
    given.write(book, [given.said("one")])
    with readings.reading(where) as reading:
        before = list(reading.lines())
        given.write(book, [given.said("two")])
        assert before == list(reading.lines())
    assert ["one", "two"] == given.texts(where)


def test_goes_on_where_it_ended(where: state_dir.StateDir) -> None:
    """A restart of lastack is no break in the chain, and no notice."""
    for number in range(3):
        book = given.opened(where)
        assert () == book.notices
        given.write(book, [given.said(f"run {number}")])
        book.close()
    assert ["run 0", "run 1", "run 2"] == given.texts(where)


def test_a_checkpoint_names_the_head_before_it(where: state_dir.StateDir, book: ledger.SqliteLedger) -> None:
    """Who kept an earlier head from the journal can tell a ledger that was rolled back."""
    given.write(book, [given.said("one")])
    before = book.folded.head
    after = book.checkpoint(given.at(5))
    found = json.loads(given.lines(where)[-1])
    assert ("ledger.checkpointed", {"headSeq": 1, "headHash": before.hash}) == (found["kind"], found["data"])
    assert chain.Head(2, found["hash"]) == after


def test_entries_of_a_clock_that_steps_back_stay_in_order(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """`cat ledger/*.jsonl` is the chain, whatever the clock did."""
    days = 24 * 3600
    for number, seconds in enumerate((0, 3 * days, days, 4 * days)):
        given.write(book, [given.said(str(number), seconds)])
    assert ["2026-11-22.jsonl", "2026-11-25.jsonl", "2026-11-26.jsonl"] == sorted(
        path.name for path in where.day_folder.iterdir()
    )
    assert isinstance(chain.verify(given.daily(where), chain.Head()), chain.Intact)


def test_the_daily_files_catch_up(where: state_dir.StateDir) -> None:
    """Killed between the commit and the file, or in the middle of a line: the next start completes them."""
    book = given.opened(where)
    given.write(book, [given.said(str(number)) for number in range(5)])
    book.close()
    (path,) = where.day_folder.iterdir()
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        book = given.opened(where)
        assert () == book.notices
        book.close()
        assert whole == path.read_bytes()


def test_daily_files_that_cannot_be_written_are_made_up_for(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """The database is the authority: a folder that is gone is said, and filled when it is back."""
    where.day_folder.rmdir()
    given.write(book, [given.said("one")])
    assert "ledger" in str(book.days_behind)
    where.day_folder.mkdir()
    given.write(book, [given.said("two")])
    assert "None" == str(book.days_behind)
    assert given.lines(where) == given.daily(where)


def test_says_when_there_is_no_room_for_a_new_act(where: state_dir.StateDir) -> None:
    """What could not be recorded is not begun; the sentence has both numbers."""
    book = given.opened(where, keep_free_bytes=2**60)
    full = book.standing(None, given.at(0)).disk_full
    book.close()
    assert full is not None
    assert "no act begins with less than 1099511627776 MiB" in full


WRITER = """
    import sys
    from tests.stores import given
    from lastack.stores import state_dir
    import pathlib
    where = state_dir.prepare(pathlib.Path(sys.argv[1]))
    with state_dir.locked(where):
        book = given.opened(where)
        for number in range(10_000):
            given.write(book, [given.said(f"{number}.{part}") for part in range(3)])
            if number == 2:
                print("going", flush=True)
"""


@pytest.mark.parametrize("attempt", range(6))
def test_a_kill_in_the_middle_leaves_whole_transactions(where: state_dir.StateDir, attempt: int) -> None:
    """kill -9 at any instant: each transaction is there with all its entries or not at all, and the chain holds."""
    other = state_dir.prepare(where.path.parent / "killed")
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(other.path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert b"going\n" == writer.stdout.readline()
        size = where_is(other)
        while where_is(other) < size + 3000 * attempt:
            pass
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    with state_dir.locked(other):
        book = given.opened(other)
        assert () == book.notices
        book.close()
    assert 0 == len(given.texts(other)) % 3
    assert given.lines(other) == given.daily(other)
    with readings.reading(other) as reading:
        assert isinstance(reading.verify(), chain.Intact)


def where_is(where: state_dir.StateDir) -> int:
    """How far the daily files are, in bytes."""
    return sum(path.stat().st_size for path in where.day_folder.iterdir())


def behind_its_back(where: state_dir.StateDir, statement: str, *values: object) -> None:
    """Change the entries as somebody with a database tool would."""
    with contextlib.closing(sqlite3.connect(where.database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement, values)
        connection.commit()


def test_a_database_that_was_cut_at_its_end_does_not_verify(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """Its own chain holds as far as it goes; the daily files know better."""
    given.write(book, [given.said("one"), given.said("two"), given.said("three")])
    behind_its_back(where, "DELETE FROM entries WHERE seq > 2")
    with readings.reading(where) as reading:
        found = reading.verify()
    assert isinstance(found, chain.Broken)
    assert (3, "the ledger was cut after entry 2: its daily files go on to entry 3") == (
        found.seq,
        found.what,
    )


def test_a_database_whose_chain_was_made_anew_does_not_verify(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """An edited entry with a hash to match holds by itself; the copy has another one."""
    given.write(book, [given.said("one"), given.said("two")])
    first, _ = given.lines(where)
    other = entries.to_line(chain.link(chain.head_of(entries.from_line(first)), given.said("forged")))
    behind_its_back(where, "UPDATE entries SET line = ? WHERE seq = 2", other)
    with readings.reading(where) as reading:
        found = reading.verify()
    assert isinstance(found, chain.Broken)
    assert (2, "entry 2 is another one in the daily files: one of the two was made anew") == (
        found.seq,
        found.what,
    )


def test_a_ledger_without_its_daily_files_verifies(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """They are a copy: what is not there proves nothing."""
    given.write(book, [given.said("one")])
    for path in where.day_folder.iterdir():
        path.unlink()
    with readings.reading(where) as reading:
        assert isinstance(reading.verify(), chain.Intact)
