"""Checks reading, writing and refusing manifests."""

import json
import dataclasses
import os

import pytest

from pairlight.data.manifest import read_manifest, read_split, write_manifest
from pairlight.data.split import split_manifest
from pairlight.doctor.inspect import look_at
from pairlight.errors import DataError, PairlightError
from pairlight.files import write_text_atomic
from pairlight.types import Photo


def photo(folder, name, split=None):
    path = folder / f"{name}.jpg"
    path.write_bytes(b"not looked into")
    return Photo(name, path, (f"A {name} 🐕", "一只狗"), 4, 3, "0" * 64, split)


def test_round_trip_and_relative_paths(tmp_path):
    (tmp_path / "set").mkdir()
    photos = [photo(tmp_path / "set", "a", "train"), photo(tmp_path, "b")]
    path = tmp_path / "set" / "manifest.jsonl"
    write_manifest(path, photos)
    assert read_manifest(path) == photos
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["image"] for line in lines] == ["a.jpg", (tmp_path / "b.jpg").as_posix()]
    assert "split" not in lines[1]
    assert "🐕" in path.read_text(encoding="utf-8")
    os.rename(tmp_path / "set", tmp_path / "moved")
    assert read_manifest(tmp_path / "moved" / "manifest.jsonl")[0].image.exists()


def test_split_filter(tmp_path):
    path = tmp_path / "m.jsonl"
    write_manifest(path, [photo(tmp_path, "a", "train"), photo(tmp_path, "b", "train")])
    assert len(read_manifest(path, "train")) == 2
    with pytest.raises(DataError, match=r"no images in split 'test'; there are train \(2\)"):
        read_manifest(path, "test")
    with pytest.raises(DataError, match="unknown split 'dev'; choose from train, val, test"):
        read_manifest(path, "dev")
    write_manifest(path, [photo(tmp_path, "a")])
    with pytest.raises(DataError, match="no splits yet; run `pairlight split"):
        read_manifest(path, "train")


def test_moved_photos(tmp_path):
    path = tmp_path / "m.jsonl"
    write_manifest(path, [photo(tmp_path, "a"), photo(tmp_path, "b")])
    (tmp_path / "a.jpg").unlink()
    assert len(read_manifest(path)) == 2
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(DataError, match="none of its 2 images is there"):
        read_manifest(path)


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".jpg", "nul\0.jpg", "half\ud800.jpg"], ids=["long", "nul", "half"]
)
def test_a_name_that_no_file_can_have_is_a_missing_photo(tmp_path, name):
    """The first of a manifest, since the check that photos are there stops at one it finds."""
    path = tmp_path / "m.jsonl"
    lost = Photo("lost", tmp_path / name, ("A dog",), 4, 3, "1" * 64)
    write_manifest(path, [lost, photo(tmp_path, "a")])
    photos = read_manifest(path)
    assert photos[0].image.name == name
    look = look_at(photos)[0]
    assert look.absent and "\n" not in look.problem
    report = split_manifest(path, ratios=(1, 0, 0))
    assert report.images["train"] == 2 and len(report.unopened) == 2
    assert read_manifest(path)[0].image.name == name
    write_manifest(path, [lost])
    with pytest.raises(DataError, match="none of its 1 images is there"):
        read_manifest(path)


GOOD = {"image_id": "a", "image": "a.jpg", "captions": ["A"], "width": 1, "height": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ":2: not a JSON object"),
        ('{"image_id": ' + "9" * 5000 + "}", r":2: not a JSON object \(a number of too many digits\)"),
        ("[" * 100_000, r":2: not a JSON object \(too deeply nested\)"),
        ("[1]", ":2: not a JSON object"),
        (json.dumps({"image_id": "b", "image": "b"}), ":2: missing captions, width, height, sha"),
        (json.dumps({**GOOD, "image_id": "b", "captions": "A"}), ":2: captions must be a list"),
        (json.dumps({**GOOD, "image_id": "b", "captions": []}), ":2: captions must be .* one"),
        (json.dumps({**GOOD, "image_id": 3}), ":2: image_id must be text, got 3"),
        (json.dumps({**GOOD, "image_id": "b", "width": 0}), ":2: width and height"),
        (json.dumps({**GOOD, "image_id": "b", "width": True}), ":2: width must be a whole"),
        (json.dumps({**GOOD, "image_id": "b", "split": "dev"}), ":2: split 'dev' is not one of"),
        (json.dumps(GOOD), ":2: image_id 'a' is on line 1"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, words):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({**GOOD, "extra": 1}) + "\n" + line + "\n")
    with pytest.raises(DataError, match=words):
        read_manifest(path)


def test_missing_empty_and_binary(tmp_path):
    path = tmp_path / "m.jsonl"
    with pytest.raises(DataError, match="manifest not found"):
        read_manifest(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="the manifest is empty"):
        read_manifest(path)
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match="not UTF-8 text at byte 0"):
        read_manifest(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("old")

    def parts():
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_text_atomic(path, parts())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["m.jsonl"]
    (tmp_path / "file").touch()
    with pytest.raises(PairlightError, match="could not be written"):
        write_text_atomic(tmp_path / "file" / "m.jsonl", ["x"])


def test_the_split_to_measure(sample_manifest, copy_of_manifest):
    assert read_split(sample_manifest, None)[1] == "test"
    assert [len(read_split(sample_manifest, name)[0]) for name in ("val", "all")] == [7, 35]
    no_test = copy_of_manifest(
        lambda photo: dataclasses.replace(photo, split="train" if photo.split == "train" else "val")
    )
    photos, split = read_split(no_test, None)
    assert split == "val" and {photo.split for photo in photos} == {"val"}
    with pytest.raises(DataError, match="test"):
        read_split(no_test, "test")
