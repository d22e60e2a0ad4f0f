"""Starts linear heads from a regularised canonical correlation analysis of the features."""

import numpy as np
import torch
from torch import nn

from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.class_names import ClassNames
from pairlight.train.kept import Kept

ROWS = 1000  # Images whose features are in memory at once.
# What the names of classes have of the covariance: half of it where photos are as many as FEW.
CLASS_SHARE, FEW = 0.2, 200


class Moments:
    """Mean and covariance of matching rows x and y, gathered part by part in float64."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, torch.zeros(0), torch.zeros(0)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Take rows x (m, C) and y (m, D)."""
        rows = torch.cat([x, y], 1).double()
        if not self.count:
            width = rows.shape[1]
            self.total, self.products = rows.new_zeros(width), rows.new_zeros(width, width)
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> torch.Tensor:
        """(C + D,)"""
        return self.total / self.count

    @property
    def covariance(self) -> torch.Tensor:
        """(C + D, C + D)"""
        return self.products / self.count - torch.outer(self.mean, self.mean)


@torch.no_grad()
def fit_heads(
    model: DualEncoder, kept: Kept, ridge: float, chunk: int, classes: ClassNames | None = None
) -> float:
    """Set both linear heads to the canonical directions of a split's features.

    Regularised canonical correlation analysis (Vinod 1976; Hardoon et al. 2004): both features are
    whitened, `ridge` times their mean variance added to every variance, and rotated such that
    corresponding coordinates correlate most. Coordinates weigh by the square root of their
    correlation. Weights keep the size that a random start has. Where the features have fewer
    directions than the embedding, the rest starts at random, a tenth as large. With `classes` their
    names count as captions, of what the classifier looks for. Returns the largest correlation.
    """
    model.eval()
    moments = Moments()
    rows = kept.rows()
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        captions = np.concatenate([kept.captions_of[row] for row in part])
        images, texts = kept.upper(0, part, captions, chunk)
        moments.add(images.cpu()[np.searchsorted(part, kept.owner[captions])], texts.cpu())
    split = model.image_encoder.dim
    covariance = moments.covariance
    if classes is not None:
        share = max(CLASS_SHARE, FEW / (FEW + len(rows)))
        covariance = covariance.lerp(_of_classes(classes, covariance, split), share)
    correlations, *directions = canonical(covariance, split, ridge)
    means = moments.mean.split([split, model.text_encoder.dim])
    for head, found, mean in zip(_linear_heads(model), directions, means, strict=True):
        _start(head, (found * correlations.sqrt()).T, mean)
    return float(correlations[0])


def _of_classes(classes: ClassNames, covariance: torch.Tensor, split: int) -> torch.Tensor:
    """Return the covariance of classes and their names, the former as large as photos' features."""
    looks_for = classes.classifier.weight.double()
    looks_for = looks_for - looks_for.mean(0)
    size = covariance[:split, :split].trace().sqrt()
    looks_for *= size / looks_for.norm(dim=1, keepdim=True).clamp(min=1e-12)
    moments = Moments()
    moments.add(looks_for, classes.features().cpu().double())
    return moments.covariance


def canonical(
    covariance: torch.Tensor, split: int, ridge: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return correlations (k,) and directions (C, k) and (D, k) of covariance (C + D, C + D).

    The first `split` = C coordinates are one side; k is min(C, D).
    """
    left = _inverse_root(covariance[:split, :split], ridge)
    right = _inverse_root(covariance[split:, split:], ridge)
    u, s, v = torch.linalg.svd(left @ covariance[:split, split:] @ right, full_matrices=False)
    return s, left @ u, right @ v.T


def _inverse_root(covariance: torch.Tensor, ridge: float) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=0) + ridge * values.mean().clamp(min=1e-12)
    return vectors / values.sqrt() @ vectors.T


def _linear_heads(model: DualEncoder) -> tuple[nn.Linear, nn.Linear]:
    heads = model.image_head, model.text_head
    assert isinstance(heads[0], nn.Linear)  # the recipe checks its projection
    assert isinstance(heads[1], nn.Linear)
    return heads[0], heads[1]


def _start(head: nn.Linear, weight: torch.Tensor, mean: torch.Tensor) -> None:
    """Give `head` (d, C) the rows of `weight` (k, C) and the bias that takes the mean away."""
    weight = weight[: head.out_features]
    weight = weight * (head.weight.std() / weight.std())
    head.weight[len(weight) :] /= 10
    head.weight[: len(weight)] = weight
    head.bias.copy_(-head.weight @ mean.to(head.weight))
