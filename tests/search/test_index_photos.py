"""The index follows its folders: added, changed, moved, touched, deleted, unreadable."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from colours import ColourModel, paint

from pairlight.errors import ConfigError, DataError
from pairlight.search import photo as photo_module
from pairlight.search import plan as plan_module
from pairlight.search.index import COUNTS, read_file
from pairlight.search.records import Found


def counts(report):
    return {name: report.counts[name] for name in COUNTS if report.counts[name]}


def names(read):
    return sorted(Path(each.path).name for each in read("known"))


def test_a_first_run_embeds_everything_and_a_second_nothing(index, photos, model, read):
    assert counts(index(photos)) == {"added": 5, "embedded": 5}
    assert names(read) == ["blue.png", "blue_white.png", "flag.png", "green.png", "red.png"]
    assert counts(index(photos)) == {"unchanged": 5}
    assert model.encoded == 5


def test_vectors_in_the_store_are_the_models_own(index, photos, read):
    index(photos)
    ids, vectors = read("vectors")
    by_content = {each.content: each.path for each in read("known")}
    found = {Path(by_content[id]).name: vector for id, vector in zip(ids, vectors, strict=True)}
    assert found["red.png"] @ ColourModel().encode_texts(["red"])[0] > 0.99
    assert found["flag.png"] @ ColourModel().encode_texts(["blue white red"])[0] > 0.99


def test_an_added_and_a_changed_photo_are_embedded(index, photos, model, read):
    index(photos)
    paint(photos / "new.png", "yellow")
    paint(photos / "red.png", "black", seed=7)
    assert counts(index(photos)) == {"added": 1, "changed": 1, "unchanged": 4, "embedded": 2}
    ids, vectors = read("vectors")
    assert len(ids) == 6
    red = next(each for each in read("known") if each.path.endswith("red.png"))
    assert vectors[list(ids).index(red.content)] @ model.encode_texts(["black"])[0] > 0.99


def test_a_renamed_and_a_moved_photo_are_not_embedded_again(index, photos, model, read):
    index(photos)
    before = {each.content: each.id for each in read("known")}
    (photos / "red.png").rename(photos / "rouge.png")
    (photos / "sea").rename(photos / "ocean")
    assert counts(index(photos)) == {"moved": 4, "unchanged": 1}
    assert model.encoded == 5
    assert names(read) == ["blue.png", "blue_white.png", "flag.png", "green.png", "rouge.png"]
    # A photo keeps its number, so that links to it go on working.
    assert {each.content: each.id for each in read("known")} == before


@pytest.mark.parametrize("touched", [False, True])
def test_two_photos_that_swap_names_keep_their_numbers(index, photos, model, read, touched):
    """Told by size and time of change or, where the time is new, by sizes that differ."""
    paint(photos / "red.png", "red", size=(48 + 20 * touched, 32))
    for n, name in enumerate(("red.png", "green.png"), 1):  # written within one tick otherwise
        os.utime(photos / name, ns=(n, n))
    index(photos)
    before = {each.content: each.id for each in read("known")}
    names_of = {each.content: Path(each.path).name for each in read("known")}
    exchange = {"red.png": "green.png", "green.png": "red.png"}
    (photos / "red.png").rename(photos / "x.png")
    (photos / "green.png").rename(photos / "red.png")
    (photos / "x.png").rename(photos / "green.png")
    for name in exchange if touched else ():
        os.utime(photos / name)
    assert counts(index(photos)) == {"moved": 2, "unchanged": 3}
    assert {each.content: each.id for each in read("known")} == before
    now = {each.content: Path(each.path).name for each in read("known")}
    assert now == {content: exchange.get(name, name) for content, name in names_of.items()}
    assert counts(index(photos)) == {"unchanged": 5}
    assert model.encoded == 5


def test_photos_that_are_numbered_anew_keep_their_numbers(index, photos, model, read):
    for number in range(50):  # more than a batch
        paint(photos / "n" / f"{number:02}.png", "red", size=(20 + number, 20), seed=number)
    index(photos)
    before = {each.content: each.id for each in read("known")}
    for number in range(49, 9, -1):
        (photos / "n" / f"{number:02}.png").rename(photos / "n" / f"{number + 1:02}.png")
    (photos / "n" / "05.png").unlink()
    paint(photos / "n" / "10.png", "blue", seed=99)
    paint(photos / "n" / "11.png", "blue", seed=98)  # takes the place of one that had moved
    report = counts(index(photos))
    assert report == {
        "moved": 39,
        "added": 1,
        "changed": 1,
        "deleted": 1,
        "unchanged": 14,
        "embedded": 2,
    }
    after = {each.content: each.id for each in read("known")}
    assert {k: v for k, v in after.items() if k in before}.items() <= before.items()
    assert counts(index(photos)) == {"unchanged": 55}


def test_a_photo_renamed_onto_another_takes_its_place(index, photos, model, read):
    index(photos)
    before = {Path(each.path).name: each for each in read("known")}
    (photos / "red.png").replace(photos / "green.png")
    assert counts(index(photos)) == {"moved": 1, "deleted": 1, "unchanged": 3}
    after = {Path(each.path).name: each for each in read("known")}
    assert after["green.png"].id == before["red.png"].id and "red.png" not in after
    assert model.encoded == 5


def test_a_touched_photo_is_hashed_but_not_embedded(index, photos, model):
    index(photos)
    os.utime(photos / "red.png", ns=(1, 1))
    assert counts(index(photos)) == {"touched": 1, "unchanged": 4}
    assert counts(index(photos)) == {"unchanged": 5}
    assert model.encoded == 5


def test_copies_are_embedded_once_and_all_stored(index, photos, model, read):
    for number in range(40):  # more than a batch
        shutil.copy(photos / "red.png", photos / f"copy{number}.png")
    assert counts(index(photos)) == {"added": 45, "embedded": 5}
    assert model.encoded == 5 and read("count") == 45 and len(read("vectors")[0]) == 5


def test_a_deleted_photo_goes_with_its_vector(index, photos, read):
    index(photos)
    (photos / "red.png").unlink()
    assert counts(index(photos)) == {"deleted": 1, "unchanged": 4}
    assert "red.png" not in names(read) and len(read("vectors")[0]) == 4


def test_the_vector_of_a_deleted_copy_stays_for_the_other(index, photos, read):
    shutil.copy(photos / "red.png", photos / "copy.png")
    index(photos)
    (photos / "red.png").unlink()
    index(photos)
    assert "copy.png" in names(read) and len(read("vectors")[0]) == 5


def test_one_bad_file_never_stops_a_run(index, photos, read):
    (photos / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    (photos / "empty.png").touch()
    (photos / "raw.cr2").write_bytes(b"II*\0")
    (photos / "notes.txt").write_text("no photo")
    report = index(photos)
    reasons = {Path(path).name: why for path, why in report.skipped.items()}
    assert set(reasons) == {"torn.jpg", "empty.png", "raw.cr2"}
    assert "empty (zero bytes)" in reasons["empty.png"] and "cr2" in reasons["raw.cr2"]
    assert report.counts["added"] == 5
    assert read("skipped") == report.skipped
    (photos / "torn.jpg").unlink()
    assert set(map(lambda path: Path(path).name, index(photos).skipped)) == {"empty.png", "raw.cr2"}


def test_a_photo_that_is_overwritten_with_rubbish_leaves_the_index(index, photos, read):
    index(photos)
    (photos / "red.png").write_bytes(b"rubbish")
    report = index(photos)
    assert report.counts["deleted"] == 1 and "red.png" not in names(read)
    assert str(photos / "red.png") in report.skipped


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError()])
def test_a_photo_that_cannot_be_read_just_now_stays(index, photos, read, monkeypatch, error):
    index(photos)
    os.utime(photos / "red.png", ns=(1, 1))

    def fail(path):
        raise error

    monkeypatch.setattr("pairlight.search.index.sha256_of", fail)
    report = index(photos)
    assert "cannot read" in report.skipped[str(photos / "red.png")]
    assert "red.png" in names(read)
    monkeypatch.undo()
    assert counts(index(photos)) == {"touched": 1, "unchanged": 4}


def test_a_photo_that_vanishes_or_changes_while_it_is_read(tmp_path, monkeypatch):
    path = paint(tmp_path / "a.png", "red")
    facts = path.stat()
    found = Found(str(path), facts.st_size, facts.st_mtime_ns)
    assert read_file(found, 16, set()).pixels is not None
    original = photo_module.read_photo

    def rewritten(name, size):
        answer = original(name, size)
        os.utime(name, ns=(5, 5))
        return answer

    monkeypatch.setattr("pairlight.search.index.read_photo", rewritten)
    assert "changed while it was read" in read_file(found, 16, set()).reason
    path.unlink()
    assert "gone" in read_file(found, 16, set()).reason


def test_a_photo_that_vanishes_between_scan_and_read_is_skipped(index, photos, monkeypatch):
    original = plan_module.scan

    def scan_then_delete(root, exclude):
        found = original(root, exclude)
        (photos / "red.png").unlink()
        return found

    monkeypatch.setattr(plan_module, "scan", scan_then_delete)
    report = index(photos)
    assert report.counts["added"] == 4
    assert report.skipped == {str(photos / "red.png"): "gone before it could be read"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_whose_photo_is_out_of_reach_stays(index, photos, tmp_path, read):
    usb = paint(tmp_path / "usb" / "yellow.png", "yellow")
    os.symlink(usb, photos / "link.png")
    index(photos)
    usb.unlink()
    report = index(photos)
    assert report.counts["deleted"] == 0 and "link.png" in names(read)
    assert "cannot read" in report.skipped[str(photos / "link.png")]
    (photos / "link.png").unlink()
    assert index(photos).counts["deleted"] == 1


def test_another_folder_is_not_touched(index, photos, tmp_path, read):
    other = tmp_path / "photos2"  # shares the first one's beginning, but is not below it
    paint(other / "yellow.png", "yellow")
    index(photos, other)
    (other / "yellow.png").unlink()
    paint(other / "white.png", "white")
    assert counts(index(photos)) == {"unchanged": 5}
    assert "yellow.png" in names(read)


def test_a_hidden_folder_indexed_by_its_name_outlasts_a_run_above_it(index, photos, read):
    paint(photos / ".secret" / "yellow.png", "yellow")
    index(photos)
    assert "yellow.png" not in names(read)
    index(photos / ".secret")
    index(photos)
    assert "yellow.png" in names(read)
    index(photos, prune=True)
    assert "yellow.png" in names(read)


def test_a_folder_within_a_folder_is_one_collection(index, photos, read):
    index(photos / "sea")
    assert counts(index(photos)) == {"added": 2, "embedded": 2, "unchanged": 3}
    shutil.rmtree(photos / "sea")
    index(photos)
    assert names(read) == ["green.png", "red.png"]


def test_excluding_a_folder_takes_its_photos_out(index, photos, read):
    index(photos)
    index(photos, exclude=["sea"])
    assert names(read) == ["green.png", "red.png"]
    assert not index(photos, exclude=["*.png"]).kept  # all of them: no sign of a missing disk
    assert names(read) == []


def test_a_time_past_all_clocks_stops_nothing(index, photos, read):
    os.utime(photos / "red.png", (2**34, 2**34))  # the year 2514; nanoseconds end in 2262
    assert counts(index(photos)) == {"added": 5, "embedded": 5}
    assert counts(index(photos)) == {"unchanged": 5}


def test_a_folder_that_never_was_is_the_users_mistake(index, photos, tmp_path):
    with pytest.raises(DataError, match="folder not found"):
        index(tmp_path / "phtos")
    with pytest.raises(DataError, match="not a folder"):
        index(photos / "red.png")
    with pytest.raises(ConfigError, match="no folder given"):
        index()
