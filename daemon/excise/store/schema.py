"""The state database: its tables, its migrations, and how it is opened.

SQLite in WAL mode. `PRAGMA user_version` is the number of migrations applied.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from excise.errors import StoreError

#: one script per version; a released script never changes, a new one is appended
MIGRATIONS = (
    """
    CREATE TABLE decisions (
        id TEXT PRIMARY KEY,
        plane TEXT NOT NULL,
        target TEXT NOT NULL,
        action TEXT NOT NULL,
        tier TEXT,
        since REAL NOT NULL,
        until REAL NOT NULL,
        score REAL NOT NULL,
        rules TEXT NOT NULL,
        reason TEXT NOT NULL,
        campaign TEXT,
        origin TEXT NOT NULL,
        wanted INTEGER NOT NULL,
        strikes INTEGER NOT NULL,
        ended REAL,
        ended_by TEXT
    ) STRICT;
    CREATE INDEX decisions_ended ON decisions (ended);
    CREATE TABLE events (
        serial INTEGER PRIMARY KEY,
        ts REAL NOT NULL,
        op TEXT NOT NULL,
        id TEXT NOT NULL,
        decision TEXT NOT NULL
    ) STRICT;
    CREATE TABLE strikes (
        plane TEXT NOT NULL,
        target TEXT NOT NULL,
        strikes INTEGER NOT NULL,
        last_ts REAL NOT NULL,
        PRIMARY KEY (plane, target)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cursors (input TEXT PRIMARY KEY, cursor TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE allow (cidr TEXT PRIMARY KEY, until REAL) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
    "ALTER TABLE decisions ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, creating or migrating it.

    Raises sqlite3.DatabaseError for a file that is no sound database, StoreError for one that a
    newer excise wrote.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    try:
        _prepare(connection, path)
    except (sqlite3.Error, StoreError):
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer excise (schema {version}, known up to {len(MIGRATIONS)});"
            " install that version again, or move the file away to start empty"
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def set_aside(path: Path, suffix: str) -> Path:
    """Rename a damaged database and its WAL files; return the new name of the database."""
    for tail in ("-wal", "-shm"):
        side = path.with_name(path.name + tail)
        if side.exists():
            side.rename(path.with_name(f"{path.name}{suffix}{tail}"))
    aside = path.with_name(path.name + suffix)
    path.rename(aside)
    return aside
