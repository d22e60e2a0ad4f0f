"""Turns scores into the probability that a hit is right, and says how far to trust that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pairlight.errors import ModelError
from pairlight.search.matcher import Spread
from pairlight.search.vocabulary import Vocabulary
from pairlight.types import Json
from pairlight.words import content_words

KIND = "logistic"
FEATURES = ("score", "log_count", "log_rank", "familiarity", "level", "brevity")
# The signs that make sense. A higher score and words that the model knows well never make a hit
# less likely. In a larger collection something scores high by chance, unless much does: then the
# query asks for what many photos show. What half of the photos reach tells nothing, least of all
# for few words; and few words reach lower scores than many.
_SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
# What a model tells of its calibration if it was made before these were known.
_LATER = {"familiarity": 0.0, "log_rank": 0.0, "level": 0.0, "brevity": 0.0}
# Above these `pretrained` finds something for at most 5 % of what is not there, the second without
# knowing how familiar words are.
CUTOFF, PLAIN_CUTOFF = 0.2, 0.42


@dataclass(frozen=True)
class Calibration:
    """A logistic model of `FEATURES`, made monotone in the score.

    `cutoff` is the relevance below which a search shows nothing; `vocabulary` says how familiar a
    query is; `facts` tell what it was fitted on, for people.
    """

    weights: tuple[float, ...]
    bias: float
    cutoff: float = PLAIN_CUTOFF
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    facts: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (*self.weights, self.bias, self.cutoff)
        if len(self.weights) != len(FEATURES) or not all(map(math.isfinite, numbers)):
            raise ModelError("calibration: six weights, a bias and a cutoff, all finite, are due")
        if (np.asarray(self.weights) * _SIGNS < 0).any():
            raise ModelError("calibration: a weight has the wrong sign; fit it anew")

    def relevance(self, scores: np.ndarray, spread: Spread, text: str) -> np.ndarray:
        """Return the probability in [0, 1] of each score (m,) of a text to be a right hit's.

        A hit is as likely as any below it: many that follow closely speak for those above them,
        too, as in Benjamini and Hochberg, Controlling the False Discovery Rate, 1995.
        """
        weights = np.asarray(self.weights)
        own = features(scores, spread, text, self.vocabulary) @ weights
        rising = spread.scores[::-1]
        up_to = np.maximum.accumulate(features(rising, spread, text, self.vocabulary) @ weights)
        below = np.append(-np.inf, up_to)[np.searchsorted(rising, scores, "right")]
        return _sigmoid(np.maximum(own, below) + self.bias)

    def fitting(self, spread: Spread, text: str, cutoff: float) -> int:
        """Return how many photos at least reach a relevance of `cutoff` for a text."""
        reached = spread.ranks[self.relevance(spread.scores, spread, text) >= cutoff]
        return int(reached.max(initial=0))

    def predict(self, found: np.ndarray) -> np.ndarray:
        """Return probabilities (m,) of features (m, 6), each by itself."""
        return _sigmoid(found @ np.asarray(self.weights) + self.bias)

    def to_dict(self) -> Json:
        """Return it as plain values, for a model.json."""
        weights = dict(zip(FEATURES, self.weights, strict=True))
        return {"kind": KIND, "weights": weights, "bias": self.bias, "cutoff": self.cutoff,
                "facts": self.facts, "words": self.vocabulary.to_dict()}  # fmt: skip

    @classmethod
    def of(cls, model: object) -> Calibration | None:
        """Return the calibration that a loaded model carries, None where it has none."""
        value = getattr(model, "calibration", None)
        return cls.from_dict(value) if value else None

    @classmethod
    def from_dict(cls, value: Json) -> Calibration:
        """Return the calibration that `to_dict` described; raises `ModelError` for another kind."""
        try:
            weights = _LATER | value["weights"]
            if weights.pop("z", 0):  # a distance in standard deviations: of models before this one
                raise ValueError("it is of an older pairlight; export the model again")
            if value["kind"] != KIND or set(weights) != set(FEATURES):
                raise ValueError("of another kind")
            cutoff, facts = float(value.get("cutoff", 0.5)), dict(value.get("facts", {}))
            numbers = tuple(float(weights[name]) for name in FEATURES)
            vocabulary = Vocabulary.from_dict(value.get("words", {}))
            return cls(numbers, float(value["bias"]), cutoff, vocabulary, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibration of the model cannot be read: {error}") from None


def features(scores: np.ndarray, spread: Spread, text: str, known: Vocabulary) -> np.ndarray:
    """Return (m, 6) float64 of a text's `scores` (m,), in the order of `FEATURES`: each score, the
    logarithms of how many photos there are and of how many score as high, how familiar the text is
    to who has `known` words, and, for each of its words that say something, the score that half of
    the photos reach, and 1.
    """
    brevity = 1 / max(len(content_words(text)), 1)
    found = np.empty((len(scores), len(FEATURES)))
    size, familiar = math.log(max(spread.count, 1)), known.familiarity(text)
    found[:] = [0, size, 0, familiar, spread.median * brevity, brevity]
    found[:, 0], found[:, 2] = scores, spread.log_rank(scores)
    return found


def fit(
    found: np.ndarray,
    right: np.ndarray,
    ridge: float = 1e-4,
    vocabulary: Vocabulary | None = None,
    facts: Json | None = None,
) -> Calibration:
    """Return the calibration under which features (m, 6) best explain `right` (m,) bool.

    Penalised maximum likelihood by Newton's method on standardised features; a weight that would
    have the wrong sign is held at zero, so that relevance never falls as the score rises. Raises
    `ModelError` unless there are right and wrong examples.
    """
    found, right = np.asarray(found, np.float64), np.asarray(right, bool)
    if right.all() or not right.any() or not np.isfinite(found).all():
        raise ModelError("calibration: right and wrong examples are needed, all of them finite")
    weights, bias = _fit(found, right, found.std(axis=0) <= 1e-9, ridge)
    known = vocabulary or Vocabulary()
    cutoff = CUTOFF if known.counts else PLAIN_CUTOFF
    return Calibration(tuple(map(float, weights)), bias, cutoff, known, facts or {})


def _fit(
    found: np.ndarray, right: np.ndarray, held: np.ndarray, ridge: float
) -> tuple[np.ndarray, float]:
    """Return weights (6,) and bias; those of `held` and of the wrong sign are zero."""
    centre, scale = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-9)
    while True:
        weights, bias = _newton((found - centre) / scale, right, held, ridge)
        wrong = (weights * _SIGNS < 0) & ~held
        if not wrong.any():
            break
        held = held | wrong
    weights = np.where(held, 0.0, weights / scale)
    return weights, float(bias - weights @ centre)


def _newton(
    scaled: np.ndarray, right: np.ndarray, held: np.ndarray, ridge: float
) -> tuple[np.ndarray, float]:
    design = np.concatenate([scaled * ~held, np.ones((len(scaled), 1))], axis=1)
    penalty = np.array([ridge] * scaled.shape[1] + [0.0]) * len(scaled)
    theta = np.zeros(design.shape[1])
    for _ in range(100):
        guess = _sigmoid(design @ theta)
        gradient = design.T @ (guess - right) + penalty * theta
        bend = (design * (guess * (1 - guess))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(bend, gradient)
        # Far from the optimum the curvature is nearly nil, and a full step would leap past it.
        theta -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return theta[:-1], float(theta[-1])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # does not overflow


@dataclass(frozen=True)
class Bin:
    """Hits whose relevance lay between `low` and `high`: how many, promised and true share."""

    low: float
    high: float
    count: int
    promised: float
    right: float


def reliability(relevance: np.ndarray, right: np.ndarray, bins: int = 10) -> list[Bin]:
    """Return the reliability diagram of promised relevances (m,): equal-width bins, empty ones out.

    DeGroot and Fienberg, The Comparison and Evaluation of Forecasters, 1983.
    """
    relevance, right = np.asarray(relevance, np.float64), np.asarray(right, np.float64)
    place = np.minimum((relevance * bins).astype(int), bins - 1)
    found = []
    for each in np.unique(place):
        inside = place == each
        share, truth = float(relevance[inside].mean()), float(right[inside].mean())
        found.append(Bin(each / bins, (each + 1) / bins, int(inside.sum()), share, truth))
    return found


def expected_calibration_error(relevance: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Return the mean gap between promised and true share, weighted by bin (0 best, 1 worst).

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    diagram = reliability(relevance, right, bins)
    total = sum(each.count for each in diagram)
    return sum(each.count * abs(each.promised - each.right) for each in diagram) / max(total, 1)
