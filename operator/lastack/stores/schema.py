"""The tables of the ledger's database, their version, and how an older one is brought up. Called by database.

`entries` is the authority and can only grow. `incidents` and `leases` are caches of folds.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x4C415354
"""What says that an SQLite file is lastack's ("LAST")."""

VERSION = 1

_CREATE = (
    """CREATE TABLE entries (
        seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, incident TEXT, line BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX entries_of_incident ON entries (incident, seq) WHERE incident IS NOT NULL",
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END""",
    """CREATE TRIGGER entries_last BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END""",
    "CREATE TABLE incidents (id TEXT PRIMARY KEY, line BLOB NOT NULL) STRICT",
    """CREATE TABLE leases (
        namespace INTEGER NOT NULL, boot_id TEXT NOT NULL, name TEXT NOT NULL, line BLOB NOT NULL,
        PRIMARY KEY (namespace, boot_id, name)
    ) STRICT""",
    "CREATE TABLE written_by (version TEXT NOT NULL, schema INTEGER NOT NULL, since TEXT NOT NULL) STRICT",
)

MIGRATIONS: dict[int, tuple[str, ...]] = {0: _CREATE}
"""From which version, by which statements, to the next."""


def bring_up(connection: sqlite3.Connection, found: int, program: str, since: str) -> None:
    """Migrate from version `found` to VERSION in one transaction, and note who did it."""
    connection.execute("BEGIN IMMEDIATE")
    for version in range(found, VERSION):
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
    connection.execute("INSERT INTO written_by VALUES (?, ?, ?)", (program, VERSION, since))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
