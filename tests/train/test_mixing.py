"""Mixup: what is drawn, what is mixed, and that loss and kept features follow."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pairlight import losses
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError
from pairlight.models.dual_encoder import DualEncoder
from pairlight.threads import untracked
from pairlight.train import epoch as epochs
from pairlight.train.kept import Kept
from pairlight.train.mixing import Mix, draw_mix
from pairlight.train.stem import Stem
from pairlight.train.trainer import train


def rows(count, seed, width=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator)


@pytest.mark.parametrize("chance", [0.5, 1.0])
def test_by_chance_photos_get_up_to_the_most_of_another(chance):
    mix = draw_mix(np.random.default_rng(0), 4000, 0.3, chance)
    assert sorted(mix.partner.tolist()) == list(range(4000))
    laid = mix.share[mix.share > 0]
    assert abs(len(laid) / 4000 - chance) < 0.05
    assert 0.13 < laid.mean() < 0.17 and laid.max() <= 0.3
    assert draw_mix(np.random.default_rng(0), 4000, 0) is None


def test_a_row_is_its_own_and_its_partner_s_by_share():
    mix = Mix(torch.tensor([2, 1, 0]), torch.tensor([0.25, 0.5, 0.0]))
    pixels = torch.tensor([0, 100, 200], dtype=torch.uint8).view(3, 1, 1, 1)
    assert mix(pixels).flatten().tolist() == [50, 100, 200]
    part = slice(1, 3)
    joined = mix.join(pixels[part], pixels[mix.partner[part]], part)
    assert torch.equal(joined, mix(pixels)[part])


def test_the_loss_counts_captions_by_their_photo_s_share():
    images, texts = F.normalize(rows(3, 0), dim=1), F.normalize(rows(3, 1), dim=1)
    owner, scale = torch.arange(3), torch.tensor(5.0)
    own = losses.owns(images, owner)
    plain = losses.info_nce(images, texts, owner, scale)
    torch.testing.assert_close(losses.info_nce(images, texts, owner, scale, own.float()), plain)
    # Photo 0 shows a fourth of photo 2. By hand: text 2 is 1 : 0.25 that of photos 2 and 0.
    shares = Mix(torch.tensor([2, 1, 0]), torch.tensor([0.25, 0.0, 0.0]))(own)
    assert shares.tolist() == [[0.75, 0, 0.25], [0, 1, 0], [0, 0, 1]]
    logits = scale * images @ texts.T
    by_text = (logits.T - logits.T.logsumexp(1, keepdim=True)).T
    to_image = -(by_text[0, 0] + by_text[1, 1] + 0.2 * by_text[0, 2] + 0.8 * by_text[2, 2]) / 3
    rivals = [logits[0, 1], logits[1, [0, 2]].logsumexp(0), logits[2, [0, 1]].logsumexp(0)]
    pairs = [(0, 0, 0.75), (0, 2, 0.25), (1, 1, 1), (2, 2, 1)]
    to_text = sum(w * F.softplus(rivals[i] - logits[i, j]) for i, j, w in pairs) / 3
    found = losses.info_nce(images, texts, owner, scale, shares)
    torch.testing.assert_close(found, (to_image + to_text) / 2)


def test_kept_features_are_mixed_across_chunks(tmp_path, tiny_recipe, sample_manifest):
    torch.manual_seed(0)
    model = DualEncoder.build(tiny_recipe.model).eval()
    photos = read_manifest(sample_manifest, "train")[:7]
    kept = Kept(Stem(model, 2, 1), photos, tmp_path, "cpu", untracked)
    order = [3, 1, 6, 0, 5]
    mix = draw_mix(np.random.default_rng(1), 5, 0.5)
    captions = np.arange(4)
    with torch.no_grad():
        found, texts = kept.upper(0, order, captions, 2, mix=mix)
        maps = mix(torch.from_numpy(np.array(kept.images(0)[order])))
        torch.testing.assert_close(found, kept.stem.upper_images(maps), atol=1e-7, rtol=1e-3)
        plain, same = kept.upper(0, order, captions, 2)
    assert torch.equal(texts, same) and not torch.allclose(found, plain, atol=0, rtol=0.05)


@pytest.mark.parametrize("views", [0, 1])
def test_a_run_mixes_and_draws_the_same_again(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch, views
):
    seen = []
    draw = epochs.draw_mix
    monkeypatch.setattr(epochs, "draw_mix", lambda *a: seen.append(draw(*a)) or seen[-1])
    stage = dataclasses.replace(tiny_recipe.stages[1], epochs=1, views=views)
    augment = dataclasses.replace(tiny_recipe.augment, mix=0.5, mix_prob=1.0)
    mixed = dataclasses.replace(tiny_recipe, stages=(stage,), augment=augment)
    first, again = (
        train(sample_manifest, mixed, tmp_path / name, device="cpu") for name in ("a", "b")
    )
    assert first.history[0]["loss"] == again.history[0]["loss"]
    assert len(seen) == 4 and all((mix.share > 0).all() for mix in seen)
    assert all(torch.equal(a.share, b.share) for a, b in zip(seen[:2], seen[2:], strict=True))
    plain = dataclasses.replace(mixed, augment=tiny_recipe.augment)
    other = train(sample_manifest, plain, tmp_path / "c", device="cpu")
    assert other.history[0]["loss"] != first.history[0]["loss"]
    assert seen[4:] == [None] * 2


def test_losses_that_do_not_know_shares_are_refused(tiny_recipe):
    augment = dataclasses.replace(tiny_recipe.augment, mix=0.5)
    for other in ({"loss": "sigmoid"}, {"soft_targets": 0.3}, {"hard_negatives": 1.0}):
        train = dataclasses.replace(tiny_recipe.train, **other)
        with pytest.raises(ConfigError, match=r"set augment\.mix=0 with"):
            dataclasses.replace(tiny_recipe, augment=augment, train=train)
    with pytest.raises(ConfigError, match=r"augment\.mix must be from 0 to 0\.5"):
        dataclasses.replace(augment, mix=0.6)
