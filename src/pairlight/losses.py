"""Gives the contrastive losses: similarities and ownership in, one number out."""

import torch
from torch.nn import functional as F


def info_nce(
    images: torch.Tensor, texts: torch.Tensor, owner: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP) with joint positives.

    `images` (B, d) and `texts` (M, d) of unit length; `owner` (M,) gives each text's image.
    Text to image: cross-entropy over the B images. Image to text: each own caption against the
    captions of other images only, so that captions of one image never compete with each other.
    Equal to the plain symmetric loss when every image has one caption.
    """
    logits = scale * images @ texts.T  # (B, M), rows are images
    own = owner.unsqueeze(0) == torch.arange(len(images), device=owner.device).unsqueeze(1)
    text_to_image = F.cross_entropy(logits.T, owner)
    others = torch.logsumexp(logits.masked_fill(own, float("-inf")), dim=1, keepdim=True)  # (B, 1)
    # -log(e^p / (e^p + sum of others)) = softplus(others - p)
    image_to_text = F.softplus(others - logits)[own].mean()
    return (text_to_image + image_to_text) / 2


LOSSES = {"info_nce": info_nce}
