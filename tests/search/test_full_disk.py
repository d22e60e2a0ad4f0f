"""A full disk gives one line; what was stored is kept, and the next run goes on from there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from colours import ColourModel, paint

from pairlight.errors import PairlightError
from pairlight.search.index import index_photos
from pairlight.search.store import open_store


def many(folder, count=400):
    for number in range(count):
        paint(folder / f"{number}.png", "red", "blue", seed=number + 1, size=(16, 16))


def check_whole(path, model, folder):
    """The store opens unaided, is whole, and goes on from where it was."""
    with open_store(str(path), write=True) as store:
        check = store._connection.execute("PRAGMA integrity_check").fetchone()
        assert check == ("ok",)
        before = store.count()
        report = index_photos(store, model, [str(folder)])
    assert report.counts["unchanged"] == before and report.photos == 400
    assert report.counts["embedded"] == 400 - before
    return before


def run_out_of_space(path, folder):
    with open_store(str(path), write=True) as store:
        index_photos(store, ColourModel(), [str(folder)])


def test_a_full_disk_gives_one_line_and_keeps_what_was_stored(tmp_path, model):
    small, folder = tmp_path / "small", tmp_path / "photos"
    small.mkdir()
    many(folder)
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        with pytest.raises(PairlightError, match="is the disk full") as told:
            run_out_of_space(small / "a.db", folder)
        assert "\n" not in str(told.value) and "a.db" in str(told.value)
        with open_store(str(small / "a.db")) as store:
            assert store.count() > 0
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        assert check_whole(small / "a.db", model, folder) > 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_limit_on_file_size_gives_one_line_and_keeps_what_was_stored(tmp_path, model):
    folder, path = tmp_path / "photos", tmp_path / "a.db"
    many(folder)
    code = (
        "import resource, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_full_disk import run_out_of_space\n"
        "from pairlight.errors import PairlightError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "try:\n"
        "    run_out_of_space(Path(sys.argv[1]), sys.argv[2])\n"
        "except PairlightError as error:\n"
        "    sys.exit(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 1 and "is the disk full" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert check_whole(path, model, folder) > 0
