"""The gate's rules, on numbers alone."""

import numpy as np
import pytest

from pairlight.errors import ModelError
from pairlight.export import parity
from pairlight.export.parity import Twin, check_fp32, cosines, drops, measure, refusal


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


WANTED = unit(np.random.default_rng(0).normal(size=(20, 8)))


def turned(row, cosine):
    """WANTED with one row turned until it has this cosine to what it was."""
    found = WANTED.copy()
    aside = unit(np.random.default_rng(1).normal(size=(1, 8)))[0]
    aside -= (aside @ found[row]) * found[row]
    aside /= np.linalg.norm(aside)
    found[row] = cosine * found[row] + np.sqrt(1 - cosine**2) * aside
    return found


def test_equal_towers_pass():
    check_fp32("image", WANTED, WANTED)
    check_fp32("image", turned(3, 0.9995), WANTED)


def test_one_wrong_probe_is_enough():
    with pytest.raises(ModelError, match=r"image.onnx .* cosine 0.9980 at image 3 .* nothing was"):
        check_fp32("image", turned(3, 0.998), WANTED)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_no_number_is_no_parity(value):
    found = WANTED.copy()
    found[7] = value
    assert cosines(found, WANTED)[7] == -1
    with pytest.raises(ModelError, match="cosine -1"):
        check_fp32("text", found, WANTED)


def test_embeddings_must_have_unit_length():
    with pytest.raises(ModelError, match="not of unit length"):
        check_fp32("text", WANTED * 1.01, WANTED)


GOOD = {"cosine": 0.998, "speed": 1.6, "smaller": True, "drops": {"i2t": 0.4, "t2i": -3.0}}


@pytest.mark.parametrize(
    ("change", "for_size", "reason"),
    [
        ({}, False, None),
        ({}, True, None),
        ({"cosine": 0.9899}, True, "its mean cosine 0.9899 is below 0.99"),
        ({"drops": {"t2i": 0.64}}, True, "it loses 0.64 points of R@1 t2i, more than 0.5"),
        ({"drops": {"t2i": 40.8 - 40.3}}, False, None),
        ({"drops": {}}, False, None),
        ({"speed": 0.91}, False, "it runs at 0.91 times the speed of fp32 here; --for-size"),
        ({"speed": 0.91}, True, None),
        ({"smaller": False}, False, "it is no smaller"),
    ],
)
def test_why_int8_is_refused(change, for_size, reason):
    found = refusal(Twin(**{**GOOD, **change}), for_size)
    assert (found is None) == (reason is None) and (found or "").startswith(reason or "")


def test_recall_counts_where_one_query_weighs_little():
    before, after = {"i2t": 40.0, "t2i": 30.0}, {"i2t": 39.0, "t2i": 30.5}
    assert drops(before, after, 199, 200) == {"t2i": -0.5}
    assert drops(before, after, 200, 1000) == {"i2t": 1.0, "t2i": -0.5}


def test_recall_at_1():
    owner = np.repeat(np.arange(20), 2)
    texts = WANTED[owner]
    assert parity.recall_at_1(WANTED, texts, owner) == {"i2t": 100.0, "t2i": 100.0}
    swapped = WANTED[[1, 0, *range(2, 20)]]
    assert parity.recall_at_1(swapped * 3, texts, owner) == {"i2t": 90.0, "t2i": 90.0}


def test_runs_take_turns_and_rows_go_home():
    log = []

    def runner(name, factor):
        def run(x):
            log.append(name)
            return factor * x

        return run

    batches = [(WANTED[[4, 2]],), (WANTED[[0]],), (WANTED[[1, 3]],)]
    found = measure({"a": runner("a", 1), "b": runner("b", 2)}, batches, [[4, 2], [0], [1, 3]])
    np.testing.assert_array_equal(found["a"].embeddings, WANTED[:5])
    np.testing.assert_array_equal(found["b"].embeddings, 2 * WANTED[:5])
    assert log == ["a", "b"] * 4 and found["a"].seconds.shape == (3,)
    assert found["a"].per_second > 0
