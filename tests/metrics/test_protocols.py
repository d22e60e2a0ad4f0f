"""Checks smaller galleries against evaluations done one by one, and the spelling of protocols."""

import numpy as np
import pytest
from invented import invent

from pairlight.errors import ConfigError
from pairlight.metrics.protocols import (
    Protocol,
    check_protocols,
    galleries,
    in_words,
    measure,
    parse_protocols,
)
from pairlight.metrics.retrieval import ranks


def slow_recalls(embeddings, chosen):
    """R@k of one gallery, by sorting plain scores: no two of them tie here."""
    scores = embeddings.images[chosen].astype(float) @ embeddings.texts.T.astype(float)
    captions = [j for j, image in enumerate(embeddings.owner) if image in chosen]
    found = {"i2t": {}, "t2i": {}}
    for k in (1, 5, 10):
        hits = []
        for row, image in enumerate(chosen):
            first = sorted(captions, key=lambda j: -scores[row, j])[:k]  # noqa: B023
            hits.append(any(embeddings.owner[j] == image for j in first))
        found["i2t"][f"R@{k}"] = 100 * np.mean(hits)
        hits = []
        for j in captions:
            first = sorted(range(len(chosen)), key=lambda row: -scores[row, j])[:k]  # noqa: B023
            hits.append(embeddings.owner[j] in [chosen[row] for row in first])
        found["t2i"][f"R@{k}"] = 100 * np.mean(hits)
    return found


def check_means(embeddings, protocol, seed, chosen):
    found = measure(embeddings.images, embeddings.texts, embeddings.owner, protocol, seed, 50)
    want = [slow_recalls(embeddings, rows) for rows in chosen]
    rsums = [sum(w[s][r] for s in w for r in w[s]) for w in want]
    for side in ("i2t", "t2i"):
        for k in ("R@1", "R@5", "R@10"):
            values = [each[side][k] for each in want]
            spread = found["spread"][f"{side}_{k}"]
            assert found[side][k] == pytest.approx(np.mean(values))
            assert (spread["min"], spread["max"]) == pytest.approx((min(values), max(values)))
            if len(values) > 1:
                assert spread["std"] == pytest.approx(np.std(values, ddof=1))
            low, high = found["ci95"][f"{side}_{k}"]
            assert low <= found[side][k] <= high
    assert found["rsum"] == pytest.approx(np.mean(rsums))
    assert 0 < found["t2i"]["R@1"] < 100
    return found


def test_random_galleries_are_evaluations_of_their_own():
    embeddings = invent(n=60, each=np.arange(60) % 3 + 1, noise=1.5)
    protocol = Protocol("random", 25, 4)
    chosen = [list(rows) for rows in galleries(protocol, embeddings.owner, 60, seed=3)]
    assert len(chosen) == 4 and all(len(set(rows)) == 25 for rows in chosen)
    found = check_means(embeddings, protocol, 3, chosen)
    assert (found["images"], found["galleries"], found["seed"]) == (25, 4, 3)
    assert found["captions"] == np.mean([sum(r % 3 + 1 for r in rows) for rows in chosen])
    assert found["chance"]["t2i"]["R@5"] == pytest.approx(20)
    assert in_words(protocol, found) == "25 random images at a time, mean of 4 draws, seed 3"


def test_folds_are_consecutive_and_the_rest_is_said():
    embeddings = invent(n=50, noise=1.5)
    protocol = Protocol("folds", 16)
    chosen = [list(range(16)), list(range(16, 32)), list(range(32, 48))]
    found = check_means(embeddings, protocol, 0, chosen)
    assert (found["galleries"], found["left_over"], found["captions"]) == (3, 2, 48)
    assert "16 consecutive images at a time, mean of 3 folds, 2 left over" in in_words(
        protocol, found
    )


def test_full_is_the_whole_gallery():
    embeddings = invent(noise=1.5)
    found = check_means(embeddings, Protocol("full"), 0, [list(range(40))])
    assert found["images"] == 40 and found["spread"]["rsum"]["std"] is None
    assert "all 40 images" in in_words(Protocol("full"), found)


def test_the_interval_of_full_is_that_of_the_evaluation():
    from pairlight.metrics.bootstrap import recall_intervals

    e = invent(n=50, each=np.arange(50) % 3, noise=1.5)  # a third has no caption
    found = measure(e.images, e.texts, e.owner, Protocol("full"), seed=7, resamples=100)
    assert found["ci95"] == recall_intervals(*ranks(e.images, e.texts, e.owner), e.owner, 100, 7)


def test_more_draws_begin_with_the_same_galleries():
    owner = np.repeat(np.arange(30), 2)
    few = list(galleries(Protocol("random", 9, 3), owner, 30, seed=1))
    more = list(galleries(Protocol("random", 9, 5), owner, 30, seed=1))
    assert all((a == b).all() for a, b in zip(few, more, strict=False))
    other = list(galleries(Protocol("random", 9, 3), owner, 30, seed=2))
    assert any((a != b).any() for a, b in zip(few, other, strict=True))
    assert len({tuple(rows) for rows in more}) == 5


def test_images_without_captions_stay_out_of_smaller_galleries():
    owner = np.array([1, 1, 4, 6, 7])  # 0, 2, 3 and 5 have none
    (rows,) = galleries(Protocol("random", 4), owner, 8)
    assert rows.tolist() == [1, 4, 6, 7]
    assert [r.tolist() for r in galleries(Protocol("folds", 2), owner, 8)] == [[1, 4], [6, 7]]
    assert len(next(galleries(Protocol("full"), owner, 8))) == 8


def test_what_no_gallery_can_fill_is_none():
    """Photos that did not open may leave fewer than were asked for."""
    e = invent(n=10)
    for protocol in (Protocol("random", 11, 2), Protocol("folds", 11)):
        assert measure(e.images, e.texts, e.owner, protocol) is None


def test_a_smaller_gallery_makes_recall_higher():
    e = invent(n=400, each=2, d=8, noise=0.7)
    small, large = (
        measure(e.images, e.texts, e.owner, Protocol("random", size, 5), resamples=50)
        for size in (50, 350)
    )
    assert small["rsum"] > large["rsum"] + 50
    assert small["chance"]["t2i"]["R@1"] > large["chance"]["t2i"]["R@1"]


def test_the_interval_is_of_images_with_what_they_found_in_every_gallery():
    e = invent(n=30, each=np.arange(30) % 3 + 1, noise=1.5)
    protocol, resamples = Protocol("random", 12, 5), 40
    i2t, t2i, asked, told = (np.zeros(30) for _ in range(4))
    for rows in galleries(protocol, e.owner, 30, seed=4):
        kept = [j for j in range(len(e.owner)) if e.owner[j] in rows]
        inside = np.array([list(rows).index(e.owner[j]) for j in kept])
        found = ranks(e.images[rows], e.texts[kept], inside)
        for row, rank in zip(rows, found[0], strict=True):
            asked[row] += 1
            i2t[row] += rank <= 5
        for j, rank in zip(kept, found[1], strict=True):
            told[e.owner[j]] += 1
            t2i[e.owner[j]] += rank <= 5
    drawn_ever = [row for row in range(30) if asked[row]]
    rng, values = np.random.default_rng(4), []
    for _ in range(resamples):
        drawn = [drawn_ever[x] for x in rng.integers(len(drawn_ever), size=len(drawn_ever))]
        values.append(
            [100 * f[drawn].sum() / q[drawn].sum() for f, q in ((i2t, asked), (t2i, told))]
        )
    want = np.percentile(values, [2.5, 97.5], axis=0).T
    got = measure(e.images, e.texts, e.owner, protocol, 4, resamples)["ci95"]
    assert np.allclose([got["i2t_R@5"], got["t2i_R@5"]], want)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["full"], ["full"]),
        (["random:810"], ["random:810"]),
        (["random:810x20,folds:1000", "FULL"], ["random:810x20", "folds:1000", "full"]),
        ([" random:0810x1 ", "random:810"], ["random:810"]),
        ([], []),
    ],
)
def test_spelling(words, names):
    protocols = parse_protocols(words)
    assert [protocol.name for protocol in protocols] == names
    assert parse_protocols(names) == protocols


@pytest.mark.parametrize(
    "word",
    ["", "5fold", "random", "random:", "random:x20", "random:-5", "random:8.5", "folds:1000x5"]
    + ["full:3", "random:10x0", "random:10x1001", "random:1", "folds:0", "random:10,", "random:٣٠"],
)
def test_what_is_no_protocol_is_one_line(word):
    if word == "random:٣٠":  # digits all the same, and int() reads them
        assert parse_protocols([word])[0].size == 30
        return
    with pytest.raises(ConfigError) as told:
        parse_protocols([word])
    assert "--protocol" in str(told.value) and "\n" not in str(told.value)


def test_a_gallery_larger_than_the_split_is_refused():
    check_protocols(parse_protocols(["full", "random:50", "folds:50"]), 50, "val")
    with pytest.raises(ConfigError, match="random:51x2: split val has only 50 images"):
        check_protocols(parse_protocols(["random:51x2"]), 50, "val")
