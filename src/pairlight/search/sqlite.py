"""Keeps photos, their facts and vectors in one SQLite file, a batch a transaction."""
# ruff: noqa: D102 (what each method does is said once, in store.py)

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pairlight.errors import DataError
from pairlight.files import make_folder
from pairlight.search.database import conditions, connect, lock_out_writers, refuse_folder, told
from pairlight.search.names import glob_pattern, slashes
from pairlight.search.records import Batch, Filters, Fingerprint, Found, Known, Stored

_CHUNK = 128  # vectors, read twice: so many stay in a processor's cache
_STORED = """SELECT p.id, p.path, p.content, p.size, c.width, c.height, c.taken
    FROM photos p JOIN contents c ON c.id = p.content"""
_ACTIVE = "id = (SELECT value FROM meta WHERE key = 'model')"
_WAITING = " waiting, looks "
Run = Callable[..., sqlite3.Cursor]


class SqliteStore:
    """A store in one file; see docs/search.md for its tables.

    With `write` it is made when absent, and other writers are kept out until `close`. Any number
    of readers may look on. Every method raises `PairlightError` for what SQLite cannot do.
    """

    def __init__(self, path: Path | str, write: bool = False):
        self.path = Path(path)
        self._lock = None
        self._turn = threading.RLock()  # A server's threads share one connection.
        if write:
            refuse_folder(self.path)
            make_folder(Path(os.path.abspath(self.path)).parent)
            self._lock = lock_out_writers(self.path)
        try:
            self._connection = connect(self.path, write)
        except BaseException:
            self._unlock()
            raise

    def __enter__(self) -> "SqliteStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            with contextlib.suppress(sqlite3.Error):  # What was committed is safe already.
                self._connection.close()
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    # Reading.

    def model(self) -> Fingerprint | None:
        rows = self._rows(f"SELECT name, sha256, embed_dim, image_size FROM models WHERE {_ACTIVE}")
        return Fingerprint(*rows[0]) if rows else None

    def looks(self) -> int:
        rows = self._rows("SELECT value FROM meta WHERE key = 'looks'")
        return int(rows[0][0]) if rows else 1

    def changes(self) -> int:
        return int(self._rows("SELECT value FROM meta WHERE key = 'changes'")[0][0])

    def known(self) -> list[Known]:
        rows = self._rows("SELECT id, path, size, mtime_ns, content FROM photos")
        return [Known(id, os.fsdecode(path), *rest) for id, path, *rest in rows]

    def embedded(self, model: int) -> dict[bytes, int]:
        return dict(
            self._rows(
                "SELECT c.sha256, c.id FROM vectors v JOIN contents c ON c.id = v.content "
                "WHERE v.model = ?",
                model,
            )
        )

    def hashes(self, contents: Iterable[int]) -> dict[int, bytes]:
        with self._turn, told(self.path), self._snapshot() as run:
            found = {}
            for id in contents:
                row = run("SELECT sha256 FROM contents WHERE id = ?", (id,)).fetchone()
                if row:
                    found[id] = row[0]
            return found

    def roots(self) -> list[str]:
        return [os.fsdecode(path) for (path,) in self._rows("SELECT path FROM roots ORDER BY path")]

    def mounts(self) -> set[str]:
        return {os.fsdecode(path) for (path,) in self._rows("SELECT path FROM mounts")}

    def skipped(self) -> dict[str, str]:
        rows = self._rows("SELECT path, reason FROM skipped ORDER BY path")
        return {os.fsdecode(path): reason for path, reason in rows}

    def count(self) -> int:
        return self._rows("SELECT count(*) FROM photos")[0][0]

    def distinct(self) -> int:
        return self._rows("SELECT count(DISTINCT content) FROM photos")[0][0]

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        with self._turn, told(self.path), self._snapshot() as run:
            found = run(f"SELECT id, embed_dim FROM models WHERE {_ACTIVE}").fetchone()
            model, dim = found or (0, 0)
            (count,) = run("SELECT count(*) FROM vectors WHERE model = ?", (model,)).fetchone()
            # Filled in place: a list of all rows would hold every vector a second time.
            ids, matrix = np.empty(count, np.int64), np.empty((count, dim), np.float32)
            rows = run("SELECT content, vector FROM vectors WHERE model = ?", (model,))
            at = 0
            while chunk := rows.fetchmany(_CHUNK):
                block = b"".join([vector for _, vector in chunk])
                if len(block) != len(chunk) * dim * 4:
                    raise DataError(f"{self.path}: a vector is damaged; index anew with --rebuild")
                ids[at : at + len(chunk)] = [content for content, _ in chunk]
                matrix[at : at + len(chunk)] = np.frombuffer(block, "<f4").reshape(-1, dim)
                at += len(chunk)
            used = np.array(run("SELECT DISTINCT content FROM photos").fetchall(), np.int64)
        if len(used) == count:
            return ids, matrix
        # A run that was broken off can leave vectors of photos that are gone.
        kept = np.isin(ids, used.reshape(-1))
        return ids[kept], matrix[kept]

    def photos_of(self, contents: Sequence[int]) -> dict[int, list[Stored]]:
        found: dict[int, list[Stored]] = {}
        for start in range(0, len(contents), 500):  # SQLite limits a statement's values.
            part = [int(each) for each in contents[start : start + 500]]
            marks = ",".join("?" * len(part))
            for row in self._rows(f"{_STORED} WHERE p.content IN ({marks}) ORDER BY p.path", *part):
                photo = _stored(row)
                found.setdefault(photo.content, []).append(photo)
        return found

    def photo(self, id: int) -> Stored | None:
        rows = self._rows(f"{_STORED} WHERE p.id = ?", id)
        return _stored(rows[0]) if rows else None

    def matching(self, filters: Filters) -> dict[int, set[int]]:
        where, values = conditions(filters)
        rows = self._rows(
            "SELECT p.content, p.id, p.path FROM photos p JOIN contents c ON c.id = p.content "
            f"WHERE {where}",
            *values,
        )
        fits = glob_pattern([filters.path]).match if filters.path is not None else None
        passed: dict[int, set[int]] = {}
        for content, id, path in rows:
            if fits is None or fits(slashes(os.fsdecode(path))):
                passed.setdefault(content, set()).add(id)
        return passed

    # Writing.

    def add_model(self, model: Fingerprint, looks: int = 1, apart: bool = False) -> int:
        # Vectors of a rebuild wait under a hash that no model has: the same model may be active.
        sha256 = f"{model.sha256}{_WAITING}{looks}" if apart else model.sha256
        facts = (sha256, model.embed_dim, model.image_size)
        with self._transaction() as run:
            run(
                "INSERT INTO models (name, sha256, embed_dim, image_size) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (model.name, *facts),
            )
            found = run(
                "SELECT id FROM models WHERE sha256 = ? AND embed_dim = ? AND image_size = ?", facts
            )
            return found.fetchone()[0]

    def activate(self, model: int, looks: int = 1) -> None:
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO meta VALUES ('looks', ?)", (str(looks),))
            run("INSERT OR REPLACE INTO meta VALUES ('model', ?)", (str(model),))
            run("DELETE FROM vectors WHERE model <> ?", (model,))
            run("DELETE FROM models WHERE id <> ?", (model,))
            (sha256,) = run("SELECT sha256 FROM models").fetchone()
            run("UPDATE models SET sha256 = ?", (sha256.partition(_WAITING)[0],))
            _changed(run)

    def commit(self, model: int, batch: Batch) -> None:
        with self._transaction() as run:
            for new in batch.contents:
                facts = (new.facts.width, new.facts.height, new.facts.taken)
                run(
                    "INSERT INTO contents (sha256, width, height, taken) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (sha256) DO NOTHING",
                    (new.sha256, *facts),
                )
                run(
                    "INSERT OR REPLACE INTO vectors (content, model, vector) "
                    "SELECT id, ?, ? FROM contents WHERE sha256 = ?",
                    (model, new.vector.astype("<f4").tobytes(), new.sha256),
                )
            for found, sha256 in batch.photos:
                path = os.fsencode(found.path)
                if found.path in batch.moves:
                    run("UPDATE photos SET path = ? WHERE id = ?", (path, batch.moves[found.path]))
                run(
                    "INSERT INTO photos (path, size, mtime_ns, content) "
                    "SELECT ?, ?, ?, id FROM contents WHERE sha256 = ? ON CONFLICT (path) DO "
                    "UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
                    "content = excluded.content",
                    (path, found.size, found.mtime_ns, sha256),
                )
            _delete(run, batch.lost)
            _changed(run)

    def rename(self, moves: dict[int, Found], gone: Iterable[int]) -> None:
        with self._transaction() as run:
            _delete(run, gone)
            # Paths may be exchanged, and no two photos may have one even for a moment.
            for id in moves:
                run("UPDATE photos SET path = ? WHERE id = ?", (b"\0%d" % id, id))
            for id, file in moves.items():
                run(
                    "UPDATE photos SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                    (os.fsencode(file.path), file.size, file.mtime_ns, id),
                )
            _changed(run)

    def finish(
        self,
        roots: Iterable[str],
        gone: Sequence[int],
        skipped: dict[str, str],
        mounts: set[str],
        forgotten: Iterable[str] = (),
        now: str = "",
    ) -> None:
        with self._transaction() as run:
            _delete(run, gone)
            run("DELETE FROM vectors WHERE content NOT IN (SELECT content FROM photos)")
            run("DELETE FROM contents WHERE id NOT IN (SELECT content FROM photos)")
            run("DELETE FROM skipped")
            run("DELETE FROM mounts")
            _each(run, "INSERT INTO mounts VALUES (?)", mounts)
            _each(run, "DELETE FROM roots WHERE path = ?", forgotten)
            for root in roots:
                run("INSERT OR REPLACE INTO roots VALUES (?, ?)", (os.fsencode(root), now))
            for path, reason in skipped.items():
                run("INSERT INTO skipped VALUES (?, ?)", (os.fsencode(path), reason))
            if gone:
                _changed(run)

    # Within.

    def _rows(self, statement: str, *values: object) -> list:
        with self._turn, told(self.path):
            return self._connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _snapshot(self, begin: str = "BEGIN") -> Iterator[Run]:
        self._connection.execute(begin)
        try:
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Run]:
        with self._turn, told(self.path), self._snapshot("BEGIN IMMEDIATE") as run:
            yield run


def _changed(run: Run) -> None:
    run("UPDATE meta SET value = value + 1 WHERE key = 'changes'")


def _delete(run: Run, ids: Iterable[int]) -> None:
    for id in ids:
        run("DELETE FROM photos WHERE id = ?", (id,))


def _each(run: Run, statement: str, paths: Iterable[str]) -> None:
    for path in paths:
        run(statement, (os.fsencode(path),))


def _stored(row: tuple) -> Stored:
    id, path, *rest = row
    return Stored(id, os.fsdecode(path), *rest)
