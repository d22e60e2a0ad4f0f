"""Gives the contrastive losses: embeddings and ownership in, one number out.

Everywhere `images` (B, d) and `texts` (M, d) are of unit length, and `owner` (M,) gives each
text's image. Captions of one image are joint positives: none is ever another's negative.
"""

import torch
from torch.nn import functional as F


def info_nce(
    images: torch.Tensor,
    texts: torch.Tensor,
    owner: torch.Tensor,
    scale: torch.Tensor,
    shares: torch.Tensor | None = None,
) -> torch.Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP) with joint positives.

    Text to image: cross-entropy over the B images. Image to text: each own caption against the
    captions of other images only, so that captions of one image never compete with each other.
    Equal to the plain symmetric loss when every image has one caption. Where images are mixed,
    `shares` (B, M) tells how much each has of the image of each text, in place of `owner`.
    """
    logits = scale * images @ texts.T  # (B, M), rows are images
    if shares is None:
        shares = owns(images, owner).float()
    text_to_image = F.cross_entropy(logits.T, (shares / shares.sum(0)).T)
    own = shares > 0
    others = torch.logsumexp(logits.masked_fill(own, float("-inf")), dim=1, keepdim=True)  # (B, 1)
    # -log(e^p / (e^p + sum of others)) = softplus(others - p)
    image_to_text = (F.softplus(others - logits) * shares).sum() / shares.sum()
    return (text_to_image + image_to_text) / 2


def sigmoid(
    images: torch.Tensor, texts: torch.Tensor, owner: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Pairwise sigmoid loss (SigLIP, Zhai et al. 2023), averaged over texts.

    Its bias is not learned but set so that a batch of unrelated pairs starts balanced: the log of
    the number of negatives for each positive.
    """
    own = owns(images, owner)
    positives = own.sum().clamp(min=1)
    bias = ((own.numel() - positives) / positives).clamp(min=1).log()
    logits = scale * images @ texts.T - bias
    return F.softplus(torch.where(own, -logits, logits)).sum() / len(texts)


def hardest_triplet(
    images: torch.Tensor, texts: torch.Tensor, owner: torch.Tensor, margin: float = 0.2
) -> torch.Tensor:
    """Triplet loss on the hardest negative in the batch, both ways (VSE++, Faghri et al. 2018)."""
    similarity = images @ texts.T  # (B, M)
    others = similarity.masked_fill(owns(images, owner), float("-inf"))
    positive = similarity[owner, torch.arange(len(texts), device=owner.device)]  # (M,)
    wrong_text = (margin + others.amax(1)[owner] - positive).clamp(min=0)
    wrong_image = (margin + others.amax(0) - positive).clamp(min=0)
    return (wrong_text + wrong_image).mean()


def caption_pairs(texts: torch.Tensor, owner: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """InfoNCE among captions alone: those of one image belong together; 0 without such a pair."""
    logits = scale * texts @ texts.T  # (M, M)
    same = owner.unsqueeze(0) == owner.unsqueeze(1)
    pairs = same & ~torch.eye(len(texts), dtype=torch.bool, device=owner.device)
    if not pairs.any():
        return logits.sum() * 0
    others = torch.logsumexp(logits.masked_fill(same, float("-inf")), dim=1, keepdim=True)
    return F.softplus(others - logits)[pairs].mean()


def soft_targets(
    images: torch.Tensor,
    texts: torch.Tensor,
    owner: torch.Tensor,
    scale: torch.Tensor,
    meaning: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Cross-entropy against targets softened by how alike captions are in meaning.

    `meaning` (M, t) of unit length comes from a frozen sentence encoder. An image is as near to a
    caption as its own captions are on average, and at distance zero to its own.
    """
    own = owns(images, owner)
    alike = torch.zeros(len(images), len(texts), dtype=meaning.dtype, device=meaning.device)
    alike.index_add_(0, owner, meaning @ meaning.T)
    alike /= own.sum(1, keepdim=True).clamp(min=1)
    alike = alike.masked_fill(own, 1.0) / temperature  # (B, M)
    logits = scale * images @ texts.T
    text_to_image = F.cross_entropy(logits.T, alike.T.softmax(1))
    image_to_text = F.cross_entropy(logits, alike.softmax(1))
    return (text_to_image + image_to_text) / 2


def distillation(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy against a teacher's rankings, both ways (Hinton et al. 2015).

    `wanted` (B, M) are the teacher's logits for the same images and texts. Captions of one image
    share its row as the teacher shares it out among them.
    """
    logits = scale * images @ texts.T
    image_to_text = F.cross_entropy(logits, wanted.softmax(1))
    text_to_image = F.cross_entropy(logits.T, wanted.T.softmax(1))
    return (image_to_text + text_to_image) / 2


def class_names(
    images: torch.Tensor, names: torch.Tensor, scale: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy between what a classifier makes of images and their nearness to its classes.

    `names` (K, d) are embeddings of the classes' names, `wanted` (B, K) their probabilities. Where
    K is a part of all classes an image counts by what they have of its probability.
    """
    found = (scale * images @ names.T).log_softmax(1)
    return -(wanted * found).sum() / wanted.sum().clamp(min=1e-6)


def owns(images: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Return (B, M) bool: whether a text belongs to an image."""
    return owner.unsqueeze(0) == torch.arange(len(images), device=owner.device).unsqueeze(1)


LOSSES = {"info_nce": info_nce, "sigmoid": sigmoid}
