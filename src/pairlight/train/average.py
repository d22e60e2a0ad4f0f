"""Keeps a running average of the weights under training, which scores better than the last."""

import contextlib
from collections.abc import Iterator

import torch

from pairlight.models.dual_encoder import DualEncoder


class WeightAverage:
    """Exponential moving average of the trained weights (Polyak & Juditsky 1992).

    The decay rises to `decay` as (1 + step) / (10 + step), so that the first steps do not stay.
    """

    def __init__(self, model: DualEncoder, decay: float):
        self.decay = decay
        self.steps = 0
        self.weights = {
            name: each.detach().clone()
            for name, each in model.named_parameters()
            if each.requires_grad
        }

    @torch.no_grad()
    def update(self, model: DualEncoder) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = dict(model.named_parameters())
        for name, mean in self.weights.items():
            mean.lerp_(current[name].detach(), 1 - keep)

    @contextlib.contextmanager
    def applied(self, model: DualEncoder) -> Iterator[None]:
        """Put the average into the model, and the weights under training back afterwards."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: DualEncoder) -> None:
        current = dict(model.named_parameters())
        for name, mean in self.weights.items():
            held = current[name].detach().clone()
            current[name].copy_(mean)
            mean.copy_(held)

    def state_dict(self) -> dict:
        """Return what a checkpoint keeps."""
        return {"steps": self.steps, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """Take back what `state_dict` gave."""
        self.steps = state["steps"]
        for name, mean in self.weights.items():
            mean.copy_(state["weights"][name])
