"""kill -9 at random moments: the store opens unaided and has every photo that it acknowledged."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from colours import NAMES, ColourModel, paint

from pairlight.search.index import index_photos
from pairlight.search.photo import read_photo
from pairlight.search.sqlite import SqliteStore

CHILD = Path(__file__).with_name("crash_child.py")


def run_and_kill(store, folder, rng):
    """Run the indexer, kill it somewhere on its way; return what it acknowledged, path -> hash."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(store), str(folder)], stdout=subprocess.PIPE, text=True
    )
    told, lines = {}, rng.choice([1, 1, 2, 5, 9, 17, 40])  # the first line says that it has started
    for line in child.stdout:
        if line.count(" "):
            sha256, path = line.rstrip("\n").split(" ", 1)
            told[path] = sha256
        lines -= 1
        if lines <= 0:
            time.sleep(rng.random() * 0.03)
            child.send_signal(signal.SIGKILL)
            break
    for line in child.stdout:  # what was told before the blow fell counts, too
        if line.endswith("\n") and line.count(" "):
            sha256, path = line.rstrip("\n").split(" ", 1)
            told[path] = sha256
    child.stdout.close()
    child.wait()
    return told, child.returncode == -signal.SIGKILL


def disturb(folder, rng, number):
    """Add, change, rename and delete photos, as people do; return the paths that are no more."""
    files = sorted(folder.rglob("*.png"))
    lost = []
    for each in range(12):
        colours = rng.choices(NAMES, k=rng.randint(1, 4))
        paint(
            folder / f"{number}_{each}.png", *colours, seed=1000 * number + each + 1, size=(16, 16)
        )
    for path in rng.sample(files, min(len(files), 3)):
        paint(path, *rng.choices(NAMES, k=2), seed=500_000 + 10 * number, size=(16, 16))
        lost.append(path)
    rest = [path for path in files if path not in lost]
    for path in rng.sample(rest, min(len(rest), 2)):
        path.rename(folder / f"moved_{number}_{path.name}")
        lost.append(path)
    rest = [path for path in rest if path not in lost]
    for path in rng.sample(rest, min(len(rest), 2)):
        path.unlink()
        lost.append(path)
    return map(str, lost)


def stored(store):
    hashes = store.hashes({each.content for each in store.known()})
    return {each.path: hashes[each.content].hex() for each in store.known()}


def survive(tmp_path, rounds, seed):
    rng, folder, path = random.Random(seed), tmp_path / "photos", tmp_path / "photos.db"
    folder.mkdir()
    acknowledged, kills = {}, 0
    for number in range(rounds):
        for gone in disturb(folder, rng, number):
            acknowledged.pop(gone, None)
        told, killed = run_and_kill(path, folder, rng)
        acknowledged.update(told)
        kills += killed
        if not path.exists():
            continue  # killed before the store was there
        with SqliteStore(path, write=True) as store:  # neither lock nor log stands in the way
            assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert not store._connection.execute("PRAGMA foreign_key_check").fetchall()
            now = stored(store)
            lost = {each: sha for each, sha in acknowledged.items() if now.get(each) != sha}
            assert not lost, f"round {number}, seed {seed}: {len(lost)} photos lost"
            # Whatever is there can be searched: a vector for each photo, whole and of unit length.
            ids, vectors = store.vectors()
            assert set(ids) >= {each.content for each in store.known()}
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with SqliteStore(path, write=True) as store:
        index_photos(store, ColourModel(), [str(folder)])
        truth = {str(each): hashlib.sha256(each.read_bytes()).hexdigest()
                 for each in folder.rglob("*.png")}  # fmt: skip
        assert stored(store) == truth
        ids, vectors = store.vectors()
        assert len(ids) == len(set(truth.values()))
        rows = {id: row for row, id in enumerate(ids)}
        for each in store.known():
            expected = ColourModel().encode_pixels(read_photo(each.path, 16)[0][None])[0]
            assert np.array_equal(vectors[rows[each.content]], expected)
    return kills


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_few_kills(tmp_path):
    assert survive(tmp_path, rounds=4, seed=1) >= 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_sixty_kills(tmp_path):
    assert survive(tmp_path, rounds=60, seed=2) >= 50


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_an_interrupt_keeps_what_was_stored(tmp_path):
    folder, path = tmp_path / "photos", tmp_path / "photos.db"
    for number in range(60):
        paint(folder / f"{number}.png", "red", seed=number + 1, size=(16, 16))
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(path), str(folder)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(9):
        child.stdout.readline()
    child.send_signal(signal.SIGINT)
    rest, problems = child.communicate()
    assert "KeyboardInterrupt" in problems and "finished" not in rest
    with SqliteStore(path, write=True) as store:
        assert 8 <= store.count() < 60
        assert index_photos(store, ColourModel(), [str(folder)]).photos == 60
