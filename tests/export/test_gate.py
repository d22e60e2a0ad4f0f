"""Which towers are kept, on made-up measurements."""

import numpy as np
import pytest

from pairlight.errors import ModelError
from pairlight.export import gate
from pairlight.export.gate import judge
from pairlight.export.parity import Measured
from pairlight.export.probes import Probes

COUNT, DIM = 400, 16
RNG = np.random.default_rng(0)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


BASE = unit(RNG.normal(size=(COUNT, DIM)))
PROBES = Probes("made up", np.zeros((COUNT, 1, 1, 3), np.uint8), ("x",) * COUNT, np.arange(COUNT))
SIZES = {"fp32": {"image": 100, "text": 100}, "int8": {"image": 30, "text": 30}}


def seconds(value):
    return np.full(5, value)


def towers(image=None, text=None, fast=2.0):
    """Both towers: torch and fp32 alike, int8 as given, `fast` times as fast as fp32."""
    found = {}
    for name, int8 in (("image", image), ("text", text)):
        found[name] = {kind: Measured(BASE, seconds(1.0)) for kind in ("torch", "fp32")}
        if int8 is not None:
            found[name]["int8"] = Measured(int8, seconds(1 / fast))
    return found


def near(noise):
    return unit(BASE + noise * np.random.default_rng(1).normal(size=BASE.shape) / np.sqrt(DIM))


def test_good_towers_are_kept_and_all_numbers_written_down():
    verdict = judge(towers(near(0.02), near(0.03)), PROBES, SIZES, {}, False)
    assert verdict.precision == {"image": "int8", "text": "int8"} and not verdict.reasons
    assert set(verdict.parity["R@1"]) == {"fp32", "int8 image", "int8 text", "int8 both"}
    facts = verdict.parity["image"]["int8"]
    assert facts["times_fp32"] == 2.0 and facts["bytes"] == 30 and facts["cosine_min"] > 0.99


def test_a_far_tower_gives_way():
    verdict = judge(towers(near(0.3), near(0.02)), PROBES, SIZES, {}, True)
    assert verdict.precision == {"image": "fp32", "text": "int8"}
    assert "mean cosine" in verdict.reasons["image"]


def test_a_slow_tower_gives_way_unless_size_is_wanted():
    slow = towers(near(0.02), near(0.02), fast=0.8)
    verdict = judge(slow, PROBES, SIZES, {}, False)
    assert set(verdict.precision.values()) == {"fp32"}
    assert verdict.reasons["text"].startswith("it runs at 0.80 times")
    assert set(judge(slow, PROBES, SIZES, {}, True).precision.values()) == {"int8"}


def test_lost_recall_is_enough_though_the_mean_cosine_is_high():
    twins = BASE.copy()
    twins[1::2] = unit(twins[::2] + 0.02 * RNG.normal(size=(COUNT // 2, DIM)))  # pairs alike
    exchanged = twins.copy()
    exchanged[[0, 1, 2, 3, 4, 5]] = twins[[1, 0, 3, 2, 5, 4]]
    found = {
        name: {kind: Measured(twins, seconds(1.0)) for kind in ("torch", "fp32")}
        for name in ("image", "text")
    }
    found["text"]["int8"] = Measured(exchanged, seconds(0.5))
    verdict = judge(found, PROBES, SIZES, {"image": "not asked for"}, False)
    assert verdict.parity["text"]["int8"]["cosine_mean"] > 0.99
    assert verdict.reasons["text"] == "it loses 1.50 points of R@1 i2t, more than 0.5"
    assert verdict.reasons["image"] == "not asked for"


def test_two_good_towers_may_be_too_much_together(monkeypatch):
    """Fp32, each tower alone, both: the one farther from torch gives way."""
    recalls = iter([50.0, 49.6, 49.7, 49.3])
    monkeypatch.setattr(gate, "_recall", lambda *words: {"i2t": next(recalls), "t2i": 50.0})
    verdict = judge(towers(near(0.02), near(0.04)), PROBES, SIZES, {}, False)
    assert verdict.precision == {"image": "int8", "text": "fp32"}
    assert verdict.reasons["text"].startswith("with both towers in int8 it loses 0.70 points")


def test_a_wrong_fp32_tower_ends_it():
    found = towers(near(0.02), near(0.02))
    wrong = BASE.copy()
    wrong[5] = -wrong[5]
    found["text"]["fp32"] = Measured(wrong, seconds(1.0))
    with pytest.raises(ModelError, match=r"text.onnx .* nothing was kept"):
        judge(found, PROBES, SIZES, {}, False)


def test_nan_in_int8_is_no_int8():
    broken = near(0.01)
    broken[3] = np.nan
    verdict = judge(towers(broken, near(0.01)), PROBES, SIZES, {}, True)
    assert verdict.precision["image"] == "fp32" and verdict.precision["text"] == "int8"


@pytest.mark.parametrize(("both", "kept"), [(49.8, "int8"), (49.4, "fp32")])
def test_what_is_shipped_together_is_judged_together(monkeypatch, both, kept):
    """At a thousand queries chance moves a single tower by more than the limit."""

    def recall(measured, probes, kinds):
        i2t = {(): 50.0, ("image",): 49.0, ("text",): 50.0}.get(tuple(kinds), both)
        return {"i2t": i2t, "t2i": 50.0}

    monkeypatch.setattr(gate, "_recall", recall)
    monkeypatch.setattr(gate, "_drops", lambda probes, all_, kind: drops(all_, kind))
    verdict = judge(towers(near(0.02), near(0.02)), PROBES, SIZES, {}, True)
    assert verdict.precision == {"image": kept, "text": "int8"}


def drops(recalls, kind):
    return {way: recalls["fp32"][way] - recalls[kind][way] for way in ("i2t", "t2i")}
