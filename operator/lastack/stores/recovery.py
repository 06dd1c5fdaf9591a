"""What is done when the ledger's files do not agree or are not whole. Called by ledger when it opens.

The rule: nothing is deleted. What cannot be read is set aside under a name that says when, what still verifies is
read back, from the daily files first and from the damaged database where it goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import sqlite3
from collections.abc import Iterable, Iterator

from lastack import errors
from lastack.engine import facts, instants
from lastack.runbook import chain, entries, folds
from lastack.stores import database, day_files, durable_files, state_dir


@dataclasses.dataclass(frozen=True, slots=True)
class Recovered:
    """A database whose chain holds, and the sum of its entries.

    `notices` say what had to be done; `set_aside` what was moved, and where to.
    """

    connection: sqlite3.Connection
    folded: folds.Folded
    notices: tuple[str, ...] = ()
    set_aside: tuple[pathlib.Path, ...] = ()


def recover(where: state_dir.StateDir, now: instants.Now, program: str) -> Recovered:
    """The database, whole and not behind the daily files. Raises StateUnusable."""
    since = instants.rfc3339(now.wall)
    stamp = f"{now.wall.astimezone(instants.UTC):%Y%m%dT%H%M%SZ}"
    lost = not where.database.exists()
    try:
        found = _opened(where, program, since)
    except errors.StateDamaged as damage:
        found = _rebuilt(where, program, since, damage, stamp)
    days = day_files.DayFiles(where.day_folder)
    return _with_days(where, days, found, stamp, lost=lost)


def resumed(found: Recovered, now: instants.Now) -> facts.Fact:
    """The entry that tells readers of the ledger what happened to it."""
    return facts.Fact(
        kind=facts.FactKind.LEDGER_RESUMED,
        at=now,
        text="; ".join(found.notices),
        data={
            "headSeq": found.folded.head.seq,
            "headHash": found.folded.head.hash,
            "setAside": tuple(path.name for path in found.set_aside),
        },
    )


def _opened(where: state_dir.StateDir, program: str, since: str) -> Recovered:
    """The database as it is. Raises StateDamaged."""
    with contextlib.ExitStack() as undo:
        opened = contextlib.closing(database.open_for_writing(where.database, program, since))
        connection = undo.enter_context(opened)
        found = Recovered(connection, _folded(where, connection, folds.Folded()))
        undo.pop_all()
    return found


def _folded(where: state_dir.StateDir, connection: sqlite3.Connection, folded: folds.Folded) -> folds.Folded:
    """The sum with everything that the database holds beyond it. Raises StateDamaged where the chain does not hold."""
    with database.told(where.database):
        return folds.fold(database.checked(connection, where.database, folded.head), folded)


def _rebuilt(
    where: state_dir.StateDir, program: str, since: str, damage: errors.StateDamaged, stamp: str
) -> Recovered:
    """Set the database aside and make a new one of what verifies."""
    aside = _free_name(where.database, f"damaged-{stamp}")
    with durable_files.translated(where.database):
        where.database.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                where.database.with_name(where.database.name + suffix).rename(
                    aside.with_name(aside.name + suffix)
                )
        durable_files.sync_folder(where.path)
    connection = database.open_for_writing(where.database, program, since)
    days = day_files.DayFiles(where.day_folder)
    from_days = _adopt(where, connection, days.lines(), chain.Head())
    head = _adopt(where, connection, _salvaged(aside, from_days.seq), from_days)
    salvaged = f" and {head.seq - from_days.seq} from the old database itself" if head != from_days else ""
    notice = (
        f"{damage.message}; it was set aside as {aside.name}, and"
        f" {from_days.seq} entries were read back from {where.day_folder.name}/*.jsonl{salvaged}"
    )
    return Recovered(connection, _folded(where, connection, folds.Folded()), (notice,), (aside,))


def _with_days(
    where: state_dir.StateDir, days: day_files.DayFiles, found: Recovered, stamp: str, *, lost: bool
) -> Recovered:
    """Take over what the daily files have more; set them aside when they tell another story."""
    try:
        last = days.head()
        if last is None or last == _entry_at(found.connection, last.seq):
            return found
        why = f"entry {last.seq} in {where.day_folder.name}/*.jsonl is not the database's"
        before = found.folded.head
        if last.seq > before.seq:
            head = _adopt(where, found.connection, _beyond(days.lines(), before.seq), before)
            found = dataclasses.replace(found, folded=_folded(where, found.connection, found.folded))
            if head == last:
                state = (
                    "was not there"
                    if lost
                    else f"ended at entry {before.seq}: perhaps an old copy was put back"
                )
                notice = (
                    f"{where.database} {state}; {head.seq - before.seq} entries were read back from"
                    f" {where.day_folder.name}/*.jsonl"
                )
                return dataclasses.replace(found, notices=(*found.notices, notice))
            why = f"{where.day_folder.name}/*.jsonl does not verify after entry {head.seq}"
    except errors.NotAnEntry as error:
        why = f"the last line of {where.day_folder.name}/*.jsonl is not an entry: {error.message}"
    aside = days.set_aside(_free_name(where.day_folder, f"damaged-{stamp}").name)
    notice = f"{why}; the daily files were set aside as {aside.name} and written anew from the database"
    return dataclasses.replace(found, notices=(*found.notices, notice), set_aside=(*found.set_aside, aside))


def _adopt(
    where: state_dir.StateDir, connection: sqlite3.Connection, lines: Iterable[bytes], head: chain.Head
) -> chain.Head:
    """Add the lines that follow `head`, up to the first that does not; all in one transaction."""
    with database.told(where.database):
        connection.execute("BEGIN IMMEDIATE")
        for line in lines:
            try:
                entry = entries.from_line(line.removesuffix(b"\n"))
            except errors.NotAnEntry:
                break
            if not isinstance(chain.verify([line], head), chain.Intact):
                break
            row = (entry.seq, entry.fact.kind, entry.fact.incident, entries.to_line(entry))
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
            head = chain.head_of(entry)
        connection.execute("COMMIT")
    return head


def _salvaged(aside: pathlib.Path, after: int) -> Iterator[bytes]:
    """The rows after a number that can still be read from a damaged database."""
    try:
        connection = database.connect(f"{aside.as_uri()}?mode=ro")
    except (sqlite3.Error, UnicodeDecodeError):
        return
    with contextlib.closing(connection):
        try:
            yield from database.lines(connection, after)
        except (sqlite3.Error, UnicodeDecodeError):
            return


def _beyond(lines: Iterable[bytes], seq: int) -> Iterator[bytes]:
    for line in lines:
        if day_files.head_of(line).seq > seq:
            yield line


def _entry_at(connection: sqlite3.Connection, seq: int) -> chain.Head | None:
    row = connection.execute("SELECT line FROM entries WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else day_files.head_of(row[0])


def _free_name(path: pathlib.Path, suffix: str) -> pathlib.Path:
    """A name beside `path` that nothing has yet."""
    for number in range(1, 1000):
        more = "" if number == 1 else f"-{number}"
        candidate = path.with_name(f"{path.name}.{suffix}{more}")
        if not os.path.lexists(candidate):
            return candidate
    raise errors.StateUnusable(f"{path.parent} is full of files that were set aside; remove some of them")
