"""The released model's relevance: what is not there is seldom found, what is there is kept."""

import json
from pathlib import Path

import numpy as np
import pytest

import pairlight
from pairlight.runtime.word_vectors import encode_queries
from pairlight.sample import sample_dir
from pairlight.search.calibration import Calibration
from pairlight.search.matcher import spread_of
from pairlight.words import content_words, shown_words

LISTS = Path(__file__).parents[2] / "benchmarks"


def lines(name):
    text = (LISTS / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def model():
    return pairlight.load("pretrained")


@pytest.fixture(scope="module")
def sample(model):
    """The bundled photos' names and embeddings, and phrases and captions with their photos."""
    photos = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    names = [each["file_name"] for each in photos]
    phrases = [line.split("\t") for line in lines("present_concepts.tsv")]
    asked = {
        "phrases": [(text, [f"000000{end}.jpg" for end in e.split()]) for text, e in phrases],
        "captions": [(text, [each["file_name"]]) for each in photos for text in each["captions"]],
    }
    return names, model.encode_images([sample_dir() / "images" / name for name in names]), asked


def relevance(model, images, texts):
    """Relevance (m, n) of photos to texts, and scores (m, n)."""
    calibration = Calibration.of(model)
    scores = encode_queries(model, texts) @ images.T
    asked = zip(scores, texts, strict=True)
    found = [calibration.relevance(row, spread_of(row), text) for row, text in asked]
    return np.stack(found), scores


def test_what_is_not_there_is_seldom_found(model, sample):
    absent = lines("absent_concepts.txt")
    found, _ = relevance(model, sample[1], absent)
    assert len(absent) == 200
    assert (found.max(axis=1) >= Calibration.of(model).cutoff).mean() <= 0.05


@pytest.mark.parametrize("kind", ["phrases", "captions"])
def test_right_first_hits_are_kept(model, sample, kind):
    names, images, asked = sample
    found, scores = relevance(model, images, [text for text, _ in asked[kind]])
    first = scores.argmax(axis=1)
    right = np.array([names[at] in own for at, (_, own) in zip(first, asked[kind], strict=True)])
    kept = found[np.arange(len(first)), first] >= Calibration.of(model).cutoff
    assert right.mean() > 0.6 and kept[right].mean() >= 0.8


@pytest.mark.flickr8k
def test_what_many_photos_show_is_kept(model, flickr8k):
    names = (flickr8k / "Flickr_8k.devImages.txt").read_text(encoding="utf-8").split()[:400]
    images = model.encode_images([flickr8k / "images" / name for name in names])
    shown = {name: set() for name in names}
    for line in (flickr8k / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        at, caption = line.split("\t")
        if (name := at.split("#")[0]) in shown:
            shown[name] |= shown_words(caption)
    queries = [*lines("everyday_queries.txt"), "people", "a woman", "a man"]
    right = np.array([[content_words(text) <= shown[name] for name in names] for text in queries])
    found, _ = relevance(model, images, queries)
    kept = found >= Calibration.of(model).cutoff
    assert kept[right].mean() > 0.5 and right[kept].mean() > 0.5
    # By the fit on captions alone, one each of these was kept.
    for text in ("a dog", "people", "a woman", "a man"):
        row = queries.index(text)
        assert kept[row].sum() >= 10 and right[row][kept[row]].mean() > 0.5
