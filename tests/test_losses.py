"""The loss against an obvious twin, and its promises."""

import math

import pytest
import torch
from torch.nn import functional as F

from pairlight import losses
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


def batch(images=5, seed=0, dim=8):
    generator = torch.Generator().manual_seed(seed)
    owner = torch.arange(images).repeat_interleave(2)
    draw = lambda n: F.normalize(torch.randn(n, dim, generator=generator), dim=-1)  # noqa: E731
    return draw(images), draw(2 * images), owner


def test_sigmoid_is_the_slow_obvious_sum():
    images, texts, owner = batch()
    scale = torch.tensor(7.0)
    bias = math.log((50 - 10) / 10)
    want = 0.0
    for i in range(5):
        for j in range(10):
            logit = 7.0 * float(images[i] @ texts[j]) - bias
            sign = 1 if owner[j] == i else -1
            want += math.log1p(math.exp(-sign * logit))
    assert losses.sigmoid(images, texts, owner, scale).item() == pytest.approx(want / 10, rel=1e-5)


def test_hardest_triplet_is_the_slow_obvious_one():
    images, texts, owner = batch()
    similarity = (images @ texts.T).tolist()
    want = 0.0
    for j in range(10):
        i = int(owner[j])
        wrong_text = max(similarity[i][other] for other in range(10) if owner[other] != i)
        wrong_image = max(similarity[other][j] for other in range(5) if other != i)
        for wrong in (wrong_text, wrong_image):
            want += max(0.0, 0.2 + wrong - similarity[i][j])
    assert losses.hardest_triplet(images, texts, owner).item() == pytest.approx(want / 10, rel=1e-5)


def test_hardest_triplet_is_zero_when_all_is_well():
    images = torch.eye(4)
    owner = torch.arange(4).repeat_interleave(2)
    assert losses.hardest_triplet(images, images[owner], owner).item() == 0


def test_caption_pairs_draws_captions_of_one_image_together():
    texts = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    owner = torch.arange(4).repeat_interleave(2)
    unit = lambda: F.normalize(texts, dim=-1)  # noqa: E731
    before = (unit()[0] @ unit()[1]).item()
    loss = losses.caption_pairs(unit(), owner, torch.tensor(5.0))
    loss.backward()
    with torch.no_grad():
        texts -= 0.5 * texts.grad
    assert (unit()[0] @ unit()[1]).item() > before
    assert losses.caption_pairs(unit()[::2], torch.arange(4), torch.tensor(5.0)).item() == 0


def test_soft_targets_ask_less_of_a_caption_that_means_the_same():
    images = torch.eye(3)
    owner = torch.arange(3)
    texts = F.normalize(images + torch.tensor([[0.0, 0.8, 0.0], [0.8, 0, 0], [0, 0, 0]]), dim=-1)
    alike = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    apart = torch.eye(3)
    scale = torch.tensor(5.0)
    # Captions 0 and 1 are mixed up: excused when they mean the same.
    excused = losses.soft_targets(images, texts, owner, scale, alike, 0.1)
    target = torch.softmax(alike @ alike.T / 0.1, 1)
    floor = -(target * target.clamp(min=1e-9).log()).sum(1).mean()
    blamed = losses.soft_targets(images, texts, owner, scale, apart, 0.1)
    assert excused - floor < blamed


def test_hard_soft_targets_are_plain_cross_entropy():
    images, texts, owner = batch()
    meaning = torch.eye(10)
    found = losses.soft_targets(
        images, texts[::2], owner[::2], torch.tensor(4.0), meaning[::2], 1e-3
    )
    plain = losses.info_nce(images, texts[::2], owner[::2], torch.tensor(4.0))
    assert found.item() == pytest.approx(plain.item(), rel=1e-5)


def test_distillation_rests_where_student_and_teacher_agree():
    images, texts = rows(4, 0).requires_grad_(), rows(7, 1)
    scale = torch.tensor(5.0)
    agreed = (scale * images @ texts.T).detach()
    losses.distillation(images, texts, scale, agreed).backward()
    assert images.grad is not None and images.grad.abs().max() < 1e-6
    entropy = (
        sum(-(p * p.log()).sum(1).mean() for p in (agreed.softmax(1), agreed.T.softmax(1))) / 2
    )
    torch.testing.assert_close(losses.distillation(images, texts, scale, agreed), entropy)
    other = losses.distillation(images, texts, scale, agreed.flip(0))
    assert other > entropy + 0.1
