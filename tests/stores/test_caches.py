"""The cache tables: always what a rebuild from the entries makes."""

from __future__ import annotations

import contextlib
import sqlite3

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lastack import errors
from lastack.engine import facts
from lastack.stores import ledger, readings, state_dir
from tests.runbook import stories
from tests.runbook.test_folds import POOL
from tests.stores import given as books


def tables(where: state_dir.StateDir) -> list[list[tuple[object, ...]]]:
    """All rows of both caches."""
    connection = sqlite3.connect(where.database)
    found = [sorted(connection.execute(f"SELECT * FROM {name}")) for name in ("incidents", "leases")]  # noqa: S608
    connection.close()
    return found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(POOL), max_size=6), max_size=4))
def test_caches_equal_a_rebuild(where: state_dir.StateDir, ticks: list[list[facts.Fact]]) -> None:
    """After any ticks, also where one was rolled back."""
    where.database.unlink(missing_ok=True)
    for path in where.day_folder.iterdir():
        path.unlink()
    # Closed also when the claim fails: hypothesis tries hundreds of histories to find a short one.
    with contextlib.closing(books.opened(where)) as book:
        opened: set[object] = set()
        for tick in ticks:
            news = [
                f for f in tick if f.kind is not facts.FactKind.INCIDENT_OPENED or f.incident not in opened
            ]
            if sum(f.kind is facts.FactKind.INCIDENT_OPENED for f in news) > 1:
                continue
            try:
                books.write(book, news)
            except errors.InvariantBroken:
                continue
            opened |= {f.incident for f in news if f.kind is facts.FactKind.INCIDENT_OPENED}
        before, folded = tables(where), book.folded
        book.rebuild()
        assert (before, folded) == (tables(where), book.folded)


def test_a_listed_incident_ends_with_the_last_entry_that_names_it(
    where: state_dir.StateDir, book: ledger.SqliteLedger
) -> None:
    """Its end is final, and a lease is given back days later."""
    books.write(book, [*stories.STALL, stories.LEASED])
    books.write(book, [stories.GIVEN_BACK])
    with readings.reading(where) as reading:
        (row,) = reading.incidents()
        shown, entries = reading.incident("device-api-k3jq7w2m4a")
        assert (1, 15) == (row["firstSeq"], row["lastSeq"])
        assert row == shown
        assert list(range(1, 16)) == [entry.seq for entry in entries]
        assert () == reading.leases()


def test_leases_are_listed_while_they_are_open(where: state_dir.StateDir, book: ledger.SqliteLedger) -> None:
    """With everything that a person needs to give them back by hand."""
    books.write(book, [*stories.STALL[:8], stories.LEASED])
    with readings.reading(where) as reading:
        (row,) = reading.leases()
        assert book.folded == reading.folded()
    assert ("net.core.somaxconn", "128", "4096") == (row["name"], row["original"], row["observed"])
