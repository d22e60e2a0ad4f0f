"""Joins an image and a text encoder with projection heads and a learnable logit scale."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from pairlight.config import ModelConfig
from pairlight.errors import ConfigError, choose
from pairlight.hubs import ROOM
from pairlight.models.hubs import HubCorrection
from pairlight.models.image_encoders import ImageEncoder, build_image_encoder
from pairlight.models.pooling import IMAGE_POOLING, TEXT_POOLING
from pairlight.models.text_encoders import TextEncoder, build_text_encoder
from pairlight.models.tokenizer import Tokenizer


class MLPHead(nn.Module):
    """Residual two-layer projection head: (B, in) -> (B, out)."""

    def __init__(self, dim: int, out: int, dropout: float):
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(out, out), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the projection, not yet of unit length."""
        x = self.linear(x)
        return self.norm(x + self.mlp(x))


PROJECTIONS: dict[str, Callable[[int, int, float], nn.Module]] = {
    "linear": lambda dim, out, dropout: nn.Linear(dim, out),
    "mlp": MLPHead,
}


class DualEncoder(nn.Module):
    """CLIP-style dual encoder (Radford et al. 2021); its embeddings are of unit length."""

    def __init__(self, config: ModelConfig, image_encoder: ImageEncoder, text_encoder: TextEncoder):
        super().__init__()
        head = choose(PROJECTIONS, config.projection, "model.projection")
        image_pool = choose(IMAGE_POOLING, config.image_pooling, "model.image_pooling")
        text_pool = choose(TEXT_POOLING, config.text_pooling, "model.text_pooling")
        self.config = config
        self.region_dropout = 0.0
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.tokenizer = Tokenizer(text_encoder.tokenizer, config.max_tokens)
        self.image_pool = image_pool(image_encoder.dim)
        self.text_pool = text_pool(text_encoder.dim)
        self.image_head = head(image_encoder.dim, config.embed_dim, config.dropout)
        self.text_head = head(text_encoder.dim, config.embed_dim, config.dropout)
        # Fitted when training has ended: `train.hubs`.
        self.image_hubs: nn.Module = nn.Identity()
        self.text_hubs: nn.Module = nn.Identity()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / config.init_temperature)))

    @classmethod
    def build(cls, config: ModelConfig) -> "DualEncoder":
        """Return the configured model with pretrained (or random) encoders and new heads.

        Raises `ConfigError` for captions longer than the text encoder can read.
        """
        image = build_image_encoder(
            config.image_encoder, config.image_size, config.pretrained, config.image_weights
        )
        text = build_text_encoder(config.text_encoder, config.pretrained)
        if text.positions is not None and config.max_tokens > text.positions:
            raise ConfigError(
                f"model.max_tokens is {config.max_tokens}; text encoder {config.text_encoder!r} "
                f"reads at most {text.positions} tokens"
            )
        return cls(config, image, text)

    @property
    def logit_scale(self) -> torch.Tensor:
        """The inverse temperature that multiplies cosines, clamped above."""
        scale = self.log_scale.exp().clamp(max=self.config.max_logit_scale)
        return scale * (1 + ROOM) if self.corrects_hubs else scale

    @property
    def corrects_hubs(self) -> bool:
        """Whether hub correction is part of the model."""
        return self.hub_prototypes is not None

    @property
    def hub_prototypes(self) -> tuple[int, int] | None:
        """How many prototypes correct images and texts; None without hub correction."""
        hubs = [
            each for each in (self.image_hubs, self.text_hubs) if isinstance(each, HubCorrection)
        ]
        return (hubs[0].prototypes, hubs[1].prototypes) if len(hubs) == 2 else None

    def make_room_for_hubs(self, image_prototypes: int, text_prototypes: int) -> None:
        """Add hub correction of these sizes, to be filled with what was fitted."""
        self.image_hubs = HubCorrection(self.config.embed_dim, image_prototypes, 1)
        self.text_hubs = HubCorrection(self.config.embed_dim, text_prototypes, -1)

    def forget_hubs(self) -> None:
        """Take hub correction away: it does not fit what training makes of the model."""
        self.image_hubs, self.text_hubs = nn.Identity(), nn.Identity()

    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pooled features (B, C) float32 of pixels (B, 3, H, W) uint8."""
        return self.pool_regions(self.image_encoder(pixels).float())

    def pool_regions(self, regions: torch.Tensor) -> torch.Tensor:
        """Return features (B, C) of regions (B, R, C); in training some regions are left out.

        Each image loses a share of its regions between none and `region_dropout` (the size
        augmentation of Chen et al. 2021).
        """
        kept = regions.new_ones(regions.shape[:2], dtype=torch.bool)
        if self.training and self.region_dropout > 0:
            share = self.region_dropout * torch.rand(len(regions), 1, device=regions.device)
            kept = torch.rand(kept.shape, device=regions.device) >= share
            kept[:, 0] |= ~kept.any(1)
        return self.image_pool(regions, kept)

    def pool_tokens(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return features (M, C) of hidden states (M, L, C) and mask (M, L) bool."""
        return self.text_pool(hidden.float(), mask)

    def text_features(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return pooled features (M, C) float32 of tokens (M, L)."""
        return self.pool_tokens(self.text_encoder(tokens, mask), mask)

    def project_images(self, features: torch.Tensor) -> torch.Tensor:
        """Return embeddings (B, embed_dim) of unit length from pooled features."""
        return self.image_hubs(F.normalize(self.image_head(features), dim=-1))

    def project_texts(self, features: torch.Tensor) -> torch.Tensor:
        """Return embeddings (M, embed_dim) of unit length from pooled features."""
        return self.text_hubs(F.normalize(self.text_head(features), dim=-1))

    def forward(self, pixels: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor):
        """Return image (B, d) and text (M, d) embeddings."""
        images = self.project_images(self.image_features(pixels))
        return images, self.project_texts(self.text_features(tokens, mask))

    @property
    def _heads(self) -> tuple[nn.Module, ...]:
        return self.image_pool, self.text_pool, self.image_head, self.text_head

    def set_trainable(self, image_blocks: int, text_layers: int) -> dict[str, list[nn.Parameter]]:
        """Freeze all but the heads and the last blocks and layers; return what trains, by group."""
        self.requires_grad_(False)
        groups = {
            "heads": [p for head in self._heads for p in head.parameters()],
            "scale": [self.log_scale],
            "image": _last(self.image_encoder.blocks, image_blocks),
            "text": _last(list(self.text_encoder.layers), text_layers),
        }
        for parameters in groups.values():
            for parameter in parameters:
                parameter.requires_grad_(True)
        return groups


def _last(modules: list[nn.Module], count: int) -> list[nn.Parameter]:
    chosen = modules[max(0, len(modules) - count) :]
    return [parameter for module in chosen for parameter in module.parameters()]
