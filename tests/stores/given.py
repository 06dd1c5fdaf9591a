"""Ledgers as the tests of stores want them: opened, filled, read back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from lastack.engine import facts, instants
from lastack.stores import ledger, readings, state_dir

DAY = dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)


def at(seconds: float, *, boot: str = "boot-1") -> instants.Now:
    """An instant so many seconds after the beginning."""
    return instants.Now(DAY + dt.timedelta(seconds=seconds), dt.timedelta(seconds=1000 + seconds), boot)


def opened(where: state_dir.StateDir, *, keep_free_bytes: int = 0) -> ledger.SqliteLedger:
    """The ledger of a directory, opened for writing."""
    return ledger.open_ledger(where, at(0), keep_free_bytes=keep_free_bytes)


def said(text: str, seconds: float = 0) -> facts.Fact:
    """A fact that stands for any."""
    return facts.Fact(facts.FactKind.LEDGER_CHECKPOINTED, at(seconds), text)


def write(book: ledger.SqliteLedger, news: Iterable[facts.Fact]) -> None:
    """One transaction."""
    with book.transaction():
        book.append(news)


def texts(where: state_dir.StateDir) -> list[str]:
    """What the entries say, in order, as a reader sees them."""
    with readings.reading(where) as reading:
        return [entry.text for entry in reading.facts()]


def lines(where: state_dir.StateDir) -> list[bytes]:
    """The entries as they are stored."""
    with readings.reading(where) as reading:
        return list(reading.lines())


def daily(where: state_dir.StateDir) -> list[bytes]:
    """The lines of the daily files, in the order of their names."""
    return [
        line for path in sorted(where.day_folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()
    ]
