"""Lays photos of a batch over one another: mixup, on pixels or on what is kept of them."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Mix:
    """Which photo of the batch is laid over each, `partner` (B,), and its `share` (B,) float32.

    Mixup (Zhang et al. 2018) makes photos that cannot be learnt by heart. Applied to what a frozen
    network makes of photos it is manifold mixup (Verma et al. 2019).
    """

    partner: torch.Tensor
    share: torch.Tensor

    def to(self, device: str | torch.device) -> "Mix":
        """Return the same on another device."""
        return Mix(self.partner.to(device), self.share.to(device))

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (B, …) in float32, each mixed with its partner's."""
        return self.join(rows, rows[self.partner], slice(None))

    def join(self, own: torch.Tensor, others: torch.Tensor, part: slice) -> torch.Tensor:
        """Return the rows of `part` mixed with their partners' rows, in float32."""
        share = self.share[part].to(own.device).view(-1, *[1] * (own.ndim - 1))
        return own.float().lerp(others.float(), share)


def draw_mix(rng: np.random.Generator, count: int, most: float, chance: float = 0.5) -> Mix | None:
    """Return how to mix `count` photos, each by `chance` with up to `most` of another one.

    None where none is to be mixed.
    """
    if not most:
        return None
    shares = np.where(rng.random(count) < chance, rng.uniform(0, most, count), 0)
    partner = torch.from_numpy(rng.permutation(count))
    return Mix(partner, torch.from_numpy(shares.astype(np.float32)))
