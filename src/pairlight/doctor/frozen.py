"""Gives the features of image and text encoders as pretrained, before any captioned photo."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from pairlight.embed import pick_device
from pairlight.models.dual_encoder import DualEncoder
from pairlight.recipes import load_recipe
from pairlight.runtime.batches import text_batches

_TEXTS = 64


class FrozenEncoders:
    """The encoders of a recipe with their pretrained weights: pooled features, no heads.

    `encode_pixels` gives (n, p) and `encode_texts` (m, q), in spaces of their own. `sha256` is of
    the encoders' weights.
    """

    name = "frozen"

    def __init__(self, device: str = "auto", recipe: str = "small"):
        chosen = load_recipe(recipe)
        # The smaller of the recipe's sizes: it is quicker, and there are no crops to make up for.
        config = dataclasses.replace(chosen.model, image_size=chosen.view_size)
        self.device = pick_device(device)
        self.dual = DualEncoder.build(config).to(self.device).eval()
        self.image_size = config.image_size
        digest = hashlib.sha256(f"{config.image_size} {config.max_tokens}".encode())
        for encoder in (self.dual.image_encoder, self.dual.text_encoder):
            for name, tensor in encoder.state_dict().items():
                digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        self.sha256 = digest.hexdigest()

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return pooled features (n, p) float32 of pixels (n, S, S, 3) uint8."""
        with torch.inference_mode():
            channels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
            return self.dual.image_features(channels_first).float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return pooled features (m, q) float32 of texts."""
        tokenizer = self.dual.tokenizer
        ids = [each.ids for each in tokenizer(list(texts))]
        parts: dict[int, np.ndarray] = {}
        with torch.inference_mode():
            for rows in text_batches(ids, _TEXTS):
                tokens, mask = tokenizer.pad([ids[row] for row in rows])
                found = self.dual.text_features(tokens.to(self.device), mask.to(self.device))
                parts.update(zip(rows, found.float().cpu().numpy(), strict=True))
        return np.stack([parts[row] for row in range(len(ids))])
