"""Checks the whole analysis: its keys, edge cases, broken embeddings, and its words."""

import json

import numpy as np
import pytest
from invented import invent, unit

from pairlight.errors import DataError
from pairlight.metrics.analysis import analyse, describe
from pairlight.metrics.report import evaluate_embeddings, format_report
from pairlight.metrics.retrieval import ranks
from pairlight.types import Embeddings

WORDS = ("dog", "cat", "red", "blue", "kite")


def told(n=150, **more):
    """Photos whose captions have words and lengths; captions of kites are noise."""
    rng = np.random.default_rng(3)
    e = invent(n=n, each=4, d=32, noise=1.2, named=False)
    captions = [
        f"a {WORDS[row % 5]}" + " and more of it" * (number % 3)
        for row in range(n)
        for number in range(4)
    ]
    texts = e.texts.copy()
    kites = [j for j, caption in enumerate(captions) if "kite" in caption]
    texts[kites] = unit(rng.normal(size=(len(kites), 32)))
    ids = tuple(f"{row}.jpg" for row in range(n))
    return Embeddings(e.images, texts, e.owner, ids, tuple(captions), **more)


def test_has_the_promised_keys_and_plain_values():
    found = analyse(told())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        "similarity",
        "hubness",
        "gap",
        "by_length",
        "by_category",
        "rank_histogram",
    ]
    scores = found["similarity"]
    assert set(scores) == {"edges", "positive", "negative", "overlap", "auc"}
    assert len(scores["edges"]) == 41 and len(scores["negative"]["counts"]) == 40
    assert set(found["hubness"]) == {"k", "images", "captions"}
    assert set(found["hubness"]["images"]) == {"skew", "max", "never", "top"}
    assert len(found["hubness"]["images"]["top"]) == 5
    assert set(found["gap"]) == {"distance", "centroid_cosine", "direction_share", "closed"}
    assert set(found["by_length"][0]) == {"words", "captions", "R@1", "R@5", "R@10", "median_rank"}
    assert {"category", "source", "images", "captions", "i2t_R@1", "t2i_R@1"} <= set(
        found["by_category"][0]
    )
    assert sum(found["rank_histogram"]["t2i"].values()) == 600


def test_ranks_that_are_known_are_not_computed_again():
    e = told()
    assert analyse(e, ranks=ranks(e.images, e.texts, e.owner)) == analyse(e)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1), (2, [0, 1])])
def test_the_smallest_splits_are_none_and_no_crash(shape):
    e = invent(n=shape[0], each=shape[1])
    found = analyse(e)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    if shape[0] == 1:
        assert found["similarity"]["auc"] is None and found["gap"]["closed"] is None
    describe(found, len(e.images), len(e.texts))
    format_report(evaluate_embeddings(e, 10.0, "val", resamples=20, analysis=True))


def test_captions_that_all_say_the_same():
    row = invent(n=1).images
    e = Embeddings(row.repeat(30, 0), row.repeat(30, 0), np.arange(30))
    found = analyse(e)
    assert found["similarity"]["auc"] == 0.5
    assert found["gap"]["direction_share"] is None and found["gap"]["closed"] is None
    assert found["rank_histogram"]["t2i"]["11-50"] == 30


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("known", [False, True])
def test_a_broken_embedding_is_an_error(bad, known):
    e = told()
    given = ranks(e.images, e.texts, e.owner) if known else None
    e.texts[3, 1] = bad
    with pytest.raises(DataError, match="text embedding 3 holds NaN or infinity"):
        analyse(e, ranks=given)


def test_words_name_what_is_found_worst():
    e = told()
    lines = describe(analyse(e), 150, 600)
    text = "\n".join(lines)
    assert "hardest captions with the word: kite" in text
    assert "a right pair beats a wrong one" in text and "nobody's first 10" in text
    assert "with the modality gap closed, rsum would be" in text
    assert "captions of " in text and max(map(len, lines)) <= 100


def test_words_of_categories():
    names = tuple(("indoors", "outdoors")[row % 2] for row in range(150))
    lines = describe(analyse(told(categories=names)), 150, 600)
    assert any(line.startswith("hardest captions of category: ") for line in lines)


def test_a_seed_is_of_the_sample_only():
    assert analyse(told(), seed=1) == analyse(told(), seed=2)  # few pairs: nothing is sampled
