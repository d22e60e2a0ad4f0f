"""Tests what the report holds: all that the page shows, nothing of the machine, in few bytes."""

import base64
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pairlight.errors import DataError
from pairlight.plots import projection
from pairlight.plots.study import make_study
from pairlight.report import content
from pairlight.report.content import choose, page_data
from pairlight.report.thumbnails import SMALL, thumbnail
from pairlight.types import Embeddings

MEGABYTE = 1e6


def data_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_the_page_holds_every_photo_caption_and_failure(report_of, sample_embeddings, toy):
    path = report_of(sample_embeddings)
    data = data_of(path)
    assert tuple(data["photos"]["name"]) == sample_embeddings.image_ids
    assert tuple(data["captions"]["text"]) == sample_embeddings.captions
    assert data["captions"]["photo"] == sample_embeddings.owner.tolist()
    assert all(data["photos"]["thumb"]) and None not in data["photos"]["x"]
    study = make_study(toy, sample_embeddings, ["a dog"])
    assert data["totals"]["i2t"] == [int((study.i2t > 1).sum()), 35]
    assert data["totals"]["t2i"] == [int((study.t2i > 1).sum()), 175]
    for way, ranks in (("i2t", study.i2t), ("t2i", study.t2i)):
        listed = data["failures"][way]
        assert 0 < len(listed) < len(ranks)
        assert [each[1] for each in listed] == sorted((r for r in ranks if r > 1), reverse=True)
        assert all(each[1] == ranks[each[0]] for each in listed)
    assert report_of.notes == []


def test_places_are_whole_numbers_on_one_square(sample_embeddings, toy):
    study = make_study(toy, sample_embeddings, [])
    chosen = choose(study)
    data = page_data(study, chosen, [None] * 35)
    places = [data[kind][axis] for kind in ("photos", "captions") for axis in "xy"]
    flat = [value for each in places for value in each]
    assert all(isinstance(value, int) and 0 <= value <= content.GRID for value in flat)
    assert max(flat) == content.GRID and min(flat) == 0
    # Distances keep their proportions; the page's y runs downwards.
    plane = study.layout.images
    x, y = np.array(data["photos"]["x"]), np.array(data["photos"]["y"])
    wanted = (plane[1] - plane[0]) / (plane[2] - plane[0])
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(wanted[0], rel=0.05)
    assert np.sign(y[1] - y[0]) == -np.sign(plane[1, 1] - plane[0, 1])


def test_of_too_many_photos_a_sample_and_the_worst(sample_embeddings, toy, monkeypatch):
    monkeypatch.setattr(projection, "MOST", 8)
    monkeypatch.setattr(content, "MOST_FAILURES", 4)
    study = make_study(toy, sample_embeddings, [])
    chosen = choose(study)
    assert len(chosen.i2t) <= 4 and len(chosen.t2i) == 4
    assert 8 <= len(chosen.images) < 35
    data = page_data(study, chosen, [None] * len(chosen.images))
    on_map = [name for name, x in zip(data["photos"]["name"], data["photos"]["x"], strict=True)
              if x is not None]  # fmt: skip
    assert len(on_map) == 8
    worst = data["failures"]["t2i"][0]
    row = chosen.t2i[0]
    assert data["captions"]["text"][worst[0]] == sample_embeddings.captions[row.query]
    names = [data["photos"]["name"][at] for at in worst[4]]
    assert names == [sample_embeddings.image_ids[at] for at in row.found]


def test_small_enough_for_a_thousand_photos(report_of, sample_embeddings):
    """Measured on the sample, and reckoned for 1,000 photos with 5,000 captions."""
    path = report_of(sample_embeddings, queries=("a", "b", "c", "d"))
    data = data_of(path)
    pictures = sum(map(len, data["photos"]["thumb"]))
    rest = len(json.dumps(data, ensure_ascii=False).encode()) - pictures
    fixed = path.stat().st_size - pictures - rest
    whole = fixed + (pictures + rest) * 1000 / 35
    assert whole < 15 * MEGABYTE
    assert pictures / 35 * 1000 > 1 * MEGABYTE  # there are pictures


def test_nothing_of_the_machine_is_told(report_of, sample_embeddings):
    text = report_of(sample_embeddings).read_text(encoding="utf-8")
    for path in {str(sample_embeddings.paths[0].parent), str(Path.home()), "dir/best"}:
        assert path not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_thumbnails_carry_no_metadata(tmp_path):
    path = tmp_path / "place.jpg"
    exif = Image.Exif()
    exif[0x010E] = "at home"  # the description
    Image.effect_noise((600, 300), 80).convert("RGB").save(path, exif=exif, comment=b"secret")
    content = base64.b64decode(thumbnail(path))
    assert b"at home" not in content and b"secret" not in content and b"Exif" not in content
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (SMALL, SMALL // 2)
    path.write_bytes(b"no photo")
    assert thumbnail(path) is None


def test_photos_that_are_gone_are_said_and_the_rest_is_there(
    report_of, sample_embeddings, tmp_path
):
    paths = (tmp_path / "gone.jpg", *sample_embeddings.paths[1:])
    data = data_of(report_of(dataclasses.replace(sample_embeddings, paths=paths)))
    assert data["photos"]["thumb"][0] is None and all(data["photos"]["thumb"][1:])
    assert report_of.notes == ["1 photo could not be read for the report; a grey box stands for it"]


@pytest.mark.parametrize(("images", "captions"), [(1, 1), (1, 3), (2, 2), (5, 3)])
def test_next_to_nothing_is_reported(report_of, sample_embeddings, images, captions):
    owner = np.minimum(np.arange(captions), images - 1)
    few = Embeddings(
        sample_embeddings.images[:images],
        sample_embeddings.texts[:captions],
        owner,
        sample_embeddings.image_ids[:images],
        sample_embeddings.captions[:captions],
        sample_embeddings.paths[:images],
    )
    path = report_of(few, history=[], words="none")
    text = path.read_text(encoding="utf-8")
    shown = re.sub(r"base64,[^\"]*", "", text.split('id="data"')[0])
    assert "one image is" in shown and not re.search(r"\b(nan|None|inf)\b", shown)
    if captions < images:
        assert f"{images - captions} photos have no caption" in text


def test_a_perfect_model_has_no_failures(report_of, sample_embeddings):
    owner = np.arange(35)
    perfect = dataclasses.replace(
        sample_embeddings,
        texts=sample_embeddings.images.copy(),
        owner=owner,
        captions=tuple(f"caption {n}" for n in owner),
    )
    data = data_of(report_of(perfect))
    assert data["failures"] == {"i2t": [], "t2i": []}
    assert data["totals"] == {"i2t": [0, 35], "t2i": [0, 35]}


def test_nan_is_an_error_and_leaves_the_old_report(report_of, sample_embeddings):
    path = report_of(sample_embeddings)
    before = path.read_bytes()
    broken = dataclasses.replace(sample_embeddings, images=sample_embeddings.images.copy())
    broken.images[3, 2] = np.nan
    with pytest.raises(DataError, match="NaN"):
        report_of(broken)
    assert path.read_bytes() == before


def test_the_seed_decides(report_of, sample_embeddings, monkeypatch):
    monkeypatch.setattr(projection, "MOST", 8)  # so that it has something to choose
    one, same, other = (
        data_of(report_of(sample_embeddings, seed=seed))["photos"] for seed in (0, 0, 1)
    )
    assert one["x"] == same["x"] and one["name"] == same["name"]
    assert one["x"] != other["x"]


def test_scores_curves_and_breakdowns_are_written(report_of, sample_embeddings):
    recalls = {"R@1": 1.0, "R@5": 2.0, "R@10": 3.0}
    val = {"rsum": 12.0, "loss": None, "i2t": recalls, "t2i": recalls}
    record = {"loss": 2.0, "lr": {"heads": 1e-3}, "logit_scale": 14.0, "stage": "<h>", "val": val}
    history = [record, {**record, "val": None, "loss": None}, {**record, "stage": "fine"}]
    path = report_of(sample_embeddings, history=history, words="from <there>")
    text = path.read_text("utf-8")
    for words in (
        *("95 % interval", "guessing", "ties count against", "Temperature", "from &lt;there&gt;"),
        *("By length of the caption", "Photos found most often", "Cosine similarity of pairs"),
        *("best &lt;&amp;&gt; model.pth", "“a dog &lt;b&gt;”", "toy &lt;b&gt;", "What stands out"),
    ):
        assert words in text, words
    assert "<h>" not in text and "dir/best" not in text
