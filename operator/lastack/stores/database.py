"""The SQLite file of the ledger: opened, checked, and told apart from what is damaged, newer or foreign.

Called by ledger (the writer) and readings (everybody else). Nothing here decides what to do about damage.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Iterator

from lastack import errors
from lastack.runbook import canonical, chain, entries
from lastack.stores import durable_files, schema

_BUSY_SECONDS = 5.0
_NOT_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
    }
)
_PRIMARY_CODE = 0xFF


def open_for_writing(path: pathlib.Path, program: str, since: str) -> sqlite3.Connection:
    """Open or make the database, brought up to this version; `program` is the version of lastack.

    Raises StateDamaged, or StateUnusable when it is newer, foreign or there is no room.
    """
    with durable_files.translated(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(contextlib.closing(connect(path)))
        with told(path):
            found = _version(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if found < schema.VERSION:
                schema.bring_up(connection, found, program, since)
            _check_integrity(connection, path)
        undo.pop_all()
    return connection


def open_for_reading(path: pathlib.Path) -> sqlite3.Connection:
    """Open the database read-only, also while another process writes. Raises as `open_for_writing` does."""
    with durable_files.translated(path):
        os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(contextlib.closing(connect(f"{path.as_uri()}?mode=ro")))
        with told(path):
            if _version(connection, path) == 0:
                raise errors.StateDamaged(f"{path} is empty")
        undo.pop_all()
    return connection


def connect(place: pathlib.Path | str) -> sqlite3.Connection:
    """A connection that commits when it is told to, and reads damaged text as damaged text instead of failing."""
    connection = sqlite3.connect(
        place,
        uri=isinstance(place, str),
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    return connection


def lines(connection: sqlite3.Connection, after: int = 0) -> Iterator[bytes]:
    """The entries after a number, as JSON lines without line breaks, as they are stored."""
    for (line,) in connection.execute("SELECT line FROM entries WHERE seq > ? ORDER BY seq", (after,)):
        yield line if isinstance(line, bytes) else str(line).encode(errors="replace")


def checked(connection: sqlite3.Connection, path: pathlib.Path, head: chain.Head) -> Iterator[entries.Entry]:
    """The entries after `head`, each read, in its row, and following the one before. Raises StateDamaged."""
    rows = connection.execute(
        "SELECT seq, kind, incident, line FROM entries WHERE seq > ? ORDER BY seq", (head.seq,)
    )
    for seq, kind, incident, line in rows:
        try:
            found = canonical.read(line if isinstance(line, bytes) else b"")
            entry = entries.from_json(found)
        except errors.NotAnEntry as error:
            raise errors.StateDamaged(
                f"{path} is damaged: entry {seq} cannot be read: {error.message}"
            ) from None
        if (entry.seq, entry.fact.kind, entry.fact.incident) != (seq, kind, incident):
            raise errors.StateDamaged(f"{path} is damaged: the row of entry {seq} does not fit its text")
        if (entry.seq, entry.prev) != (head.seq + 1, head.hash) or not chain.holds(line, found):
            raise errors.StateDamaged(f"{path} is damaged: the chain does not hold at entry {head.seq + 1}")
        head = chain.head_of(entry)
        yield entry


@contextlib.contextmanager
def told(path: pathlib.Path) -> Iterator[None]:
    """Say in our own words what SQLite said: StateDamaged, or StateUnusable with the next step."""
    try:
        yield
    except UnicodeDecodeError as error:
        # The driver failed at a message that quotes damaged text of the file.
        raise errors.StateDamaged(f"{path} is damaged: its tables cannot be named") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE
        if code == sqlite3.SQLITE_FULL:
            raise errors.StateUnusable(
                f"no room to write {path}: {error}",
                fix=f"free some space on the file system of {path.parent}",
            ) from error
        if code in _NOT_DAMAGE:
            raise errors.StateUnusable(f"{path} cannot be used: {error}") from error
        raise errors.StateDamaged(f"{path} is damaged: {error}") from error


def _version(connection: sqlite3.Connection, path: pathlib.Path) -> int:
    """The schema version, 0 for a new file. Raises StateUnusable for another program's or a newer lastack's."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables and application == 0 and version == 0:
        return 0
    if "written_by" not in tables:
        raise errors.StateUnusable(
            f"{path} is a database of another program (tables: {', '.join(sorted(tables)) or 'none'})",
            fix="use another --state-dir",
        )
    writer, newest = connection.execute(
        "SELECT version, schema FROM written_by ORDER BY schema DESC, rowid DESC LIMIT 1"
    ).fetchone() or ("unknown", version)
    if application != schema.APPLICATION_ID or newest != version:
        raise errors.StateDamaged(
            f"{path} is damaged: its header says version {version}, its table version {newest}"
        )
    if version > schema.VERSION:
        raise errors.StateUnusable(
            f"{path} has schema version {version}, written by lastack {writer};"
            f" this lastack knows versions up to {schema.VERSION}",
            fix=f"run lastack {writer} or newer",
        )
    return int(version)


def _check_integrity(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise errors.StateDamaged(f"{path} is damaged: {'; '.join(str(problem) for problem in found)}")
