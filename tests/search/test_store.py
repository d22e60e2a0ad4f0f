"""The file: WAL, full synchronisation, versions, locks, readers beside a writer, full disks."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from colours import paint

from pairlight.errors import ConfigError, DataError, PairlightError
from pairlight.search.query import Query
from pairlight.search.records import Batch, Facts, Filters, Fingerprint, Found, NewContent
from pairlight.search.searcher import Searcher
from pairlight.search.sqlite import SqliteStore
from pairlight.search.store import open_store

PRINT = Fingerprint("m", "0" * 64, 4, 16)


def content(number, dim=4):
    vector = np.eye(dim, dtype=np.float32)[number % dim]
    return NewContent(number.to_bytes(32, "big"), Facts(10 + number, 20, None), vector)


def fill(store, count, start=0):
    model = store.add_model(PRINT)
    store.activate(model)
    fresh = [content(number) for number in range(start, start + count)]
    files = [
        (Found(f"/p/{n}.jpg", n, n), n.to_bytes(32, "big")) for n in range(start, start + count)
    ]
    store.commit(model, Batch(fresh, files))


def test_a_store_outlasts_power_cuts_by_its_settings(tmp_path):
    with SqliteStore(tmp_path / "a.db", write=True) as store:
        run = store._connection.execute
        assert run("PRAGMA journal_mode").fetchone() == ("wal",)
        assert run("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert run("PRAGMA foreign_keys").fetchone() == (1,)


def test_what_goes_in_comes_out(tmp_path):
    with open_store(str(tmp_path / "a.db"), write=True) as store:
        fill(store, 3)
        store.finish(["/p"], [], {"/p/bad.jpg": "torn"}, {"/p/usb"}, now="2026")
    with open_store(str(tmp_path / "a.db")) as store:
        assert store.model() == PRINT and store.count() == 3
        assert store.roots() == ["/p"] and store.mounts() == {"/p/usb"}
        assert store.skipped() == {"/p/bad.jpg": "torn"}
        ids, vectors = store.vectors()
        assert np.array_equal(vectors, np.eye(4, dtype=np.float32)[:3])
        photo = store.photos_of([ids[1]])[ids[1]][0]
        assert (photo.path, photo.width, photo.size) == ("/p/1.jpg", 11, 1)
        assert store.photo(photo.id) == photo and store.photo(999) is None
        assert store.matching(Filters(min_width=12)) == {ids[2]: {3}}


def test_changes_grow_with_every_change(tmp_path):
    with open_store(str(tmp_path / "a.db"), write=True) as store:
        seen = [store.changes()]
        fill(store, 1)
        seen.append(store.changes())
        store.finish([], [1], {}, set())
        seen.append(store.changes())
        store.finish([], [], {}, set())
        assert seen == sorted(set(seen)) and store.changes() == seen[-1]


def test_numbers_of_photos_are_never_used_again(tmp_path):
    with open_store(str(tmp_path / "a.db"), write=True) as store:
        fill(store, 2)
        store.finish([], [2], {}, set())
        fill(store, 1, start=5)
        assert sorted(each.id for each in store.known()) == [1, 3]


def test_a_batch_is_whole_or_not_there(tmp_path):
    with SqliteStore(tmp_path / "a.db", write=True) as store:
        fill(store, 1)
        files = [(Found("/p/x.jpg", 1, 1), (7).to_bytes(32, "big"))]
        bad = [content(7), content(8)]
        object.__setattr__(bad[1], "sha256", None)
        with pytest.raises(PairlightError):
            store.commit(1, Batch(bad, files))
        assert store.count() == 1 and len(store.embedded(1)) == 1
        fill(store, 1, start=7)  # and the store goes on


@pytest.mark.parametrize("text", [b"", b"not a database, but long enough to be taken for one" * 30])
def test_a_file_that_is_no_store_is_refused_unharmed(tmp_path, text):
    path = tmp_path / "a.db"
    path.write_bytes(text)
    with pytest.raises(DataError) as told:
        open_store(str(path))
    assert "a.db" in str(told.value) and "\n" not in str(told.value)
    if text:
        with pytest.raises(DataError):
            open_store(str(path), write=True)
        assert path.read_bytes() == text


def test_a_database_of_another_program_is_refused_unharmed(tmp_path):
    path = tmp_path / "a.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="another program"):
        open_store(str(path), write=True)
    assert path.read_bytes() == before


def test_a_later_version_is_refused(tmp_path):
    path = tmp_path / "a.db"
    open_store(str(path), write=True).close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 99")
    later.close()
    for write in (False, True):
        with pytest.raises(DataError, match="version 99"):
            open_store(str(path), write)


def test_absent_folders_and_odd_names(tmp_path):
    with pytest.raises(DataError, match="not found"):
        open_store(str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(DataError, match="folder"):
        open_store(str(tmp_path))
    with pytest.raises(ConfigError, match="milvus"):
        open_store("milvus://localhost")
    for name in ("new/folder/a.db", "100%?mode=ro#&'\".db", os.fsdecode(b"\xff.db")):
        open_store(str(tmp_path / name), write=True).close()
        assert (tmp_path / name).exists()
        open_store(str(tmp_path / name)).close()


def test_a_second_writer_is_told_and_readers_are_not_hindered(tmp_path):
    path = str(tmp_path / "a.db")
    with open_store(path, write=True) as store:
        fill(store, 3)
        with pytest.raises(PairlightError, match="another pairlight is writing"):
            open_store(path, write=True)
        code = (
            "import sys; from pairlight.search.store import open_store as o; o(sys.argv[1], True)"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert done.returncode == 1 and "another pairlight is writing" in done.stderr
        with open_store(path) as reader:
            assert reader.count() == 3
    open_store(path, write=True).close()


def test_a_reader_writes_nothing(tmp_path):
    path = str(tmp_path / "a.db")
    open_store(path, write=True).close()
    with open_store(path) as reader, pytest.raises(PairlightError):
        fill(reader, 1)


@pytest.mark.parametrize("closed", [True, False])
def test_a_store_on_a_disk_that_cannot_be_written_to_is_read(tmp_path, closed):
    """One that a crash left with its side file has photos that cannot be seen, and says so."""
    path = tmp_path / "a.db"
    store = open_store(str(path), write=True)
    fill(store, 3)
    if closed:
        store.close()
    code = (
        "import os, sys\n"
        "import pairlight.search.sqlite\n"
        "from pairlight.search.store import open_store\n"
        "os.setuid(65534)\n"
        "print(open_store(sys.argv[1]).count())\n"
    )
    if os.getuid() != 0:
        pytest.skip("needs to be root to become nobody")
    folder = Path("/tmp") / f"pairlight-readonly-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        for name in ("a.db",) if closed else ("a.db", "a.db-wal"):
            shutil.copy(tmp_path / name, folder)
            os.chmod(folder / name, 0o444)
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "a.db")], capture_output=True, text=True
        )
        if closed:
            assert done.stdout.strip() == "3", done.stderr
        else:
            assert "was not closed properly" in done.stderr
    finally:
        store.close()
        shutil.rmtree(folder)


def test_two_readers_see_whole_batches_while_a_writer_writes(tmp_path):
    path = str(tmp_path / "a.db")
    writer = SqliteStore(path, write=True)
    fill(writer, 10)
    seen: list[list[int]] = [[], []]
    stop, problems = threading.Event(), []

    def read(place):
        try:
            with open_store(path) as reader:
                while not stop.is_set():
                    ids, vectors = reader.vectors()
                    assert len(ids) == len(vectors) and np.isfinite(vectors).all()
                    seen[place].append(len(ids))
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read, args=(place,)) for place in range(2)]
    for each in readers:
        each.start()
    for number in range(1, 30):
        fill(writer, 10, start=10 * number)
    stop.set()
    for each in readers:
        each.join()
    writer.close()
    assert not problems
    for counts in seen:
        assert counts and counts == sorted(counts)  # nobody was turned away, or saw time go back
        assert all(count % 10 == 0 for count in counts)  # or saw half a batch


def test_a_searcher_sees_what_was_added_after_refresh(index, photos, tmp_path, model):
    index(photos)
    with open_store(str(tmp_path / "photos.db")) as store:
        searcher = Searcher(store, model)
        assert not searcher.refresh()
        paint(photos / "yellow.png", "yellow")
        index(photos)
        assert searcher.search(Query("yellow")).hits[0].score < 0.5
        assert searcher.refresh()
        assert searcher.search(Query("yellow")).hits[0].photo.path.endswith("yellow.png")


def test_a_damaged_store_is_told_in_one_line(index, photos, tmp_path, model):
    for number in range(200):
        paint(photos / f"{number}.png", "red", seed=number + 1)
    index(photos)
    path = tmp_path / "photos.db"
    raw = bytearray(path.read_bytes())
    raw[8192 * 2 :] = b"\xa5" * (len(raw) - 8192 * 2)
    path.write_bytes(raw)
    with pytest.raises(PairlightError) as told, open_store(str(path)) as store:
        Searcher(store, model)
    assert "photos.db" in str(told.value) and "\n" not in str(told.value)
