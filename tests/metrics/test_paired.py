"""Checks paired comparisons: against loops, on planted differences, and on equal models."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from invented import invent, unit

from pairlight.errors import DataError
from pairlight.metrics import bootstrap
from pairlight.metrics.compare import compare_files, compare_ranks, format_comparison, verdict
from pairlight.metrics.queries import Results, query_record
from pairlight.metrics.retrieval import ranks
from pairlight.types import Embeddings


def some_results(n=12, each=3, seed=0, best=14):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n), np.arange(n) % each)
    i2t = np.where(np.bincount(owner, minlength=n) > 0, rng.integers(1, best, size=n), 0)
    t2i = rng.integers(1, best, size=len(owner))
    return Results(Path(f"{seed}.json"), {"name": "m"}, "val", "x", i2t, t2i, owner)


def recalls_of(results, drawn):
    """R@k and rsum of the drawn images and all their captions, query by query."""
    found = [100 * np.mean([results.i2t[i] <= k for i in drawn]) for k in (1, 5, 10)]
    captions = [j for i in drawn for j in range(len(results.owner)) if results.owner[j] == i]
    found += [100 * np.mean([results.t2i[j] <= k for j in captions]) for k in (1, 5, 10)]
    return np.array([*found, sum(found)])


def test_interval_and_share_equal_the_slow_twin():
    a, b = some_results(seed=1), some_results(seed=2)
    asking = [i for i in range(12) if a.i2t[i]]
    assert len(asking) < 12
    rng, slow = np.random.default_rng(5), []
    for _ in range(150):
        drawn = [asking[x] for x in rng.integers(len(asking), size=len(asking))]
        slow.append(recalls_of(b, drawn) - recalls_of(a, drawn))
    slow = np.array(slow).round(9)
    found = compare_ranks(a, b, 150, seed=5)["differences"]
    assert tuple(found) == bootstrap.NAMES
    for c, each in enumerate(found.values()):
        assert each["ci95"] == pytest.approx(np.percentile(slow[:, c], [2.5, 97.5]), abs=1e-6)
        share = np.mean([0.5 if d == 0 else float(d > 0) for d in slow[:, c]])
        assert each["share_better"] == pytest.approx(share)
        assert each["a"] == pytest.approx(recalls_of(a, asking)[c])
        assert each["difference"] == pytest.approx(
            (recalls_of(b, asking) - recalls_of(a, asking))[c]
        )


def test_p_value_is_that_of_all_exchanges():
    """Ten images can be exchanged in 1,024 ways; the seeded ones must come near the whole."""
    a, b = some_results(n=15, seed=1), some_results(n=15, seed=4)
    asking = [i for i in range(15) if a.i2t[i]]
    assert len(asking) == 10
    tables = [bootstrap.hits(each.i2t, each.t2i, each.owner) for each in (a, b)]
    seen = np.abs(recalls_of(b, asking) - recalls_of(a, asking))
    as_far = []
    for swap in itertools.product([False, True], repeat=10):
        mine, theirs = (np.zeros(8), np.zeros(8))
        for image, swapped in zip(asking, swap, strict=True):
            mine += tables[swapped][image]
            theirs += tables[not swapped][image]
        apart = np.abs(bootstrap.recalls(theirs) - bootstrap.recalls(mine))
        as_far.append(apart >= seen - 1e-9)
    found = bootstrap.flip_p_values(*tables, 20_000, seed=0)
    assert found == pytest.approx(np.mean(as_far, axis=0), abs=0.015)
    assert 0.1 < found.min() < found.max()


def models(trial, n, each=5, better=0.0, d=16):
    """Ranks of two models of the same photos; the second sees `better` less noise."""
    rng = np.random.default_rng(trial)
    meant = rng.normal(size=(n, d))
    owner = np.repeat(np.arange(n), each)
    told = meant[owner] + 0.3 * rng.normal(size=(n * each, d))
    found = []
    for noise in (0.8, 0.8 * (1 - better)):
        images = unit(meant + noise * rng.normal(size=meant.shape))
        texts = unit(told + noise * rng.normal(size=told.shape))
        i2t, t2i = ranks(images, texts, owner)
        found.append(Results(Path("r.json"), {}, "val", "x", i2t, t2i, owner))
    return found


def test_a_planted_better_model_is_found():
    for trial in range(10):
        a, b = models(trial, n=200, better=0.15)
        assert compare_ranks(a, b, 500, seed=trial)["verdict"] == "better"
        assert compare_ranks(b, a, 500, seed=trial)["verdict"] == "worse"


@pytest.mark.parametrize("n", [8, 100])
def test_equal_models_seldom_differ(n):
    """Of 200 pairs of equally good models a level of 5 % lets ten pass; 19 is three sd more."""
    wrong = sum(
        compare_ranks(*models(trial, n), 300, seed=trial)["verdict"] != "no difference"
        for trial in range(200)
    )
    assert wrong <= 19
    assert wrong >= 1 or n == 8  # never saying anything would be no test at all


def test_pairing_shows_what_two_intervals_hide():
    rng = np.random.default_rng(0)
    owner = np.arange(600)
    ranks_a = np.where(rng.random(600) < 0.5, 1, 20)  # which photos are hard is the same for both
    ranks_b = np.where((ranks_a == 20) & (rng.random(600) < 0.06), 1, ranks_a)
    a, b = (Results(Path("r"), {}, "val", "x", r, r, owner) for r in (ranks_a, ranks_b))
    alone = [bootstrap.recall_intervals(r.i2t, r.t2i, owner)["rsum"] for r in (a, b)]
    assert alone[0][1] > alone[1][0]  # the two intervals overlap
    assert compare_ranks(a, b, 1000)["verdict"] == "better"


def test_the_same_ranks_are_no_difference():
    a = some_results()
    found = compare_ranks(a, a, 100)
    assert found["same_ranks"] and found["verdict"] == "no difference"
    for each in found["differences"].values():
        assert each["ci95"] == [0, 0] and each["share_better"] == 0.5 and each["p_value"] == 1
    assert verdict(found, 12) == "A and B rank every query alike"


def test_the_seed_decides():
    a, b = some_results(seed=1), some_results(seed=2)
    assert compare_ranks(a, b, 200, 1) == compare_ranks(a, b, 200, 1)
    assert compare_ranks(a, b, 200, 1) != compare_ranks(a, b, 200, 2)


def test_few_photos_that_all_agree_are_not_enough():
    """Three of three in favour happen by luck one time in four; the bootstrap alone is sure."""
    owner = np.arange(3)
    a, b = (Results(Path("r"), {}, "v", "x", r, r, owner) for r in (owner * 0 + 3, owner * 0 + 1))
    found = compare_ranks(a, b, 1000)
    assert found["differences"]["rsum"]["ci95"] == [200, 200]
    assert found["verdict"] == "no difference"


def write(folder, name, embeddings, noise):
    rng = np.random.default_rng(len(name))
    texts = unit(embeddings.texts + noise * unit(rng.normal(size=embeddings.texts.shape)))
    i2t, t2i = ranks(embeddings.images, texts, embeddings.owner)
    content = {
        "model": {"name": name, "sha256": "1234567890"},
        "protocol": {"split": "test"},
        "queries": query_record(embeddings, i2t, t2i),
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def test_files_are_compared_and_told_in_words(tmp_path):
    e = invent(n=150, noise=1.0)
    paths = [write(tmp_path, name, e, x) for name, x in (("bad", 1.5), ("good", 0), ("worst", 4))]
    result = compare_files(paths, 400, seed=2)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [each["verdict"] for each in result["comparisons"]] == ["better", "worse"]
    assert result["queries"]["images"] == 150 and result["queries"]["captions"] == 450
    text = format_comparison(result)
    assert "150 images, 450 captions; 400 resamples of the images, seed 2" in text
    assert "B is better: rsum +" in text and "C is worse: rsum -" in text
    assert f"A: {paths[0]} (model bad, sha256 12345678, split test)" in text
    assert "each verdict errs once in 20" in text
    few = invent(n=20)
    result = compare_files([write(tmp_path, name, few, 1.0) for name in ("a", "bb")], 200)
    assert "no difference that 20 photos can show: rsum " in format_comparison(result)
    assert "so few photos" in format_comparison(result)


def test_other_queries_are_refused(tmp_path):
    e = invent(n=30)
    first = write(tmp_path, "first", e, 0.1)
    for change in ({"captions": tuple(f"other {n}" for n in range(90))}, {"n": 29}):
        second = write(tmp_path, "second", invent(**{"n": 30, **change}), 0.1)
        with pytest.raises(DataError) as told:
            compare_files([first, second], 100)
        assert "measured on other photos or captions" in str(told.value)
        assert "\n" not in str(told.value)


def test_an_interval_is_never_backwards():
    a, b = some_results(n=40, seed=3), some_results(n=40, seed=9)
    for each in compare_ranks(a, b, 300)["differences"].values():
        assert each["ci95"][0] <= each["difference"] <= each["ci95"][1]
        assert 0 < each["p_value"] <= 1


def test_embeddings_of_one_photo():
    e = invent(n=1, each=1)
    assert isinstance(e, Embeddings)
    one = Results(Path("r"), {}, "v", "x", np.array([1]), np.array([1]), e.owner)
    assert compare_ranks(one, one, 100)["verdict"] == "no difference"
