"""Tests that the bundled sample is whole, unchanged and named in its licence list."""

import hashlib
import json

from PIL import Image

from pairlight.sample import sample_dir

RECORDS = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
# Of all photos, in order of name: a change of photos and of captions.json alike shows here.
TOGETHER = "7c3b140cf80ca92930b68c355e8003ec84e94313798c083fffb4c789cf9e64a2"


def test_the_sample_has_35_photos_with_five_captions_each():
    files = {path.name for path in (sample_dir() / "images").iterdir()}
    assert files == {record["file_name"] for record in RECORDS}
    assert len(RECORDS) == 35
    assert [len(record["captions"]) for record in RECORDS] == [5] * 35
    assert all(text.strip() for record in RECORDS for text in record["captions"])


def test_photos_are_unchanged():
    together = hashlib.sha256()
    for record in sorted(RECORDS, key=lambda record: record["file_name"]):
        content = (sample_dir() / "images" / record["file_name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == record["sha256"], record["file_name"]
        together.update(content)
    assert together.hexdigest() == TOGETHER


def test_photos_decode_at_the_size_recorded():
    for record in RECORDS:
        with Image.open(sample_dir() / "images" / record["file_name"]) as image:
            image.load()
            assert image.size == (record["width"], record["height"])


def test_every_photo_is_named_with_its_licence_and_source():
    text = (sample_dir() / "LICENSES.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert len(rows) == 35
    for record in RECORDS:
        row = rows[record["file_name"]]
        assert "creativecommons.org/licenses/by/2.0" in record["license_url"]
        for key in ("license_url", "flickr_photo_page", "flickr_url", "coco_url"):
            assert record[key] in row, (record["file_name"], key)
