"""One problem is planted at a time and found; clean photos give no finding."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from pairlight.data.manifest import read_manifest
from pairlight.doctor.findings import KINDS
from pairlight.errors import DataError


def only(checkup, kind):
    """The one finding there is, which is of `kind`."""
    assert list(checkup.findings) == [kind]
    (item,) = checkup.found(kind)
    return item


def test_clean_photos_have_no_finding(ward):
    found = ward.check()
    assert found.findings == {} and found.photos == 35
    assert found.splits == {"train": 21, "val": 7, "test": 7}


def test_a_vanished_file(ward):
    ward.photos[3].image.unlink()
    item = only(ward.check(), "vanished")
    assert item["image_id"] == ward.photos[3].image_id and "not found" in item["problem"]


def test_all_files_vanished(ward):
    for photo in ward.photos:
        photo.image.unlink()
    with pytest.raises(DataError, match="none of its 35 images is there"):
        ward.check()


def test_a_truncated_file(ward):
    path = ward.photos[0].image
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    item = only(ward.check(), "unreadable")
    assert "truncated" in item["problem"]


def test_a_jpeg_damaged_in_the_middle(ward):
    """It still decodes, to a picture with stripes; only its bytes tell."""
    path = ward.photos[0].image
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(content))
    item = only(ward.check(), "changed")
    assert "sha256" in item["problem"] and item["image_id"] == ward.photos[0].image_id


def test_a_size_that_is_not_the_manifests(ward):
    ward.photos[2] = replace(ward.photos[2], width=ward.photos[2].width + 1)
    assert "pixels, not" in only(ward.check(), "changed")["problem"]


def copy(ward, how):
    """Write a copy of the first photo, alike in the way `how` says; return its name."""
    source = ward.photos[0].image
    with Image.open(source, formats=["JPEG"]) as image:
        image.load()
    target = ward.folder / "images" / f"copy_{how}.jpg"
    if how == "bytes":
        target.write_bytes(source.read_bytes())
    elif how == "pixels":
        image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(target, quality=70)
    else:
        ImageOps.mirror(image).save(target, quality=80)
    return target.name


@pytest.mark.parametrize("how", ["bytes", "pixels", "mirrored"])
@pytest.mark.parametrize("across", [False, True])
def test_one_picture_twice(ward, how, across):
    own = ward.photos[0].split
    other = "test" if own != "test" else "train"
    ward.add(copy(ward, how), other if across else own)
    item = only(ward.check(), "leak" if across else "duplicate")
    assert item["how"] == how
    assert item["image_ids"] == [ward.photos[0].image_id, f"copy_{how}.jpg"]
    assert item["splits"] == [own, other if across else own]


def test_a_picture_without_a_split_leaks_nothing(ward):
    ward.add(copy(ward, "bytes"), None)
    assert only(ward.check(), "duplicate")["how"] == "bytes"


def test_three_alike_in_different_ways_are_one_group(ward):
    for how in ("bytes", "pixels", "mirrored"):
        ward.add(copy(ward, how), ward.photos[0].split)
    item = only(ward.check(), "duplicate")
    assert len(item["image_ids"]) == 4 and item["how"] == "mirrored"


def test_captions(ward):
    ward.caption(0, "dogs", "a grey cat sleeps on a chair.", "A grey cat sleeps on a chair")
    for row in (1, 2, 3):
        ward.caption(row, "a view of the sea from far above")
    ward.caption(4, "Ein Hund läuft mit einem Ball über die Wiese.")
    ward.caption(5, "一只狗在草地上奔跑")
    found = ward.check()
    assert set(found.findings) == {
        "empty_caption", "repeated_caption", "shared_caption", "other_language",
    }  # fmt: skip
    assert found.found("empty_caption")[0]["caption"] == "dogs"
    assert found.found("repeated_caption")[0]["times"] == 2
    assert found.found("shared_caption")[0]["photos"] == 3
    assert [each["language"] for each in found.found("other_language")] == ["German", "Chinese"]


def paint(ward, name, size, grey, noise=0):
    rng = np.random.default_rng(0)
    pixels = rng.integers(-noise, noise + 1, (size[1], size[0], 3)) + grey
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(ward.folder / "images" / name)
    ward.add(name, "train")


def test_outliers(ward):
    paint(ward, "dark.png", (600, 450), 3, 3)
    paint(ward, "blank.png", (600, 450), 120)
    paint(ward, "thumb.png", (60, 45), 120, 120)
    paint(ward, "long.png", (2000, 140), 120, 120)
    found = ward.check()
    names = {kind: [item["image_id"] for item in found.found(kind)] for kind in found.findings}
    assert names["brightness"] == ["dark.png"]
    assert {"dark.png", "blank.png"} <= set(names["contrast"])
    assert names["resolution"] == ["thumb.png"] and names["aspect"] == ["long.png"]


def test_the_report_survives_json_and_names_every_kind(ward):
    ward.photos[0].image.unlink()
    told = ward.check().to_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told["findings"]) == set(KINDS)
    assert told["findings"]["vanished"]["count"] == 1
    assert told["findings"]["leak"] == {"count": 0, **KINDS["leak"]._asdict(), "items": []}


def test_the_contact_sheet_shows_photos_of_all_kinds(ward):
    ward.add(copy(ward, "bytes"), "test" if ward.photos[0].split != "test" else "train")
    ward.photos[9].image.write_bytes(b"no image")
    ward.caption(5, "一只狗在草地上奔跑 " * 20)
    found = ward.check()
    (sheet,) = found.files
    with Image.open(sheet, formats=["PNG"]) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 1280 and pixels.shape[0] > 700
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 2000  # photos, not boxes alone


def test_a_mended_manifest(ward):
    split = ward.photos[0].split
    other = "test" if split != "test" else "val"
    ward.add(copy(ward, "bytes"), other)
    ward.add(copy(ward, "pixels"), other)
    ward.photos[7].image.unlink()
    ward.caption(8, "...", "a real caption of it")
    ward.caption(9, "...")
    before = ward.write().read_bytes()
    target = ward.folder / "below" / "mended.jsonl"
    found = ward.check(fix=target)
    assert ward.manifest.read_bytes() == before
    moved = 2 - (split == "train")
    assert found.fixed == {
        "dropped_photos": 2, "dropped_captions": 1, "moved_to_train": moved, "photos": 35,
    }  # fmt: skip
    mended = {photo.image_id: photo for photo in read_manifest(target)}
    gone = {ward.photos[7].image_id, ward.photos[9].image_id}
    assert set(mended) == {photo.image_id for photo in ward.photos} - gone
    assert mended[ward.photos[0].image_id].split == "train"
    assert mended["copy_bytes.jpg"].split == "train"
    assert mended["copy_pixels.jpg"].split == other  # likeness is no certainty
    assert mended[ward.photos[8].image_id].captions == ("a real caption of it",)
    assert all(photo.image.is_file() for photo in mended.values())
    with pytest.raises(DataError, match="exists already"):
        ward.check(fix=target)


def test_the_manifest_itself_is_never_mended_in_place(ward):
    ward.write()
    with pytest.raises(DataError, match="never changed"):
        ward.check(fix=ward.manifest)


@pytest.mark.flickr8k
@pytest.mark.slow
def test_the_known_twins_of_flickr8k(flickr8k, tmp_path):
    from pairlight.data.prepare import prepare
    from pairlight.doctor.run import Options, check_up

    manifest = tmp_path / "flickr8k.jsonl"
    prepare(flickr8k / "images", flickr8k / "Flickr8k.token.txt", manifest)
    found = check_up(manifest, Options(model="none", out=tmp_path))
    pairs = [item["image_ids"] for item in found.found("duplicate") if item["how"] == "bytes"]
    assert ["2851198725_37b6027625", "3050606344_af711c726c"] in pairs


def test_mirror_images_must_agree_in_grey_as_well():
    """Flat pictures have few edges, and their hashes agree by chance."""
    from pairlight.doctor.inspect import Look
    from pairlight.doctor.twins import find_twins

    step = np.add.outer(np.zeros(8), np.arange(9))
    one = (100 + step).astype(np.uint8)
    dark = one[:, ::-1] - 60
    looks = [Look(sha256=str(n), tiny=tiny) for n, tiny in enumerate([one, dark, one[:, ::-1]])]
    assert [(each.rows, each.how) for each in find_twins(looks)] == [((0, 2), "mirrored")]
