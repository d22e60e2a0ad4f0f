"""Opens the SQLite file of a store: schema, version, one writer at a time, errors in one line."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pairlight.errors import DataError, PairlightError
from pairlight.search.records import INT64, Filters

APPLICATION_ID = 0x504C5354  # "PLST", in the file's header: what `file` and we know a store by
VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    embed_dim INTEGER NOT NULL, image_size INTEGER NOT NULL,
    UNIQUE (sha256, embed_dim, image_size));
CREATE TABLE roots (path BLOB PRIMARY KEY, scanned_at TEXT);
CREATE TABLE mounts (path BLOB PRIMARY KEY);
CREATE TABLE contents (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE,
    width INTEGER NOT NULL, height INTEGER NOT NULL, taken TEXT);
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY, content INTEGER NOT NULL REFERENCES contents (id),
    model INTEGER NOT NULL REFERENCES models (id), vector BLOB NOT NULL);
CREATE UNIQUE INDEX vectors_of ON vectors (model, content);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    content INTEGER NOT NULL REFERENCES contents (id));
CREATE INDEX photos_of ON photos (content);
CREATE TABLE skipped (path BLOB PRIMARY KEY, reason TEXT NOT NULL);
"""
_CONDITIONS = {
    "after": "c.taken >= ?",
    "before": "c.taken < ?",
    "min_size": "p.size >= ?",
    "max_size": "p.size <= ?",
    "min_width": "c.width >= ?",
    "min_height": "c.height >= ?",
}


def conditions(filters: Filters) -> tuple[str, list[str | int]]:
    """Return what filters but the path's ask of photos p and contents c: SQL, and its values."""
    given = {key: getattr(filters, key) for key in _CONDITIONS}
    used = {key: value for key, value in given.items() if value is not None}
    where = " AND ".join(_CONDITIONS[key] for key in used) or "1"
    return where, [min(v, INT64) if isinstance(v, int) else v for v in used.values()]


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one clear line about `path`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _explained(path, error) from None
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: damaged, or not a store ({error}); restore it, or index anew "
                        "into another file") from None  # fmt: skip


def _explained(path: Path, error: sqlite3.OperationalError) -> PairlightError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return PairlightError(
            f"{path}: could not be written ({error}); is the disk full? What was stored before is "
            "kept; make room and run the same command again"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return PairlightError(f"{path}: in use by another program; try again when it is done")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return PairlightError(f"{path}: the store or its folder cannot be written to ({error})")
    return PairlightError(f"{path}: the store could not be used ({error})")


def refuse_folder(path: Path) -> None:
    """Raise `DataError` for a folder, or no name at all, in place of a store."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder; --store names a file")


def connect(path: Path, write: bool) -> sqlite3.Connection:
    """Return a connection to the store at `path`; with `write` it is made when absent.

    Commits are in WAL mode and forced to disk (synchronous=FULL): readers go on while a batch is
    written, and a committed batch outlasts a crash or a power cut. Raises `PairlightError`.
    """
    refuse_folder(path)
    if not write and not path.exists():
        raise DataError(f"{path}: store not found; make it with: pairlight index DIR --store FILE")
    with told(path):
        connection = _connected(path, "rwc" if write else "rw")
        try:
            _check(path, connection, write)
        except sqlite3.OperationalError:
            connection.close()
            if write:
                raise
            connection = _read_only(path)
        except BaseException:
            connection.close()
            raise
    return connection


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    # Percent signs, question marks and bytes that are no UTF-8 would mean something in a URI.
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}"
    # No implicit transactions: each is begun and ended where one can see it.
    connection = sqlite3.connect(
        uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )
    if mode != "rwc":
        connection.execute("PRAGMA query_only = ON")
    return connection


def _read_only(path: Path) -> sqlite3.Connection:
    """Open a store on a disk that cannot be written to, where WAL's side files cannot be made."""
    for mode in ("ro", "ro&immutable=1"):
        if "immutable" in mode and _has_bytes(path.with_name(path.name + "-wal")):
            raise DataError(
                f"{path}: was not closed properly, and cannot be mended on a disk that cannot be "
                "written to; copy it, with the files beside it, to one that can"
            )
        connection = _connected(path, mode)
        try:
            _check(path, connection, write=False)
            return connection
        except sqlite3.OperationalError:
            connection.close()
            if mode != "ro":
                raise
        except BaseException:
            connection.close()
            raise
    raise AssertionError("unreachable")


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _check(path: Path, connection: sqlite3.Connection, write: bool) -> None:
    """Refuse a file that is no store of ours; with `write`, make an empty one a store."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty = mark == 0 and tables == 0
    if not empty and mark != APPLICATION_ID:
        raise DataError(f"{path}: a database of another program; give --store another name")
    if empty and not write:
        raise DataError(f"{path}: an empty store; fill it with: pairlight index DIR --store FILE")
    if not empty and version != VERSION:
        raise DataError(
            f"{path}: store version {version}, this pairlight reads {VERSION}; use the pairlight "
            "that wrote it, or index into another file"
        )
    if write:
        if empty:
            connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if empty:
            _create(connection)


def _create(connection: sqlite3.Connection) -> None:
    # The mark comes with the tables: after a crash a store is either whole or still empty.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in filter(str.strip, SCHEMA.split(";\n")):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('changes', '0')")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def lock_out_writers(path: Path) -> sqlite3.Connection:
    """Return what keeps other writers out until it is closed, or this process ends, however.

    The lock is SQLite's own, on an empty file beside the store: it works on every system, dies
    with its process, and does not hinder readers. Raises `PairlightError` when it is taken.
    """
    beside = path.with_name(path.name + "-lock")
    connection = None
    try:
        connection = sqlite3.connect(beside, timeout=0, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise PairlightError(
                f"{path}: another pairlight is writing to this store; wait until it is done"
            ) from None
        raise _explained(path, error) from None
    return connection
