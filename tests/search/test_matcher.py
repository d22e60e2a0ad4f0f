"""The exact matcher against sorting all scores, and the spread it tells."""

import numpy as np
import pytest
from colours import unit
from hypothesis import given, settings
from hypothesis import strategies as st

from pairlight.errors import ModelError
from pairlight.search.matcher import ExactMatcher, ranks_up_to, spread_of


def slow(vectors, query, k, allowed=None):
    """Score in float64 one row at a time, sort all, cut after the ties of the k-th."""
    scored = []
    for row, vector in enumerate(vectors):
        if allowed is None or allowed[row]:
            score = float((vector.astype(float) * query.astype(float)).sum())
            scored.append((-min(max(score, -1), 1), row))  # a cosine, whatever was rounded
    scored.sort()
    kept = [pair for pair in scored if pair[0] <= scored[min(k, len(scored)) - 1][0]]
    return [row for _, row in kept], [-score for score, _ in kept]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_ranks_as_sorting_everything_does(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n, d = data.draw(st.integers(1, 300)), data.draw(st.sampled_from([2, 8, 64]))
    # Few distinct rows make ties; nearly equal ones tempt float32 to swap them.
    distinct = unit(rng.standard_normal((data.draw(st.integers(1, n)), d)))
    vectors = distinct[rng.integers(0, len(distinct), n)]
    if data.draw(st.booleans()):
        vectors = unit(vectors + rng.standard_normal(vectors.shape) * 1e-7)
    query = unit(rng.standard_normal((1, d)))[0]
    allowed = rng.random(n) < 0.5 if data.draw(st.booleans()) else None
    if allowed is not None and not allowed.any():
        allowed[0] = True
    k = data.draw(st.integers(1, n + 5))
    rows, scores, spread = ExactMatcher(vectors).best(query, k, allowed)
    expected_rows, expected_scores = slow(vectors, query, k, allowed)
    assert list(rows) == expected_rows
    assert list(scores) == expected_scores
    assert spread.count == n
    assert spread.median == pytest.approx(np.sort(vectors @ query)[::-1][n // 2], abs=1e-5)


def test_equal_vectors_tie_wherever_they_stand():
    vector = unit(np.random.default_rng(0).standard_normal((1, 256)))
    vectors = np.repeat(vector, 10_001, axis=0)
    rows, scores, _ = ExactMatcher(vectors).best(vector[0], 3)
    assert len(rows) == 10_001 and len(set(scores)) == 1


def test_nothing_to_find():
    rows, scores, spread = ExactMatcher(np.zeros((0, 4), np.float32)).best(np.ones(4), 5)
    assert len(rows) == len(scores) == spread.count == 0
    rows, _, spread = ExactMatcher(np.eye(4)).best(np.ones(4) / 2, 5, np.zeros(4, bool))
    assert len(rows) == 0 and spread.count == 4


def test_what_is_no_number_is_an_error():
    with pytest.raises(ModelError, match="not a number"):
        ExactMatcher(np.full((3, 4), np.nan)).best(np.ones(4), 1)


def test_spread():
    median, count, scores, ranks = spread_of(np.array([1.0, 3.0, 2.0]))
    assert (median, count, list(scores), list(ranks)) == (2, 3, [3, 2, 1], [1, 2, 3])
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(ModelError, match="not a number"):
            spread_of(np.array([0.1, wrong, 0.2]))


def test_ranks_grow_by_a_quarter_up_to_the_last():
    assert list(ranks_up_to(11)) == [1, 2, 3, 4, 5, 7, 9, 11] and list(ranks_up_to(1)) == [1]
    ranks = ranks_up_to(100_000)
    assert ranks[-1] == 100_000 and len(ranks) < 55
    assert (ranks[1:] <= np.maximum(ranks[:-1] + 1, 1.4 * ranks[:-1])).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**32), st.booleans())
def test_a_spread_knows_how_many_score_as_high(count, seed, ties):
    scores = np.random.default_rng(seed).normal(size=count).round(1 if ties else 9)
    spread = spread_of(scores)
    told = np.exp(spread.log_rank(np.unique(scores)))
    true = np.array([(scores >= each).sum() for each in np.unique(scores)])
    assert (np.diff(told) <= 0).all() and told[0] == pytest.approx(count)
    # Exact at the ranks it holds, and no further off elsewhere than these are from each other.
    assert (np.abs(np.log(told / true)) <= np.log(1.4) + 1e-9).all() or ties
    assert np.exp(spread.log_rank(spread.scores)) == pytest.approx(spread.ranks)
    assert spread.log_rank(np.array([99.0, -99.0])) == pytest.approx(
        [np.log(spread.ranks[0]), np.log(count)]
    )
