"""Checks hubs against loops with sorted scores, planted hubs, and ties."""

import numpy as np
import pytest
from invented import invent, unit
from scipy.stats import skew

from pairlight.metrics.hubness import caption_numbers, first_places, hubness
from pairlight.types import Embeddings


def slow_first_places(queries, gallery, k):
    counts = [0] * len(gallery)
    for query in queries.astype(float):
        order = sorted(range(len(gallery)), key=lambda g: -float(query @ gallery[g]))  # noqa: B023
        for place in order[:k]:
            counts[place] += 1
    return counts


@pytest.mark.parametrize("k", [1, 3, 10, 39, 40, 50])
def test_equals_the_slow_twin(k):
    e = invent(n=40, noise=1.5)
    assert first_places(e.texts, e.images, k).tolist() == slow_first_places(e.texts, e.images, k)
    assert first_places(e.images, e.texts, k).tolist() == slow_first_places(e.images, e.texts, k)


def test_summary_equals_the_slow_twin():
    e = invent(n=60, each=np.arange(60) % 3 * 4, noise=1.5)
    found = hubness(e)
    for side, counts in (
        ("images", slow_first_places(e.texts, e.images, 10)),
        ("captions", slow_first_places(e.images, e.texts, 10)),
    ):
        assert found[side]["skew"] == pytest.approx(skew(counts))
        assert found[side]["max"] == max(counts)
        assert found[side]["never"] == pytest.approx(counts.count(0) / len(counts))
        best = sorted(range(len(counts)), key=lambda row: -counts[row])[:5]
        assert [each["count"] for each in found[side]["top"]] == [counts[row] for row in best]
        assert all(type(each["count"]) is int for each in found[side]["top"])
    assert found["k"] == 10 and found["captions"]["never"] > 0


def test_a_planted_hub_is_found():
    e = invent(n=80, each=2, d=64, noise=0.3)
    images, texts = e.images.copy(), e.texts.copy()
    centre = np.ones(64) / 8
    images[7], texts[31] = centre, centre  # what lies in the middle is near to everything
    texts = unit(texts + 0.5 * centre)
    images = unit(images + 0.5 * centre)
    found = hubness(Embeddings(images, texts, e.owner, e.image_ids, e.captions))
    assert found["images"]["top"][0] == {"id": "photo 7", "count": found["images"]["max"]}
    assert found["images"]["max"] > 100 and found["images"]["skew"] > 3
    top = found["captions"]["top"][0]
    assert top["id"] == "photo 15#1" and top["caption"] == "caption 31 of 15"


def test_ties_share_the_last_places():
    row = np.eye(4, dtype=np.float32)[:1]
    everything = hubness(Embeddings(row.repeat(30, 0), row.repeat(60, 0), np.arange(60) // 2))
    assert everything["images"]["skew"] is None and everything["images"]["never"] == 0
    assert everything["images"]["max"] == 20  # 60 captions x 10 places over 30 images
    gallery = np.eye(4, dtype=np.float32)[[0, 1, 1, 1]]
    assert first_places(gallery[:1], gallery, 2) == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    fractions = hubness(Embeddings(gallery, gallery[:1], np.array([0])), k=2)
    assert fractions["images"]["max"] == 1
    assert fractions["images"]["top"][1]["count"] == pytest.approx(1 / 3, abs=1e-6)


def test_blocks_do_not_change_a_count(monkeypatch):
    import pairlight.metrics.hubness as module

    e = invent(n=33, noise=1.5)
    whole = hubness(e)
    monkeypatch.setattr(module, "BLOCK", 70)
    assert hubness(e) == whole


def test_captions_are_numbered_within_their_image():
    assert caption_numbers(np.array([2, 0, 2, 1, 2, 0])).tolist() == [0, 0, 1, 0, 2, 1]


def test_fewer_than_ten_and_no_names():
    found = hubness(invent(n=1, each=1, named=False))
    assert found["images"] == {"skew": None, "max": 1, "never": 0, "top": [{"id": "0", "count": 1}]}
    assert found["captions"]["top"] == [{"id": "0#0", "count": 1, "caption": None}]
