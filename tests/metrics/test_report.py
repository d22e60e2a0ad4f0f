"""Checks the JSON of an evaluation, its loss and chance level, and the printed table."""

import json
import math
import time

import numpy as np
import pytest

from pairlight.errors import DataError
from pairlight.metrics.protocols import chance, parse_protocols
from pairlight.metrics.report import evaluate_embeddings, format_report, info_nce
from pairlight.types import Embeddings


def world(n=150, each=5, d=32, noise=1.5, seed=0, **more):
    rng = np.random.default_rng(seed)

    def unit(rows):
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    images = unit(rng.normal(size=(n, d)))
    owner = np.repeat(np.arange(n), each)
    texts = unit(images[owner] + noise * unit(rng.normal(size=(n * each, d))))
    return Embeddings(images, texts, owner, **more)


def flat(value):
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in flat(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in flat(each)]
    return [value]


def test_has_the_promised_keys_and_plain_values():
    embeddings = world(seconds={"images": 1.5, "texts": 0.25}, skipped=("broken",))
    result = evaluate_embeddings(embeddings, 14.3, "test", seed=5)
    side = {"R@1", "R@5", "R@10", "median_rank", "mean_rank"}
    assert set(result["i2t"]) == side and set(result["t2i"]) == side
    assert result["protocol"] == {
        "images": 150,
        "captions": 750,
        "split": "test",
        "images_without_captions": 0,
        "seed": 5,
        "resamples": 1000,
        "loss_batch": 128,
    }
    total = sum(result[s][f"R@{k}"] for s in ("i2t", "t2i") for k in (1, 5, 10))
    assert result["rsum"] == pytest.approx(total)
    for key, (low, high) in result["ci95"].items():
        where, _, recall = key.partition("_")
        value = result["rsum"] if key == "rsum" else result[where][recall]
        assert low <= value <= high
    assert 0 < result["i2t"]["R@1"] < 100 and 1 < result["t2i"]["mean_rank"] < 75
    assert result["seconds"]["images"] == 1.5 and result["seconds"]["scoring"] > 0
    assert result["skipped"] == ["broken"]
    assert result["queries"].pop("sha256") is None  # nobody said which photos these are
    assert {type(leaf) for leaf in flat(result)} <= {int, float, str}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_same_seed_same_numbers():
    first, second = (evaluate_embeddings(world(), 14.3, "val", seed=1) for _ in range(2))
    first.pop("seconds"), second.pop("seconds")
    assert first == second


def test_a_single_pair_has_no_uniformity_but_valid_json():
    result = evaluate_embeddings(world(n=1, each=1), 10.0, "val")
    assert result["uniformity"] == {"image": None, "text": None}
    assert result["seconds"]["images"] is None
    assert result["loss"] == pytest.approx(0)
    json.dumps(result, allow_nan=False)
    assert "uniformity image -, text -" in format_report(result)


def test_nan_is_an_error():
    embeddings = world()
    embeddings.texts[3] = np.nan
    with pytest.raises(DataError, match="NaN"):
        evaluate_embeddings(embeddings, 14.3, "test")


def test_loss_by_loops():
    embeddings = world(n=21, each=2)
    images, texts = embeddings.images.astype(float), embeddings.texts[::2].astype(float)
    want = []
    for start in range(0, 21, 8):
        rows = range(start, min(start + 8, 21))
        for i in rows:
            scale = {j: math.exp(9 * images[i] @ texts[j]) for j in rows}
            back = {j: math.exp(9 * images[j] @ texts[i]) for j in rows}
            want += [-math.log(scale[i] / sum(scale.values()))]
            want += [-math.log(back[i] / sum(back.values()))]
    got = info_nce(embeddings.images, embeddings.texts, embeddings.owner, 9.0, batch=8)
    assert got == pytest.approx(np.mean(want))


def test_loss_of_a_collapsed_model_is_the_log_of_the_batch():
    row = np.repeat(world(n=1).images, 256, axis=0)
    assert info_nce(row, row, np.arange(256), 100.0) == pytest.approx(math.log(128))


def test_loss_equals_pytorch():
    torch = pytest.importorskip("torch")
    embeddings = world(n=60, each=3)
    logits = 20 * torch.from_numpy(embeddings.images) @ torch.from_numpy(embeddings.texts[::3]).T
    target = torch.arange(60)
    entropy = torch.nn.functional.cross_entropy
    want = (entropy(logits, target) + entropy(logits.T, target)) / 2
    got = info_nce(embeddings.images, embeddings.texts, embeddings.owner, 20.0)
    assert got == pytest.approx(float(want), rel=1e-4)


def test_chance_is_what_random_rankings_get():
    owner = np.array([0, 0, 0, 1, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4])  # image 3 has no caption
    level = chance(owner, 5)
    rng = np.random.default_rng(0)
    hits = np.zeros(4)
    for _ in range(4000):
        front = owner[rng.permutation(14)[:5]]
        hits += [image in front for image in (0, 1, 2, 4)]
    assert level["i2t"]["R@5"] == pytest.approx(100 * hits.mean() / 4000, abs=1)
    assert level["i2t"]["R@1"] == pytest.approx(100 * np.mean([3, 1, 2, 8]) / 14)
    assert level["t2i"] == {"R@1": 20.0, "R@5": 100.0, "R@10": 100.0}
    assert chance(np.array([0]), 1)["i2t"] == {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0}


def test_table_says_recalls_intervals_and_chance():
    result = evaluate_embeddings(world(n=200, skipped=("a", "b", "c", "d")), 14.3, "test")
    text = format_report(result)
    low, high = result["ci95"]["t2i_R@1"]
    assert f"{result['t2i']['R@1']:.1f} [{low:.1f}, {high:.1f}] (0.5)" in text
    assert "200 images, 1,000 captions, split test" in text
    assert "ties count against the model" in text
    assert "4 images skipped, they would not open: a, b, c ..." in text
    want = (128 * math.log(128) + 72 * math.log(72)) / 200
    assert f"chance {want:.3f}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_scoring_1000_by_5000_is_quick():
    embeddings = world(n=1000, d=256)
    start = time.process_time()
    evaluate_embeddings(embeddings, 14.3, "test")
    assert time.process_time() - start < 3  # 0.4 s alone; other programs share the processor


def test_small_galleries_and_seen_photos_come_with_a_caution():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for count, split, words in (
        (20, "test", "5.0 points"),
        (120, "train", "was trained on"),
        (120, "val", "best epoch"),
    ):
        found = Embeddings(rows[:count], rows[:count], np.arange(count))
        assert words in format_report(evaluate_embeddings(found, 10.0, split))
    whole = format_report(evaluate_embeddings(Embeddings(rows, rows, np.arange(120)), 10.0, "test"))
    assert "note:" not in whole


def test_protocols_stand_beside_the_whole_gallery():
    embeddings = world()
    plain = evaluate_embeddings(embeddings, 14.3, "test")
    asked = parse_protocols(["random:60x3", "folds:151", "full"])
    result = evaluate_embeddings(embeddings, 14.3, "test", protocols=asked)
    assert list(result["protocols"]) == ["random:60x3", "folds:151", "full"]
    assert result["protocols"]["full"]["rsum"] == pytest.approx(result["rsum"])
    assert result["protocols"]["folds:151"] is None
    assert {type(leaf) for leaf in flat(result["protocols"])} == {int, float, type(None)}
    assert result["seconds"]["protocols"] > 0 and "protocols" not in plain["seconds"]
    for key in ("i2t", "t2i", "rsum", "chance", "ci95", "protocol"):
        assert result[key] == plain[key]
    text = format_report(result)
    found = result["protocols"]["random:60x3"]
    low, high = found["ci95"]["i2t_R@5"]
    cell = (
        f"{found['i2t']['R@5']:.1f} [{low:.1f}, {high:.1f}] ({found['chance']['i2t']['R@5']:.1f})"
    )
    assert cell in text
    assert "60 random images at a time, mean of 3 draws, seed 0; 300 captions" in text
    assert "protocol folds:151: not measured" in text
    assert max(map(len, text.splitlines())) <= 80


def test_analysis_is_there_when_asked_for():
    assert "analysis" not in evaluate_embeddings(world(), 14.3, "test")
    result = evaluate_embeddings(world(), 14.3, "test", analysis=True)
    assert result["analysis"]["rank_histogram"]["t2i"]["1"] > 0
    assert "how images and captions align" in format_report(result)
    assert list(result)[-1] == "queries" and len(result["queries"]["t2i_ranks"]) == 750
