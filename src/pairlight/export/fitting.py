"""Rounds weights to int8 so that integer products are exact on every processor."""

import numpy as np

# A uint8 activation of 255 times this is the largest sum that fits in 16 signed bits.
_MOST = 128
# Widths of steps that are tried, from the plain one to the one at which nothing has to be clipped.
_TRIES = 13


def to_fitting_int8(
    weights: np.ndarray, least: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 values of weights (outputs, inputs) and float32 scales, (outputs, 1).

    x86 without VNNI multiplies uint8 activations by int8 weights and adds neighbours two by two in
    16 bits, where large ones overflow. Here the two weights of a pair that have the same sign come
    to 128 at most, so that no activations can overflow. Of several widths of a step each output
    gets the one whose error is least: wide steps round more, narrow ones clip more pairs. No scale
    is below `least`, a number or one for each output (outputs, 1).
    """
    plain = np.maximum(np.abs(weights).max(axis=1, keepdims=True) / 127, least)
    plain = np.where(plain > 0, plain, 1).astype(np.float32)
    widest = np.maximum(1, _pair_sums(weights / plain).max(axis=1, keepdims=True) / _MOST)
    best, scale, lowest = np.zeros(weights.shape), plain, np.full(plain.shape, np.inf)
    for part in np.linspace(0, 1, _TRIES):
        step = (plain * (1 + part * (widest - 1))).astype(np.float32)
        whole = _clipped(np.rint(weights / step).clip(-127, 127))
        error = ((whole * step - weights) ** 2).sum(axis=1, keepdims=True)
        better = error < lowest
        best, scale = np.where(better, whole, best), np.where(better, step, scale)
        lowest = np.where(better, error, lowest)
    return best.astype(np.int8), scale


def fits(whole: np.ndarray) -> bool:
    """Return whether int8 weights (outputs, inputs) are such as `to_fitting_int8` gives."""
    return bool((_pair_sums(whole.astype(np.int32)) <= _MOST).all())


def _pairs(weights: np.ndarray) -> np.ndarray:
    """Return (outputs, pairs, 2): inputs two by two as processors take them, 0 at an odd end."""
    odd = weights.shape[1] % 2
    return np.pad(weights, ((0, 0), (0, odd))).reshape(len(weights), -1, 2)


def _pair_sums(weights: np.ndarray) -> np.ndarray:
    """Return (outputs, pairs): the absolute sums of pairs of one sign, else the larger of both."""
    two = _pairs(weights)
    up, down = np.maximum(two, 0).sum(axis=2), np.maximum(-two, 0).sum(axis=2)
    return np.maximum(up, down)


def _clipped(whole: np.ndarray) -> np.ndarray:
    """Return whole weights (outputs, inputs) with pairs that come to too much made smaller."""
    two = _pairs(whole)
    excess = np.maximum(_pair_sums(whole) - _MOST, 0)  # none where signs differ: 127 at most
    # Both give way, by halves; the second by the odd step.
    less = np.stack([np.floor(excess / 2), np.ceil(excess / 2)], axis=2)
    return (two - np.sign(two) * less).reshape(len(whole), -1)[:, : whole.shape[1]]
