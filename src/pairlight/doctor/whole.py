"""Ranks photos by how likely all their captions belong to another, as when names were exchanged."""

import numpy as np

from pairlight.doctor.evidence import Space
from pairlight.doctor.logistic import fit_logistic
from pairlight.doctor.mismatch import Judge

_FITS = 3  # signals of a caption on a photo that ask nothing of the captions beside it
_DRAWS = 4  # strange photos that each set of captions is put on, to learn what wrong looks like


def photo_doubts(judge: Judge) -> np.ndarray:
    """Return (n,): log odds that a photo has the captions of another, drawn at random.

    Before any prior; NaN for a photo without captions. Captions of one photo agree with each other
    also where all are wrong, so only how they fit the photo counts: mean and best of each signal.
    A logistic model, fitted on the other folds, tells sets of captions on their photo from sets
    moved to another photo of their fold.
    """
    out = np.full(len(judge.images), np.nan)
    own, strange, whose = {}, [], []
    for fold, captions, _ in judge.folds():
        rows = np.unique(judge.owner[captions])
        if len(rows) < 2:
            continue
        spaces = judge.spaces(fold)
        sets = [np.flatnonzero(judge.owner == row) for row in rows]
        own[fold] = rows, _fits(spaces, sets, rows)
        for _ in range(_DRAWS):
            # A turn of a random order: every photo has another's captions.
            order = judge.rng.permutation(len(rows))
            places = np.empty_like(order)
            places[order] = np.roll(order, 1)
            strange.append(_fits(spaces, sets, rows[places]))
            whose.append(np.full(len(rows), fold))
    if len(own) < 2:
        return out
    wrong, fold_of = np.concatenate(strange), np.concatenate(whose)
    for fold, (rows, found) in own.items():
        right = np.concatenate([each for n, (_, each) in own.items() if n != fold])
        other = wrong[fold_of != fold]
        truth = np.repeat([False, True], [len(right), len(other)])
        weights, bias = fit_logistic(np.concatenate([right, other]), truth)
        out[rows] = found @ weights + bias - np.log(len(other) / len(right))
    return out


def better_photo(judge: Judge, row: int) -> tuple[float, int, float]:
    """Return how a photo's captions fit it, the other photo they fit best, and how they fit that.

    Means over the captions, in standard deviations above what each scores with photos on average.
    """
    captions = np.flatnonzero(judge.owner == row)
    spaces = judge.spaces(int(judge.fold[row]))
    fits = np.mean([space.fits(captions).mean(axis=0) for space in spaces], axis=0)  # (n,)
    own = float(fits[row])
    fits[row] = -np.inf
    return own, int(fits.argmax()), float(fits.max())


def _fits(spaces: list[Space], sets: list[np.ndarray], photos: np.ndarray) -> np.ndarray:
    """Return (k, s): mean and best of each signal of the sets of captions on `photos` (k,)."""
    captions = np.concatenate(sets)
    there = np.repeat(photos, [len(each) for each in sets])
    starts = np.cumsum([0, *(len(each) for each in sets)])[:-1]
    nobody = np.zeros((len(captions), 1), int)
    columns = []
    for space in spaces:
        for signal in space.signals(captions, there, nobody, nobody > 0)[:_FITS]:
            columns.append(np.add.reduceat(signal, starts) / [len(each) for each in sets])
            columns.append(np.maximum.reduceat(signal, starts))
    return np.stack(columns, axis=1)
