"""The loss against an obvious twin, and its promises."""

import math

import pytest
import torch
from torch.nn import functional as F

from pairlight.losses import info_nce


def rows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 8, generator=generator), dim=1)


def twin(images, texts, owner, scale):
    """The definition, by loops."""
    to_image, to_text = [], []
    for j, text in enumerate(texts):
        scores = [scale * float(text @ image) for image in images]
        own = scores[owner[j]]
        to_image.append(-own + math.log(sum(math.exp(s) for s in scores)))
        others = [
            scale * float(images[owner[j]] @ t) for k, t in enumerate(texts) if owner[k] != owner[j]
        ]
        to_text.append(-own + math.log(math.exp(own) + sum(math.exp(s) for s in others)))
    return (sum(to_image) / len(to_image) + sum(to_text) / len(to_text)) / 2


@pytest.mark.parametrize("owner", [[0, 1, 2, 3], [0, 0, 1, 2, 2, 2, 3]])
def test_against_the_twin(owner):
    images, texts = rows(4, 0), rows(len(owner), 1)
    found = info_nce(images, texts, torch.tensor(owner), torch.tensor(7.0))
    assert found.item() == pytest.approx(twin(images, texts, owner, 7.0), abs=1e-5)


def test_one_caption_each_is_the_plain_symmetric_loss():
    images, texts = rows(5, 0), rows(5, 1)
    logits = 3 * images @ texts.T
    target = torch.arange(5)
    plain = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(info_nce(images, texts, target, torch.tensor(3.0)), plain)


def test_captions_of_one_image_do_not_compete():
    """A sibling caption that fits as well as one's own must not raise the image-to-text loss."""
    images, texts = rows(3, 0), rows(3, 1)
    owner = torch.arange(3)
    doubled = info_nce(
        images, texts.repeat_interleave(2, 0), owner.repeat_interleave(2), torch.tensor(1.0)
    )
    # Twice the captions of others are twice the rivals; own siblings are none.
    logits = images @ texts.T
    others = (2 * logits.exp().masked_fill(torch.eye(3).bool(), 0)).sum(1).log()
    to_text = F.softplus(others - logits.diagonal()).mean()
    want = (F.cross_entropy(logits.T, owner) + to_text) / 2
    torch.testing.assert_close(doubled, want)


def test_gradient_flows_and_is_finite_for_one_image():
    images = rows(1, 0).requires_grad_()
    loss = info_nce(images, rows(2, 1), torch.tensor([0, 0]), torch.tensor(100.0))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(images.grad).all()
