"""Int8 weights whose products with any activations fit into 16 bits, two by two."""

import numpy as np
import pytest

from pairlight.export.fitting import fits, to_fitting_int8
from pairlight.export.nodes import to_int8

RNG = np.random.default_rng(1)


def worst_sums(whole):
    """The largest and least sums of two neighbours times activations of 0 or 255."""
    padded = np.pad(whole.astype(int), ((0, 0), (0, whole.shape[1] % 2)))
    two = 255 * padded.reshape(len(whole), -1, 2)
    return np.maximum(two, 0).sum(2).max(), np.minimum(two, 0).sum(2).min()


@pytest.mark.parametrize("inputs", [1, 2, 7, 96])
def test_no_activations_overflow(inputs):
    weights = RNG.standard_t(2, (50, inputs)).astype(np.float32)
    whole, scale = to_fitting_int8(weights)
    high, low = worst_sums(whole)
    assert high <= 32767 and low >= -32768 and fits(whole)
    assert whole.dtype == np.int8 and scale.shape == (50, 1) and scale.dtype == np.float32
    error = np.square(whole * scale - weights).sum(1)
    plain, step = to_int8(weights, axis=1)
    # Seven bits would fit, too; this loses less.
    seven = np.square(np.rint(weights / (2 * step)) * 2 * step - weights).sum(1)
    assert error.sum() < 0.7 * seven.sum()
    assert fits(plain) == (inputs == 1)


def test_what_fits_already_and_what_is_nothing():
    weights = np.array([[127, -127, 1, 127], [0, 0, 0, 0]], np.float32)
    whole, scale = to_fitting_int8(weights)
    np.testing.assert_array_equal(whole, weights)
    np.testing.assert_array_equal(scale, [[1], [1]])
    assert not fits(np.array([[127, 2]], np.int8)) and not fits(np.array([[-100, -29]], np.int8))


def test_no_step_is_below_the_least():
    weights = RNG.normal(size=(4, 10)).astype(np.float32)
    least = np.array([[0.0], [1.0], [0.0], [0.5]])
    whole, scale = to_fitting_int8(weights, least)
    assert (scale >= least.astype(np.float32)).all() and fits(whole)
    np.testing.assert_array_equal(whole[[0, 2]], to_fitting_int8(weights[[0, 2]])[0])
