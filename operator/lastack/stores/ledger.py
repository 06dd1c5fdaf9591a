"""The ledger: the one writer's end of it. Called by loop, once per tick, from one thread at a time.

The database is the authority. What a transaction holds is durable together when its block ends; the caches are
written in the same transaction, the daily files after it, from where they stand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from lastack import __version__, errors
from lastack.engine import facts, instants, standings
from lastack.runbook import canonical, chain, entries, folds, listings
from lastack.stores import database, day_files, recovery, state_dir


class SqliteLedger:
    """Implements ports.Ledger. Opened by `open_ledger` under the lock of the state directory."""

    def __init__(
        self,
        where: state_dir.StateDir,
        found: recovery.Recovered,
        *,
        keep_free_bytes: int,
    ) -> None:
        self._where = where
        self._connection = found.connection
        self._days = day_files.DayFiles(where.day_folder)
        self._keep_free_bytes = keep_free_bytes
        self._folded = found.folded
        self._draft: tuple[folds.Folded, list[entries.Entry]] | None = None
        self._days_behind: str | None = None
        self.notices = found.notices
        """What people have to be told about how it was opened."""

    @property
    def folded(self) -> folds.Folded:
        """The sum of all entries, those appended in the open transaction included."""
        return self._draft[0] if self._draft else self._folded

    @property
    def days_behind(self) -> str | None:
        """Why the daily files lack entries that are in the database, None when they do not."""
        return self._days_behind

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything appended inside is durable together when the block ends, or not at all.

        Raises StateUnusable when it cannot be made durable; then nothing of it was said.
        """
        if self._draft is not None:
            raise errors.InvariantBroken("a transaction of the ledger is open already")
        self._draft = (self._folded, [])
        try:
            yield
            folded, news = self._draft
        finally:
            self._draft = None
        if news:
            self._commit(folded, news)

    def append(self, news: Iterable[facts.Fact]) -> None:
        """Add facts at the end of the chain, inside a transaction."""
        if self._draft is None:
            raise errors.InvariantBroken("facts are appended inside a transaction")
        folded, added = self._draft
        for fact in news:
            entry = chain.link(folded.head, fact)
            folded = folded.add(entry)
            added.append(entry)
        self._draft = (folded, added)

    def standing(self, target: str | None, now: instants.Now) -> standings.Standing:
        """What holds now, of one target or of all: `folded`, and whether the disk has room for a new act."""
        return self.folded.standing(target, now, disk_full=self._disk_full())

    def checkpoint(self, now: instants.Now) -> chain.Head:
        """Write a checkpoint entry and bring the daily files to the disk; the head is for the journal.

        Whoever holds an earlier head from the journal can tell a ledger that was cut or rolled back.
        """
        head = self._folded.head
        fact = facts.Fact(
            kind=facts.FactKind.LEDGER_CHECKPOINTED,
            at=now,
            text=f"{head.seq} entries so far",
            data={"headSeq": head.seq, "headHash": head.hash},
        )
        with self.transaction():
            self.append([fact])
        try:
            self._days.sync()
        except errors.StateUnusable as error:
            self._days_behind = error.message
        return self._folded.head

    def rebuild(self) -> None:
        """Fold all entries anew, and write the cache tables from the sum. Raises StateDamaged."""
        with database.told(self._where.database):
            news = database.checked(self._connection, self._where.database, chain.Head())
            self._folded = folds.fold(news)
        self.save_caches()

    def save_caches(self) -> None:
        """Write the cache tables anew from the sum that is at hand, closed incidents included."""
        with database.told(self._where.database), self._writing():
            self._connection.execute("DELETE FROM incidents")
            self._connection.execute("DELETE FROM leases")
            self._save(folds.Folded(), self._folded)
        self._folded = self._folded.without_closed()

    def close(self) -> None:
        """Bring the daily files to the disk and let go of the database."""
        with contextlib.suppress(errors.StateUnusable):
            self._days.sync()
        self._connection.close()

    def catch_up(self) -> None:
        """Add to the daily files what they lack; what hinders it is kept in `days_behind`, and tried again."""
        try:
            head = self._days.head() or chain.Head()
            self._days.append(database.lines(self._connection, head.seq))
            self._days_behind = None
        except errors.StateUnusable as error:
            self._days_behind = error.message

    def _commit(self, folded: folds.Folded, news: list[entries.Entry]) -> None:
        lines = [entries.to_line(entry) for entry in news]
        rows = [
            (entry.seq, entry.fact.kind, entry.fact.incident, line)
            for entry, line in zip(news, lines, strict=True)
        ]
        with database.told(self._where.database), self._writing():
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
            self._save(self._folded, folded)
        self._folded = folded.without_closed()
        if self._days_behind is not None:
            self.catch_up()
            return
        try:
            self._days.append(lines)
        except errors.StateUnusable as error:
            self._days_behind = error.message

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            # Not after a commit, nor after the errors that make SQLite roll back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _save(self, before: folds.Folded, after: folds.Folded) -> None:
        """Bring the caches from one sum to the next."""
        for key, told in after.told.items():
            if before.told.get(key) is not told:
                # The last entry that names it may come after its end: readings asks the entries for that.
                row = {
                    field: value for field, value in listings.incident_row(told).items() if field != "lastSeq"
                }
                self._connection.execute(
                    "INSERT OR REPLACE INTO incidents VALUES (?, ?)", (key, canonical.write(row))
                )
        if before.leases is not after.leases:
            self._connection.execute("DELETE FROM leases")
            leases = [
                (*key, canonical.write(listings.lease_row(lease))) for key, lease in after.leases.items()
            ]
            self._connection.executemany("INSERT INTO leases VALUES (?, ?, ?, ?)", leases)

    def _disk_full(self) -> str | None:
        room = self._where.room()
        if room >= self._keep_free_bytes:
            return None
        return (
            f"{_mebibytes(room)} are left on the file system of {self._where.path}; no act begins with less than"
            f" {_mebibytes(self._keep_free_bytes)}, because what cannot be recorded is not begun"
        )


def open_ledger(where: state_dir.StateDir, now: instants.Now, *, keep_free_bytes: int) -> SqliteLedger:
    """Open the ledger for the one writer, who holds the lock of `where`.

    A damaged database is set aside and rebuilt from the daily files as far as they verify; what was done is in
    `notices` and in a ledger.resumed entry. Raises StateUnusable when it is newer, foreign or there is no room.
    """
    found = recovery.recover(where, now, __version__)
    ledger = SqliteLedger(where, found, keep_free_bytes=keep_free_bytes)
    ledger.save_caches()
    ledger.catch_up()
    if found.notices:
        with ledger.transaction():
            ledger.append([recovery.resumed(found, now)])
    return ledger


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
