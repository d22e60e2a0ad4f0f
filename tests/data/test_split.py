"""Checks that splits go by image, keep duplicates together and depend on the seed alone."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from pairlight.data.duplicates import difference_hash, group_duplicates, near_pairs
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.data.split import parse_ratios, ratio_splits, split_manifest
from pairlight.errors import DataError
from pairlight.types import SPLITS, Photo


def scene(seed, size=(120, 90)):
    """A picture with structure: a few coloured blobs, blown up."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC)


def make(folder, count, captions=2):
    photos = []
    for seed in range(count):
        path = folder / f"p{seed:03}.jpg"
        scene(seed).save(path)
        texts = tuple(f"Caption {n} of {seed}" for n in range(captions))
        photos.append(Photo(path.stem, path, texts, 120, 90, f"{seed:064}"))
    write_manifest(folder / "m.jsonl", photos)
    return photos


def test_ratios_counts_and_unknown_keys(tmp_path):
    make(tmp_path, 20)
    path = tmp_path / "m.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "author": "me"}) + "\n" for line in lines))
    report = split_manifest(path, seed=1)
    assert report.images == {"train": 16, "val": 2, "test": 2}
    assert report.captions == {"train": 32, "val": 4, "test": 4}
    after = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["image_id"] for line in after] == [line["image_id"] for line in lines]
    assert all(line["author"] == "me" and line["split"] in SPLITS for line in after)
    assert json.loads(json.dumps(report.to_json()))["splits"]["val"] == {
        "images": 2,
        "captions": 4,
    }


def test_out_elsewhere_leaves_the_input(tmp_path):
    photos = make(tmp_path, 5)
    before = (tmp_path / "m.jsonl").read_bytes()
    out = tmp_path / "other" / "split.jsonl"
    split_manifest(tmp_path / "m.jsonl", out=out)
    assert (tmp_path / "m.jsonl").read_bytes() == before
    assert [photo.image for photo in read_manifest(out)] == [photo.image for photo in photos]


def test_no_test_images(tmp_path):
    make(tmp_path, 10, captions=1)
    report = split_manifest(tmp_path / "m.jsonl", ratios=(0.8, 0.2, 0))
    assert report.images == {"train": 8, "val": 2, "test": 0}
    with pytest.raises(DataError, match=r"no images in split 'test'; there are train \(8\), val"):
        read_manifest(tmp_path / "m.jsonl", "test")


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40),
    cuts=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_caption_never_crosses(count, cuts, seed, data):
    """Groups stay whole, and the order of the images has no influence."""
    low, high = sorted(cuts)
    ratios = (low / 10, (high - low) / 10, 1 - high / 10)
    ids = [f"image{n}" for n in range(count)]
    label = data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    groups = [[n for n in range(count) if label[n] == k] for k in range(8)]
    groups = [group for group in groups if len(group) > 1]
    splits = ratio_splits(ids, groups, ratios, np.random.default_rng(seed))
    assert len(splits) == count
    for group in groups:
        assert len({splits[place] for place in group}) == 1
    for name, ratio in zip(SPLITS, ratios, strict=True):
        if ratio == 0:
            assert name not in splits
    turned = [ids[-1 - n] for n in range(count)]
    mirrored = [[count - 1 - place for place in group] for group in groups]
    again = ratio_splits(turned, mirrored, ratios, np.random.default_rng(seed))
    assert dict(zip(turned, again, strict=True)) == dict(zip(ids, splits, strict=True))


def test_seeds_differ():
    ids = [str(n) for n in range(100)]
    one, other = (ratio_splits(ids, [], (0.8, 0.1, 0.1), np.random.default_rng(s)) for s in (0, 1))
    assert one != other and one.count("test") == other.count("test") == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.8,0.2", "three are needed"),
        ("0.8,0.1,0.2", "sum to 1.1, not 1"),
        ("1.2,-0.1,-0.1", "from 0 to 1"),
        ("nan,0.5,0.5", "from 0 to 1"),
        ("a,b,c", "write three numbers"),
    ],
)
def test_bad_ratios(text, words):
    with pytest.raises(DataError, match=words):
        parse_ratios(text)


def test_near_duplicates_are_found_and_move_together(tmp_path):
    photos = make(tmp_path, 12, captions=1)
    original = Image.open(photos[3].image)
    copies = {
        "recoded": lambda image, path: image.save(path, quality=40),
        "smaller": lambda image, path: image.resize((60, 45)).save(path),
        "brighter": lambda image, path: ImageEnhance.Brightness(image).enhance(1.1).save(path),
    }
    for name, edit in copies.items():
        edit(original, tmp_path / f"{name}.jpg")
        photos.append(Photo(name, tmp_path / f"{name}.jpg", ("x",), 1, 1, name))
    photos.append(Photo("twin", photos[0].image, ("x",), 120, 90, photos[0].sha256))
    photos.append(Photo("lost", tmp_path / "lost.jpg", ("x",), 120, 90, "lost"))
    groups, problems = group_duplicates(photos)
    names = [[photos[place].image_id for place in group] for group in groups]
    assert names == [["p000", "twin"], ["p003", "recoded", "smaller", "brighter"]]
    assert len(problems) == 1 and "lost.jpg" in problems[0]
    assert group_duplicates(photos, near=False) == ([[0, 15]], [])
    write_manifest(tmp_path / "m.jsonl", photos)
    for seed in range(5):
        report = split_manifest(tmp_path / "m.jsonl", ratios=(0.4, 0.3, 0.3), seed=seed)
        split = {photo.image_id: photo.split for photo in read_manifest(tmp_path / "m.jsonl")}
        assert split["p000"] == split["twin"]
        assert len({split[name] for name in ("p003", *copies)}) == 1
        assert report.crossing == []


def test_near_pairs_equal_the_slow_twin():
    rng = np.random.default_rng(0)
    greys = rng.integers(100, 140, (60, 8, 9), dtype=np.uint8)
    greys[30:] = greys[:30]
    greys[30:, 0, :4] += rng.integers(0, 30, (30, 4), dtype=np.uint8)
    hashes = [int(value) for value in difference_hash(greys)]
    slow = {
        (a, b)
        for a in range(60)
        for b in range(a + 1, 60)
        if (hashes[a] ^ hashes[b]).bit_count() <= 4
    }
    assert set(near_pairs(greys)) == slow and len(slow) >= 20


def test_blank_pages_of_different_grey_are_not_one_picture():
    greys = np.stack([np.full((8, 9), value, np.uint8) for value in (0, 5, 200)])
    assert set(near_pairs(greys)) == {(0, 1)}


def lists(folder, **splits):
    for name, images in splits.items():
        text = "".join(f"{image}.jpg\n" for image in images)
        (folder / f"Flickr_8k.{name}Images.txt").write_text(text)


def test_official_lists(tmp_path):
    photos = make(tmp_path, 6)
    scene(0).save(photos[1].image)
    lists(tmp_path, train=["p000", "p002", "gone"], dev=["p001"])
    report = split_manifest(tmp_path / "m.jsonl", official=tmp_path)
    assert report.images == {"train": 2, "val": 1, "test": 0}
    assert report.unassigned == ["p003", "p004", "p005"]
    assert report.missing_lists == ["Flickr_8k.testImages.txt"]
    assert report.unknown_names == ["gone.jpg"]
    assert report.crossing == [["p000", "p001"]]
    assert "across splits" in report.summary()
    assert [photo.split for photo in read_manifest(tmp_path / "m.jsonl")] == [
        "train",
        "val",
        "train",
        None,
        None,
        None,
    ]
    lists(tmp_path, test=["p005"])
    again = split_manifest(tmp_path / "m.jsonl", official=tmp_path)
    assert again.images["test"] == 1 and again.replaced == 0


def in_folders(folder, *names, ids=None):
    """A manifest of photos in folders, with the ids that `prepare` gives or those named."""
    photos = []
    for seed, name in enumerate(names):
        path = folder / "loc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(seed).save(path)
        image_id = ids[seed] if ids else name.rsplit(".", 1)[0]
        photos.append(Photo(image_id, path, ("A dog",), 120, 90, f"{seed:064}"))
    write_manifest(folder / "m.jsonl", photos)


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ("a/1.jpg", "b/1.jpg", "train test -"),
        ("a/1", "b\\1.JPG", "train test -"),
        ("loc/a/1.jpg", "./b/1", "train test -"),
        ("images/a/1.jpg", "elsewhere/2.jpg", "train - test"),
        ("a/1.jpg", "1.jpg", "train - -"),  # fits both: nobody guesses
        ("a/1.jpg", "c/1.jpg", "train - -"),
        ("c/2.jpg", "d/2.jpg", None),  # both would be the lone 2.jpg
        ("c/2.jpg", "2.jpg", "- - test"),
        ("c/2.jpg", "a/../2.jpg", "- - train"),
        ("2.png", "1.jpg", None),
    ],
)
def test_official_lists_may_name_folders(tmp_path, train, test, expected):
    in_folders(tmp_path, "a/1.jpg", "b/1.jpg", "2.jpg")
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    if expected is None:
        with pytest.raises(DataError, match="none of the 2 listed images is in the manifest"):
            split_manifest(tmp_path / "m.jsonl", official=tmp_path)
        return
    report = split_manifest(tmp_path / "m.jsonl", official=tmp_path)
    after = read_manifest(tmp_path / "m.jsonl")
    assert " ".join(photo.split or "-" for photo in after) == expected
    assert len(report.unknown_names) == 2 - sum(photo.split is not None for photo in after)


def test_official_lists_prefer_the_whole_path_and_know_ids(tmp_path):
    in_folders(tmp_path, "1.jpg", "a/1.jpg", "a/2.JPG", ids=["1", "a/1", "391"])
    (tmp_path / "train.txt").write_text("1.jpg\n391\n")
    (tmp_path / "val.txt").write_text("a/1.jpg\n")
    split_manifest(tmp_path / "m.jsonl", official=tmp_path)
    after = read_manifest(tmp_path / "m.jsonl")
    assert [photo.split for photo in after] == ["train", "val", "train"]
    (tmp_path / "test.txt").write_text("a/2.jpg\n")
    with pytest.raises(DataError, match="a/2.jpg is listed under two names, in two splits"):
        split_manifest(tmp_path / "m.jsonl", official=tmp_path)


def test_bad_official_lists(tmp_path):
    make(tmp_path, 3)
    path = tmp_path / "m.jsonl"
    with pytest.raises(DataError, match="no official lists here; looked for Flickr_8k.train"):
        split_manifest(path, official=tmp_path)
    with pytest.raises(DataError, match="folder of official lists not found"):
        split_manifest(path, official=tmp_path / "no")
    lists(tmp_path, train=["p000"], test=["p000"])
    with pytest.raises(DataError, match=r"p000\.jpg is in the train list as well"):
        split_manifest(path, official=tmp_path)
    lists(tmp_path, train=["q"], test=["r"])
    with pytest.raises(DataError, match="none of the 2 listed images is in the manifest"):
        split_manifest(path, official=tmp_path)
    assert [photo.split for photo in read_manifest(path)] == [None] * 3


@pytest.mark.flickr8k
@pytest.mark.skipif(
    not os.environ.get("PAIRLIGHT_FLICKR8K"), reason="PAIRLIGHT_FLICKR8K names no folder"
)
def test_flickr8k_splits(tmp_path):
    from pairlight.data.prepare import prepare

    root, out = os.environ["PAIRLIGHT_FLICKR8K"], tmp_path / "m.jsonl"
    prepare(f"{root}/images", f"{root}/Flickr8k.token.txt", out)
    report = split_manifest(out, official=root)
    assert report.images["train"] == 6000 and report.images["val"] == 1000
    assert ["2851198725_37b6027625", "3050606344_af711c726c"] in report.groups
    assert len(report.groups) < 20
    ratios = split_manifest(out, near_duplicates=False)
    assert ratios.images == {"train": 5600, "val": 700, "test": 700} and not ratios.crossing
