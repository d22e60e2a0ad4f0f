"""Takes out of embeddings how readily they match anything at all."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from pairlight.hubs import ROOM


class HubCorrection(nn.Module):
    """One tower's correction of unit embeddings (B, d), which stay of unit length and d numbers.

    Some photos are near to captions of every kind, and so rank high for all of them: hubs
    (Radovanović et al. 2010). The cure of Smith et al. 2017 (inverted softmax) and Bogolin et al.
    2022 (querybank normalisation) takes from each cosine what a bank of training queries finds on
    average: T log mean exp(cosine / T), T being the model's temperature. It depends on one side
    alone, so it can be stored in the embedding, and neither an index nor a query need know of it.

    The bank is held as `count` prototypes, centres of k-means that each stand for a share of it.
    Of the d directions the two in which embeddings vary least give way to two numbers, a vector
    turned by an angle: one way for images (`sign` 1), the other for texts (-1), such that it adds
    -sin(a + b) to the product of an image turned by a and a text turned by b. All of it is fitted,
    not trained: see `train.hubs`.
    """

    temperature: torch.Tensor
    center: torch.Tensor

    def __init__(self, dim: int, count: int, sign: int):
        super().__init__()
        self.sign, self.kept, self.prototypes = sign, dim - 2, count
        # Rows: the directions that stay, then the prototypes, with T log share as their bias.
        self.linear = nn.Linear(dim, self.kept + count)
        self.linear.requires_grad_(False)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("center", torch.zeros(()))

    @torch.no_grad()
    def fill(
        self,
        basis: torch.Tensor,
        prototypes: torch.Tensor,
        shares: torch.Tensor,
        temperature: float,
    ) -> None:
        """Take orthonormal rows `basis` (d - 2, d), `prototypes` (k, d) and `shares` (k,)."""
        self.temperature.fill_(temperature)
        self.linear.weight.copy_(torch.cat([basis, prototypes]))
        self.linear.bias.copy_(torch.cat([basis.new_zeros(len(basis)), temperature * shares.log()]))

    def hubness(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B,): how near unit embeddings (B, d) are to the bank, in units of cosine."""
        return self._hubness(self.linear(x)[:, self.kept :])

    def _hubness(self, nearness: torch.Tensor) -> torch.Tensor:
        return self.temperature * (nearness / self.temperature).logsumexp(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return corrected embeddings (B, d) of unit length."""
        kept, nearness = self.linear(x).split([self.kept, self.prototypes], 1)
        # Past an eighth of a turn each, the sine of their sum would fall again.
        limit = math.pi / 4
        turn = ((self._hubness(nearness) - self.center) / ROOM).clamp(-limit, limit)
        angle = (self.sign * (limit + turn)).unsqueeze(1)
        added = math.sqrt(ROOM) * torch.cat([angle.cos(), angle.sin()], 1)
        return torch.cat([F.normalize(kept, dim=1), added], 1) / math.sqrt(1 + ROOM)


def without_hubs(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a model's weights without its correction of hubs."""
    parts = ("image_hubs.", "text_hubs.")
    return {name: each for name, each in weights.items() if not name.startswith(parts)}
