"""Atomic writes and work in threads."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pairlight.errors import PairlightError
from pairlight.files import write_atomic, write_text_atomic
from pairlight.threads import in_threads, map_ahead


def test_a_new_file_and_its_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text_atomic(path, ["one ", "二"])
    assert path.read_text(encoding="utf-8") == "one 二"
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(aside):
        aside.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(PairlightError, match="No space left on device.; the old file is unharmed"):
        write_atomic(path, fail)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("a.txt")
    write_text_atomic(tmp_path / "link.txt", ["new"])
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of POSIX")
def test_a_pipe_is_written_to_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(path.read_text)
        write_text_atomic(path, ["one ", "two"])
        assert read.result(10) == "one two"
    assert path.is_fifo() and os.listdir(tmp_path) == ["pipe"]


def test_what_is_written_is_on_disk_before_it_is_renamed(tmp_path, monkeypatch):
    order = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), real_fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), real_replace(a, b)))
    write_text_atomic(tmp_path / "a.txt", ["x"])
    assert order == ["fsync", "rename", "fsync"]  # the file, then the name, then the folder


def test_threads_keep_order_and_pass_errors_on():
    assert list(in_threads(lambda n: n * n, range(1000), 4)) == [n * n for n in range(1000)]
    assert list(map_ahead(str, [[1, 2], [], [3]], 2)) == [["1", "2"], [], ["3"]]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 // n, [1, 0], 2))


def test_no_more_than_asked_runs_ahead_and_leaving_early_ends_the_threads():
    done = []
    groups = ([n] for n in range(100))
    results = map_ahead(lambda n: done.append(n), groups, threads=1, ahead=2)
    next(results)
    results.close()
    assert len(done) <= 3
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]
