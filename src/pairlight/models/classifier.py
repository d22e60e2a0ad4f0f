"""Finds the classes that an image encoder was pretrained to tell, with their names in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pairlight.config import ModelConfig
from pairlight.models.image_encoders import ImageEncoder, full_state
from pairlight.models.weights import PACKAGED, packaged_file, read_state_dict


@dataclass(frozen=True)
class Classifier:
    """The last layer of an ImageNet network: `weight` (K, C), `bias` (K,), and K `names`.

    It takes the mean (n, C) of the encoder's regions.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    names: tuple[str, ...]


def classifier_of(config: ModelConfig, encoder: ImageEncoder) -> Classifier | None:
    """Return the classifier that belongs to the configured encoder's pretrained weights.

    None where the weights hold none of ImageNet's 1,000 classes, or where `encoder` is of a kind
    whose classifier may take something else than the mean of its regions.
    """
    if not (config.pretrained and encoder.divisible):
        return None
    if config.image_weights is not None:
        state: Mapping[str, torch.Tensor] = read_state_dict(Path(config.image_weights))
    elif config.image_encoder in PACKAGED:
        state = read_state_dict(packaged_file(config.image_encoder))
    else:
        state = full_state(config.image_encoder)
    names = _imagenet_names()
    for key, weight in state.items():
        bias = state.get(key.removesuffix("weight") + "bias")
        if weight.shape == (len(names), encoder.dim) and bias is not None:
            return Classifier(weight.float(), bias.float(), names)
    return None


def _imagenet_names() -> tuple[str, ...]:
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])
