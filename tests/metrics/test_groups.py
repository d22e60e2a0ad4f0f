"""Checks breakdowns by length, category and word, and rank histograms, against loops."""

import numpy as np
import pytest
from invented import invent

from pairlight.data.text import word_count
from pairlight.metrics.groups import by_category, by_length, rank_histogram
from pairlight.metrics.words import content_words, words


def share(ranks, k):
    return pytest.approx(100 * sum(rank <= k for rank in ranks) / len(ranks))


def test_lengths_equal_the_slow_twin():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 20, size=300)
    captions = [" ".join(["dog"] * count) for count in counts]
    ranks = rng.integers(1, 30, size=300)
    bins = by_length(captions, ranks)
    assert len(bins) == 5 and sum(each["captions"] for each in bins) == 300
    assert bins[0]["words"][0] == counts.min() and bins[-1]["words"][1] == counts.max()
    for each, after in zip(bins, [*bins[1:], None], strict=True):
        low, high = each["words"]
        assert after is None or high < after["words"][0]
        mine = [r for r, count in zip(ranks, counts, strict=True) if low <= count <= high]
        assert each["captions"] == len(mine) and 40 <= len(mine) <= 85
        assert all(each[f"R@{k}"] == share(mine, k) for k in (1, 5, 10))
        assert each["median_rank"] == np.median(mine)


def test_lengths_that_are_all_the_same_are_one_bin():
    bins = by_length(["a dog"] * 4 + ["🐕"], np.array([1, 2, 3, 4, 9]))
    assert [each["words"] for each in bins] == [[0, 0], [2, 2]]
    assert [x["words"] for x in by_length(["a dog"] * 4, np.arange(1, 5))] == [[2, 2]]
    assert by_length([], np.array([1])) == []


def test_categories_of_the_manifest_come_first():
    names = tuple("cat" if row % 3 == 0 else "dog" if row % 3 == 1 else None for row in range(40))
    e = invent(each=np.arange(40) % 3, categories=names)
    rng = np.random.default_rng(1)
    i2t = np.where(np.bincount(e.owner, minlength=40) > 0, rng.integers(1, 20, 40), 0)
    t2i = rng.integers(1, 20, size=len(e.owner))
    found = by_category(e, i2t, t2i)
    assert [each["category"] for each in found] == ["cat", "dog"]
    for each in found:
        rows = [row for row in range(40) if names[row] == each["category"]]
        captions = [j for j in range(len(t2i)) if e.owner[j] in rows]
        assert each["source"] == "manifest"
        assert (each["images"], each["captions"]) == (len(rows), len(captions))
        asking = [i2t[row] for row in rows if i2t[row]]
        for k in (1, 5, 10):
            assert each[f"i2t_R@{k}"] == (share(asking, k) if asking else None)
            assert each[f"t2i_R@{k}"] == (share(t2i[captions], k) if captions else None)
    assert found[0]["t2i_R@1"] is None and found[0]["images"] == 14  # every cat is without caption


def test_without_categories_words_of_the_captions_are_the_kinds():
    texts = []
    for row in range(60):
        animal = "dog" if row < 25 else "cat" if row < 48 else "bird"
        texts += [f"The {animal} is on a mat, the {animal}!", f"A DOG's {row % 7} toys in the sun"]
    e = invent(n=60, each=2, captions=tuple(texts))
    rng = np.random.default_rng(2)
    i2t, t2i = rng.integers(1, 15, size=60), rng.integers(1, 15, size=120)
    found = by_category(e, i2t, t2i)
    assert [each["category"] for each in found] == ["dog", "mat", "sun", "toys", "cat"]
    for each in found:
        holding = [j for j in range(120) if each["category"] in texts[j].lower()]
        rows = sorted({e.owner[j] for j in holding})
        assert (each["images"], each["captions"]) == (len(rows), len(holding))
        assert each["t2i_R@5"] == share(t2i[holding], 5)
        assert each["i2t_R@5"] == share(i2t[rows], 5) and each["source"] == "word"
    assert by_category(invent(n=60, named=False), i2t, np.ones(180, int)) == []


def test_the_most_frequent_words_only():
    captions = [" ".join(f"w{n}x" for n in range(row + 1)) for row in range(50)]
    found = content_words(captions, range(50))
    assert [word for word, _ in found] == [f"w{n}x" for n in range(20)]
    assert [word for word, _ in content_words(captions, range(50), most=99, images=48)] == [
        "w0x",
        "w1x",
        "w2x",
    ]
    # Five captions of one image are one image.
    assert content_words(["a kite"] * 5, [0] * 5, images=2) == []


@pytest.mark.parametrize(
    "text", ["A dog's bone.", "", "一只狗 runs", "two-piece  suit", "ça va", "3 men", "🐕 no_word"]
)
def test_words_are_counted_as_prepare_counts_them(text):
    assert len(words(text)) == word_count(text)


def test_histogram_equals_the_slow_twin():
    ranks = np.array([0, 1, 1, 2, 5, 6, 10, 11, 50, 51, 100, 101, 7000])
    assert rank_histogram(ranks) == {
        "1": 2, "2-5": 2, "6-10": 2, "11-50": 2, "51-100": 2, ">100": 2,
    }  # fmt: skip
    assert sum(rank_histogram(np.arange(1, 999)).values()) == 998
    assert rank_histogram(np.zeros(3, int))["1"] == 0
