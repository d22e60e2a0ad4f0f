"""Runs the frozen lower part of a model once, and the trained part on what it gave."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pairlight.models.dual_encoder import DualEncoder


@dataclass(frozen=True)
class Stem:
    """A model divided below its last `blocks` image blocks and `layers` text layers.

    What the lower part gives is kept as float16 arrays: of images pooled features (n, C) where
    nothing above them is trained, else regions (n, R, C) or feature maps (n, h, w, C); of texts
    pooled features (m, C) or hidden states (tokens, C).
    """

    model: DualEncoder
    blocks: int
    layers: int

    @property
    def possible(self) -> bool:
        """Whether both encoders can be divided there."""
        image, text = self.model.image_encoder, self.model.text_encoder
        return (self.blocks == 0 or image.divisible) and (self.layers == 0 or text.divisible)

    @property
    def pools_images(self) -> bool:
        """Whether images are kept pooled."""
        return self.blocks == 0 and _fixed(self.model.image_pool)

    @property
    def pools_texts(self) -> bool:
        """Whether texts are kept pooled."""
        return self.layers == 0 and _fixed(self.model.text_pool)

    def lower_images(self, pixels: torch.Tensor) -> np.ndarray:
        """Return what to keep of pixels (B, 3, H, W) uint8."""
        encoder = self.model.image_encoder
        with torch.inference_mode():
            if self.pools_images:
                x = self.model.image_features(pixels)
            elif self.blocks == 0:
                x = encoder(pixels)
            else:
                x = encoder.lower(pixels, self.blocks).permute(0, 2, 3, 1)
            return x.half().cpu().numpy()

    def upper_images(self, kept: torch.Tensor) -> torch.Tensor:
        """Return pooled features (B, C) float32 of kept rows."""
        if kept.ndim == 2:
            return kept.float()
        if kept.ndim == 4:
            x = kept.float().permute(0, 3, 1, 2)  # channels last in memory, as the network wants
            return self.model.pool_regions(self.model.image_encoder.upper(x, self.blocks).float())
        return self.model.pool_regions(kept.float())

    def lower_texts(self, tokens: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        """Return what to keep of tokens (M, L): (M, C) pooled or (M, L, C)."""
        encoder = self.model.text_encoder
        with torch.inference_mode():
            if self.pools_texts:
                x = self.model.text_features(tokens, mask)
            elif self.layers == 0:
                x = encoder(tokens, mask)
            else:
                x = encoder.lower(tokens, mask, self.layers)
            return x.half().cpu().numpy()

    def upper_texts(self, kept: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return pooled features (M, C) float32 of kept rows, (M, C) or (M, L, C)."""
        if kept.ndim == 2:
            return kept.float()
        hidden = kept.float()
        if self.layers:
            hidden = self.model.text_encoder.upper(hidden, mask, self.layers)
        return self.model.pool_tokens(hidden, mask)


def _fixed(module: nn.Module) -> bool:
    return not any(True for _ in module.parameters())
