"""Checks that prepare uses what is good, reports what is not and writes nothing half."""

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.data.prepare import prepare, report_path
from pairlight.errors import DataError


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def messy(tmp_path):
    """A data set with one of everything that goes wrong."""
    images = tmp_path / "images"
    for seed, name in enumerate(["a.jpg", "b.jpg", "lonely.jpg", "sub/c.png"]):
        picture(images / name, seed)
    (images / "twin.jpg").write_bytes((images / "a.jpg").read_bytes())
    (images / "cut.jpg").write_bytes((images / "a.jpg").read_bytes()[:700])
    (images / "zero.jpg").touch()
    lines = [
        "b.jpg#0\tTwo cats ,\tasleep .",
        'b.jpg#1\t"A sofa"',
        "a.jpg#0\tA dog 🐕 runs .",
        "a.jpg#1\t一只狗",
        "a.jpg#2\t . ",
        "a.jpg#3\tDog",
        "a.jpg#4\tDog",
        "c.png#0\tGrass",
        "twin.jpg#0\tA dog again",
        "cut.jpg#0\tHalf a dog",
        "zero.jpg#0\tNo dog",
        "gone.jpg#0\tA ghost",
        "gone.jpg#1\tA ghost twice",
        "a.jpg.1#0\tA strange name",
        "../../x.jpg#0\tOut of bounds",
        "a line that is no caption",
    ]
    captions = tmp_path / "captions.txt"
    captions.write_text("\n".join(lines), encoding="utf-8")
    return images, captions, tmp_path / "out" / "manifest.jsonl"


def test_messy(messy):
    report = prepare(*messy)
    photos = read_manifest(messy[2])
    assert [photo.image_id for photo in photos] == ["a", "b", "c", "twin"]
    assert photos[0].captions == ("A dog 🐕 runs.", "一只狗", "Dog", "Dog")
    assert photos[1].captions == ("Two cats, asleep.", "A sofa")
    assert photos[2].image == messy[0] / "sub" / "c.png"
    assert (photos[0].width, photos[0].height) == (40, 30)
    assert photos[0].sha256 == photos[3].sha256 != photos[1].sha256
    counts = {kind: found.count for kind, found in report.findings.items()}
    assert counts == {
        "bad_entries": 1,
        "absent_images": 2,
        "outside_images": 1,
        "images_without_captions": 1,
        "empty_captions": 1,
        "one_word_captions": 3,
        "repeated_captions": 1,
        "unreadable_images": 2,
        "identical_images": 1,
    }
    assert {kind: found.count for kind, found in report.changes.items()} == {
        "spaces": 1,
        "punctuation": 2,
        "quotes": 1,
    }
    told = report.to_json()
    assert told["images"] == {"found": 7, "used": 4, "unreadable": 2, "without_captions": 1}
    assert told["captions"]["read"] == 15 and told["captions"]["used"] == 8
    assert json.loads(report_path(messy[2]).read_text(encoding="utf-8")) == told
    ghost = told["findings"]["absent_images"]["examples"][0]
    assert ghost == {"image": "gone.jpg", "captions": 2}
    assert "2 unreadable images" in report.summary()


def test_keep_text(messy):
    report = prepare(*messy, keep_text=True)
    photos = {photo.image_id: photo for photo in read_manifest(messy[2])}
    assert photos["b"].captions == ("Two cats ,\tasleep .", '"A sofa"')
    assert report.captions_changed == 0 and report.changes == {}


def test_the_same_input_gives_the_same_bytes(messy, tmp_path):
    prepare(*messy, workers=1)
    first = messy[2].read_bytes()
    lines = messy[1].read_text(encoding="utf-8").split("\n")
    shuffled = sorted(lines, key=lambda line: line.split("#")[0], reverse=True)
    messy[1].write_text("\n".join(shuffled), encoding="utf-8")
    prepare(*messy, workers=4)
    assert messy[2].read_bytes() == first


def test_nothing_usable_writes_nothing(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 0)
    captions = tmp_path / "c.csv"
    captions.write_text("image,caption\nother.jpg,A dog\n")
    out = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match="no caption fits an image .* 1 absent images") as caught:
        prepare(tmp_path / "images", captions, out)
    assert "\n" not in str(caught.value) and not out.exists()


def test_out_is_checked_first(messy, tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        prepare(messy[0], messy[1], tmp_path)
    with pytest.raises(DataError, match="is the captions file itself"):
        prepare(messy[0], messy[1], messy[1])
    with pytest.raises(DataError, match="captions file not found"):
        prepare(messy[0], tmp_path / "no.txt", messy[2])


def test_ids_stay_unique_and_splits_are_kept(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 0)
    picture(tmp_path / "images" / "a.png", 1)
    captions = tmp_path / "c.csv"
    captions.write_text("image,caption,split\na.jpg,A dog runs,train\na.png,A cat sits,dev\n")
    report = prepare(tmp_path / "images", captions, tmp_path / "m.jsonl")
    photos = read_manifest(tmp_path / "m.jsonl")
    assert [(photo.image_id, photo.split) for photo in photos] == [("a", "train"), ("a.png", "val")]
    assert report.count("renamed_ids") == 1 and report.splits == {"train": 1, "val": 1}


@pytest.mark.flickr8k
@pytest.mark.skipif(
    not os.environ.get("PAIRLIGHT_FLICKR8K"), reason="PAIRLIGHT_FLICKR8K names no folder"
)
def test_flickr8k(tmp_path):
    root = os.environ["PAIRLIGHT_FLICKR8K"]
    out = tmp_path / "m.jsonl"
    report = prepare(f"{root}/images", f"{root}/Flickr8k.token.txt", out)
    assert report.format == "flickr8k"
    assert report.images_used == report.images_found == 7000
    assert report.captions_used == 35000
    twins = ["2851198725_37b6027625", "3050606344_af711c726c"]
    assert report.findings["identical_images"].examples == [twins]


def test_clashing_ids_are_all_told_apart(tmp_path):
    """`C.jpg` wants the id `x`, which is taken; its own path is the id of a third image."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (8, 8)).save(images / name)
    captions = tmp_path / "captions.jsonl"
    ids = {"a.jpg": "c.jpg", "b.jpg": "x", "c.jpg": "x"}
    lines = [json.dumps({"image": k, "image_id": v, "caption": "A dog."}) for k, v in ids.items()]
    captions.write_text("\n".join(lines))
    report = prepare(images, captions, tmp_path / "m.jsonl")
    assert report.count("renamed_ids") == 1
    photos = read_manifest(tmp_path / "m.jsonl")
    assert len({photo.image_id for photo in photos}) == 3


def test_preparing_again_says_that_splits_are_gone(tmp_path):
    picture(tmp_path / "images" / "a.jpg", 0)
    (tmp_path / "c.csv").write_text("image,caption\na.jpg,A dog.\n")
    arguments = tmp_path / "images", tmp_path / "c.csv", tmp_path / "m.jsonl"
    assert prepare(*arguments).count("lost_splits") == 0
    photos = read_manifest(tmp_path / "m.jsonl")
    write_manifest(tmp_path / "m.jsonl", [dataclasses.replace(photos[0], split="train")])
    report = prepare(*arguments)
    assert report.count("lost_splits") == 1 and "run split again" in report.summary()
