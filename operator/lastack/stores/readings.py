"""Reading a ledger, also while another process writes it. Called by cli; changes nothing."""

from __future__ import annotations

import collections
import contextlib
import shlex
from collections.abc import Iterator, Mapping

from lastack import errors
from lastack.engine import facts, outcomes
from lastack.runbook import canonical, chain, entries, folds, listings
from lastack.stores import database, day_files, state_dir


class Reading:
    """One look at the ledger of a state directory: everything it answers is of the same instant."""

    def __init__(self, where: state_dir.StateDir) -> None:
        self._path = where.database
        self._days = day_files.DayFiles(where.day_folder)
        self._connection = database.open_for_reading(where.database)
        with database.told(self._path):
            self._connection.execute("BEGIN")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def lines(self, after: int = 0) -> Iterator[bytes]:
        """The entries after a number as JSON lines without line breaks, as they are stored."""
        with database.told(self._path):
            yield from database.lines(self._connection, after)

    def facts(self) -> Iterator[facts.Fact]:
        """What the entries say, in order. Raises StateDamaged where one cannot be read or does not follow."""
        with database.told(self._path):
            for entry in database.checked(self._connection, self._path, chain.Head()):
                yield entry.fact

    def verify(self) -> chain.Intact | chain.Broken:
        """Check the chain from the first entry, and that it goes as far as the daily files, which follow it.

        What SQLite itself cannot read is a broken chain.
        """
        copied = self._copied()  # before the database, which is never behind them
        good: list[int] = [0]

        def counted() -> Iterator[bytes]:
            for line in self.lines():
                yield line
                good[0] += 1

        try:
            found = chain.verify(counted(), chain.Head())
            return self._compared(found, copied) if isinstance(found, chain.Intact) else found
        except errors.StateDamaged as damage:
            return chain.Broken(good[0] + 1, good[0] + 1, damage.message, chain.Head())

    def _copied(self) -> chain.Head:
        """How far the daily files go; nowhere when they cannot be read, since they are but a copy."""
        try:
            newest = collections.deque(self._days.lines(), maxlen=1)
            return day_files.head_of(newest[0]) if newest else chain.Head()
        except errors.WorldError:
            return chain.Head()

    def _compared(self, found: chain.Intact, copied: chain.Head) -> chain.Intact | chain.Broken:
        """The chain, unless the daily files know entries that it lacks or has otherwise: it was cut or made anew."""
        if copied.seq > found.head.seq:
            what = f"the ledger was cut after entry {found.head.seq}: its daily files go on to entry {copied.seq}"
            return chain.Broken(found.head.seq + 1, found.count + 1, what, found.head)
        for line in self.lines(copied.seq - 1) if copied.seq else ():
            if day_files.head_of(line) == copied:
                break
            what = f"entry {copied.seq} is another one in the daily files: one of the two was made anew"
            return chain.Broken(copied.seq, copied.seq, what, found.head)
        return found

    def folded(self) -> folds.Folded:
        """The sum of all entries, closed incidents included. Raises StateDamaged where the chain does not hold."""
        with database.told(self._path):
            return folds.fold(database.checked(self._connection, self._path, chain.Head()))

    def incidents(self) -> tuple[Mapping[str, outcomes.Json], ...]:
        """Every incident as the contracts list it, in the order in which they were opened."""
        query = "SELECT id, line FROM incidents"
        with database.told(self._path):
            rows = [self._listed(str(key), line) for key, line in self._connection.execute(query).fetchall()]
        return tuple(sorted(rows, key=lambda row: int(str(row["firstSeq"]))))

    def incident(self, name: str) -> tuple[Mapping[str, outcomes.Json], tuple[entries.Entry, ...]]:
        """One incident and its entries. Raises NotReachable when there is none of that id."""
        with database.told(self._path):
            row = self._connection.execute("SELECT id, line FROM incidents WHERE id = ?", (name,)).fetchone()
            if row is None:
                place = self._path.parent
                raise errors.NotReachable(
                    f"no incident {name} in {place}",
                    fix=f"`lastack incidents list --state-dir {shlex.quote(str(place))}` names those there are",
                )
            query = "SELECT line FROM entries WHERE incident = ? ORDER BY seq"
            found = [entries.from_line(line) for (line,) in self._connection.execute(query, (name,))]
            return self._listed(*row), tuple(found)

    def leases(self) -> tuple[Mapping[str, outcomes.Json], ...]:
        """Every open lease, as `sysctl leases` prints it."""
        query = "SELECT line FROM leases ORDER BY name, namespace"
        with database.told(self._path):
            rows = [canonical.read(line) for (line,) in self._connection.execute(query)]
        return tuple({field: row[field] for field in listings.LEASE_FIELDS} for row in rows)

    def _listed(self, name: str, line: bytes) -> Mapping[str, outcomes.Json]:
        """The row with the last entry that names the incident: some come after its end, as leases given back."""
        query = "SELECT max(seq) FROM entries WHERE incident = ?"
        (last,) = self._connection.execute(query, (name,)).fetchone()
        row = {**canonical.read(line), "lastSeq": last}
        return {field: row[field] for field in listings.INCIDENT_FIELDS}


@contextlib.contextmanager
def reading(where: state_dir.StateDir) -> Iterator[Reading]:
    """Read for the length of a block."""
    found = Reading(where)
    try:
        yield found
    finally:
        found.close()
