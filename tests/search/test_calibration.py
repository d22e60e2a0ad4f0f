"""Relevance on made-up scores whose truth is known: recovered, monotone, calibrated, dropped."""

import json

import numpy as np
import pytest
from colours import unit

from pairlight.errors import ModelError
from pairlight.search.calibration import (
    CUTOFF,
    PLAIN_CUTOFF,
    Calibration,
    expected_calibration_error,
    features,
    fit,
    reliability,
)
from pairlight.search.matcher import spread_of
from pairlight.search.relevance import coverage, examples, fit_calibration, questions, ranks_of
from pairlight.search.vocabulary import Vocabulary
from pairlight.words import pieces

TRUTH = (12.0, -0.9, 0.4, 0.5, -8.0, 1.5)


def drawn(weights, bias, count=20_000, seed=0):
    """Features and truth drawn from a known model."""
    rng = np.random.default_rng(seed)
    found = np.stack(
        [
            rng.uniform(0, 0.8, count),
            np.log(rng.integers(10, 1000, count)),
            np.log(rng.integers(1, 100, count)),
            rng.uniform(0, 8, count),
            rng.uniform(-0.1, 0.1, count),
            1 / rng.integers(1, 5, count),
        ],
        1,
    )
    promised = 1 / (1 + np.exp(-(found @ np.asarray(weights) + bias)))
    return found, rng.random(count) < promised, promised


def normal(mean, std, count, seed=0):
    """The spread of normally distributed scores."""
    return spread_of(np.random.default_rng(seed).normal(mean, std, count))


def test_a_known_model_is_recovered():
    found, right, promised = drawn(TRUTH, -2.0)
    calibration = fit(found, right)
    assert calibration.weights == pytest.approx(TRUTH, rel=0.15)
    assert np.abs(calibration.predict(found) - promised).mean() < 0.02


def test_the_fit_is_that_of_a_known_library():
    linear_model = pytest.importorskip("sklearn.linear_model")
    found, right, _ = drawn(TRUTH, -2.0, count=2000)
    calibration = fit(found, right, ridge=0)
    theirs = linear_model.LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-10).fit(found, right)
    assert calibration.weights == pytest.approx(theirs.coef_[0], rel=1e-3)
    assert calibration.bias == pytest.approx(theirs.intercept_[0], rel=1e-3)


def test_what_is_fitted_is_calibrated_on_new_examples():
    calibration = fit(*drawn(TRUTH, -2.0)[:2])
    found, right, _ = drawn(TRUTH, -2.0, seed=1)
    assert expected_calibration_error(calibration.predict(found), right) < 0.02
    # A model that is sure of itself for no reason is found out.
    boasting = Calibration(tuple(3 * each for each in calibration.weights), 3 * calibration.bias)
    assert expected_calibration_error(boasting.predict(found), right) > 0.05


def test_relevance_never_falls_as_the_score_rises():
    # Truth that runs the wrong way: the best that is allowed is to say nothing by the score.
    found, right, _ = drawn((-8.0, 0.5, -0.5, -0.5, 9.0, -2.0), 1.0)
    assert fit(found, right).weights == (0.0,) * 6
    found, right, _ = drawn((12.0, -0.9, -0.5, 0.5, -8.0, 1.5), -2.0)
    calibration = fit(found, right)
    assert calibration.weights[0] > 0 and calibration.weights[2] == 0
    scores = np.linspace(-1, 1, 101)
    assert (np.diff(calibration.relevance(scores, normal(0.1, 0.2, 500), "")) >= 0).all()


def test_a_hit_is_as_likely_as_those_below_it():
    """Of two collections with the same best photo the one with many more like it is believed."""
    calibration = Calibration((20.0, -0.8, 0.7, 0.0, 0.0, 0.0), -6.0)
    few, many = np.linspace(-0.2, 0.2, 300), np.linspace(-0.2, 0.2, 300)
    few[:1], many[:100] = 0.4, np.linspace(0.36, 0.4, 100)
    best = np.array([0.4])
    alone, among = (calibration.relevance(best, spread_of(each), "")[0] for each in (few, many))
    assert among > alone + 0.3
    # The hundredth by itself: a score of 0.36, 300 photos, 100 of them as high or higher.
    last = 1 / (1 + np.exp(-(20 * 0.36 - 0.8 * np.log(300) + 0.7 * np.log(100) - 6)))
    assert among == pytest.approx(last, abs=0.02)
    # How many reach a relevance is known as exactly as ranks are told apart.
    for cutoff in (0.01, 0.1, among - 1e-6, 0.999):
        reached = (calibration.relevance(np.sort(many), spread_of(many), "") >= cutoff).sum()
        assert reached / 1.4 <= calibration.fitting(spread_of(many), "", cutoff) <= reached
    # Falling scores, falling relevance, of all photos and of those between them.
    for scores in (np.sort(many), np.linspace(-1, 1, 999)):
        assert (np.diff(calibration.relevance(scores, spread_of(many), "")) >= 0).all()


def test_the_base_rate_is_kept():
    found, right, _ = drawn(TRUTH, -2.0)
    assert fit(found, right).predict(found).mean() == pytest.approx(right.mean(), abs=0.01)


def test_separable_examples_do_not_blow_up():
    found = np.zeros((100, 6))
    found[50:, 0] = 1
    calibration = fit(found, found[:, 0] > 0.5)
    assert calibration.predict(found[[0, 99]]) == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize("right", [np.ones(10, bool), np.zeros(10, bool)])
def test_examples_of_one_kind_do_not_do(right):
    with pytest.raises(ModelError, match="right and wrong"):
        fit(np.random.default_rng(0).random((10, 6)), right)


def test_features():
    spread, known = spread_of(np.array([0.5, 0.3, 0.2, 0.1])), Vocabulary({"dog": 200, "cat": 3})
    first, last = features(np.array([0.5, 0.1]), spread, "a dog and a cat", known)
    familiar = (np.log(201) + np.log(4)) / 2
    assert first == pytest.approx([0.5, np.log(4), 0, familiar, 0.2 / 2, 1 / 2])
    assert last == pytest.approx([0.1, np.log(4), np.log(4), familiar, 0.2 / 2, 1 / 2])
    lone = features(np.array([0.5]), spread_of(np.array([0.5])), "a man", Vocabulary())
    assert lone[0] == pytest.approx([0.5, 0, 0, 0, 0.5, 1])  # no word that says something is one
    assert features(np.zeros(0), spread_of(np.zeros(0)), "", known).shape == (0, 6)


def test_it_survives_json():
    calibration = Calibration(
        (12.5, -0.9, 0.7, 0.5, 0.0, 1.0), -2.0, 0.4, Vocabulary({"dog": 12}), {"photos": 1000}
    )
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "isotonic"},
        {"weights": {"score": 1}},
        {"bias": None},
        {"bias": "nan"},
        {"cutoff": "x"},
    ]
    + [{"weights": {"score": -1, "log_count": 0}}, {"weights": None}, {"bias": 1e999}]
    + [{"words": each} for each in (["dog"], {"dog": 2}, None)],
)
def test_a_damaged_description_is_refused(change):
    value = {**Calibration((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0).to_dict(), **change}
    with pytest.raises(ModelError, match="calibration"):
        Calibration.from_dict(value)


def test_one_made_before_some_features_were_known_is_read():
    value = Calibration((9.0, -0.5, 0.0, 0.0, 0.0, 0.0), -3.0).to_dict()
    value["weights"] = {"score": 9.0, "z": 0.0, "log_count": -0.5}
    del value["words"]
    assert Calibration.from_dict(value) == Calibration((9.0, -0.5, 0.0, 0.0, 0.0, 0.0), -3.0)
    value["weights"]["z"] = 0.7
    with pytest.raises(ModelError, match="of an older pairlight; export the model again"):
        Calibration.from_dict(value)


def test_a_model_may_carry_one():
    class Model:
        calibration = Calibration((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0).to_dict()

    assert Calibration.of(Model()) == Calibration((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0)
    assert Calibration.of(object()) is None


def test_reliability_by_hand():
    relevance = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    right = np.array([0, 0, 1, 1, 1])
    low, middle, high = reliability(relevance, right)
    assert (low.low, low.high, low.count, low.right) == (0.0, 0.1, 1, 0.0)
    assert (middle.count, middle.promised, middle.right) == (2, pytest.approx(0.15), 0.5)
    assert (high.count, high.promised, high.right) == (2, pytest.approx(0.975), 1.0)
    expected = (1 * 0.05 + 2 * 0.35 + 2 * 0.025) / 5
    assert expected_calibration_error(relevance, right) == pytest.approx(expected)
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) == 0


def test_coverage():
    captions = ["a red ball", "a ball and a dog", "blue sky"]
    found = coverage(captions, np.array([0, 0, 1]), 2)
    assert found == pytest.approx(np.array([[1, 0], [1, 0], [0, 1]]))
    assert coverage(["a dog", "a cat"], np.array([0, 1]), 2)[0, 1] == 0
    # A man with a dog is a man to who asks for no more, and a dog to who asks for both.
    found = coverage(["a man", "a man with a dog", "a dog"], np.arange(3), 3)
    assert found == pytest.approx(np.array([[1, 1, 0], [0, 1, 1], [0, 1, 1]]))


def collection(noise, photos=400, kinds=40, seed=0):
    """Photos of `kinds` things, captions that name the thing, embeddings that agree up to noise."""
    rng = np.random.default_rng(seed)
    things = unit(rng.standard_normal((kinds, 64)))
    kind = rng.integers(0, kinds, photos)
    images = unit(things[kind] + noise * unit(rng.standard_normal((photos, 64))))
    texts = unit(things[kind] + noise * unit(rng.standard_normal((photos, 64))))
    return (
        images,
        texts,
        np.arange(photos),
        [f"a z{chr(97 + k // 26)}{chr(97 + k % 26)}k" for k in kind],
    )


def test_examples_know_the_truth():
    images, texts, owner, captions = collection(noise=0.3)
    found, right = examples(images, texts, owner, captions, np.random.default_rng(0))
    assert len(found) == len(right) > 1000
    # With so little noise a right hit scores far above a wrong one.
    assert found[right, 0].min() > found[~right, 0].max()


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_whole_fit_is_calibrated_on_photos_it_has_not_seen(noise):
    calibration = fit_calibration(*collection(noise))
    found, right = examples(*collection(noise, seed=1), np.random.default_rng(5))
    assert expected_calibration_error(calibration.predict(found), right) < 0.06
    assert calibration.facts["photos"] == 400


def test_texts_of_unheard_of_words_are_believed_less():
    """Of half of the kinds of things the model has a wrong idea, as of what it never saw."""
    images, texts, owner, captions = collection(0.5)
    names = sorted(set(captions))
    known, fooled = set(names[::2]), np.random.default_rng(1)
    strange = np.array([each not in known for each in captions])
    texts[strange] = texts[fooled.permutation(np.flatnonzero(strange))]
    vocabulary = Vocabulary.of([each for each in captions if each in known] * 5)
    blind = fit_calibration(images, texts, owner, captions)
    seeing = fit_calibration(images, texts, owner, captions, vocabulary=vocabulary)
    assert blind.weights[3] == 0 < seeing.weights[3]
    assert (blind.cutoff, seeing.cutoff) == (PLAIN_CUTOFF, CUTOFF)
    spread, score = normal(0.0, 0.15, 100), np.array([0.7])
    one, two = (seeing.relevance(score, spread, each)[0] for each in (names[0], names[1]))
    assert one > two + 0.3
    assert blind.relevance(score, spread, names[0]) == blind.relevance(score, spread, names[1])
    assert Calibration.from_dict(json.loads(json.dumps(seeing.to_dict()))) == seeing


def test_pieces_of_a_caption():
    said = "A brown dog and two white cats run across the wet grass , tongues out ."
    assert pieces(said) == ["a brown dog", "two white cats run", "the wet grass", "tongues"]
    assert pieces("The man is with a woman .") == ["the man", "a woman"]
    assert pieces("There are two with the other one .") == []  # nothing that tells photos apart
    assert pieces("one two three four five") == []  # as long as a caption


def test_a_piece_of_each_caption_is_asked_too():
    captions = ["a dog on the grass", "the two", "a cat in a box"]
    short, of = questions(captions, np.array([0, 0, 1]))
    assert list(of) == [0, 1] and short[0] in ("a dog", "the grass")
    assert short[1] in ("a cat", "a box")
    again, _ = questions(captions, np.array([0, 0, 1]))
    assert again == short
    images, texts, owner, captions = collection(0.5)
    asked = []

    def encode(short):
        asked.extend(short)
        return texts[: len(short)]

    whole = fit_calibration(images, texts, owner, captions, encode=encode)
    assert len(asked) == len(captions) == whole.facts["pieces"] == whole.facts["captions"]
    assert whole.weights != fit_calibration(images, texts, owner, captions).weights


def test_present_and_absent_are_as_many_in_small_collections():
    images, texts, owner, captions = collection(0.3)
    found, _ = examples(images, texts, owner, captions, np.random.default_rng(0), [20])
    # Of 20 photos with a caption each at most 20 are asked for that are there, and as many not.
    assert len(found) <= 6 * 40 * len(ranks_of(20))


def test_hits_are_looked_at_among_the_first_and_further_down():
    assert list(ranks_of(3)) == [0, 1, 2] and list(ranks_of(20)) == [0, 1, 2, 3, 4, 7]
    assert list(ranks_of(100)) == [0, 1, 2, 3, 4, 7, 11, 16, 25, 37]


def test_too_few_photos_are_told():
    with pytest.raises(ModelError, match="right and wrong"):
        fit_calibration(*collection(0.5, photos=10))
