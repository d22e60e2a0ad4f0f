"""Hub correction: the formula, unit length, and what a checkpoint keeps of it."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pairlight.errors import ModelError
from pairlight.hubs import ROOM, as_queries, uncorrected
from pairlight.models.checkpoint import load_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.hubs import HubCorrection, without_hubs

DIM, TEMPERATURE = 16, 0.1


@pytest.fixture
def towers():
    """Corrections of images and texts, their banks (k, d) and shares, and unit rows to correct."""
    rng = torch.Generator().manual_seed(0)

    def unit(rows):
        x = torch.randn(rows, DIM, generator=rng)
        x[:, -2:] = 0  # so that leaving out the last two directions loses nothing
        return F.normalize(x, dim=1)

    hubs, banks = [], []
    for sign in (1, -1):
        shares = torch.rand(9, generator=rng) + 0.1
        bank = unit(9), shares / shares.sum()
        each = HubCorrection(DIM, 9, sign)
        each.fill(torch.eye(DIM)[:-2], *bank, TEMPERATURE)
        hubs.append(each)
        banks.append(bank)
    return hubs, banks, (unit(20), unit(30))


def test_hubness_is_the_soft_mean_of_cosines_to_the_bank(towers):
    for hubs, (bank, shares), x in zip(*towers, strict=True):
        cosines = x.double().numpy() @ bank.double().numpy().T
        want = TEMPERATURE * np.log(np.exp(cosines / TEMPERATURE) @ shares.double().numpy())
        np.testing.assert_allclose(hubs.hubness(x).numpy(), want, atol=1e-5)


def test_products_lose_the_hubness_of_both_sides(towers):
    (image_hubs, text_hubs), _, (images, texts) = towers
    excess = []
    for hubs, x in ((image_hubs, images), (text_hubs, texts)):
        hubs.center.fill_(hubs.hubness(x).mean())
        excess.append(
            (hubs.hubness(x) - hubs.center).clamp(-ROOM * math.pi / 4, ROOM * math.pi / 4)
        )
    a, b = image_hubs(images), text_hubs(texts)
    for rows in (a, b):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    bent = ROOM * torch.sin(excess[0][:, None] / ROOM + excess[1] / ROOM)
    torch.testing.assert_close(a @ b.T * (1 + ROOM), images @ texts.T - bent, atol=1e-5, rtol=0)
    # As long as corrections are small against the room, they are subtracted as they are.
    plain = images @ texts.T - excess[0][:, None] - excess[1]
    small = (excess[0][:, None] + excess[1]).abs() < ROOM / 4
    assert small.any()
    torch.testing.assert_close((a @ b.T * (1 + ROOM))[small], plain[small], atol=1e-3, rtol=0)


def test_more_alike_than_the_bank_allows_is_cut_not_turned_around(towers):
    (hubs, _), _, (images, _) = towers
    hubs.center.fill_(-5.0)  # everything is a hub
    turned = hubs(images)[:, -2:] * math.sqrt((1 + ROOM) / ROOM)
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0]).expand(len(images), 2))


def test_a_checkpoint_keeps_it_and_one_side_alone_is_refused(tmp_path, tiny_recipe):
    torch.manual_seed(0)
    model = DualEncoder.build(tiny_recipe.model).eval()
    scale = model.logit_scale.item()
    model.make_room_for_hubs(5, 7)
    assert model.corrects_hubs
    assert model.logit_scale.item() == pytest.approx(scale * (1 + ROOM))
    save_checkpoint(tmp_path / "a.pth", model)
    found, _ = load_checkpoint(tmp_path / "a.pth")
    features = torch.randn(3, model.text_encoder.dim)
    torch.testing.assert_close(found.project_texts(features), model.project_texts(features))
    model.image_hubs = torch.nn.Identity()
    save_checkpoint(tmp_path / "b.pth", model)
    with pytest.raises(ModelError, match="text_hubs"):
        load_checkpoint(tmp_path / "b.pth")
    model.forget_hubs()
    plain = without_hubs(torch.load(tmp_path / "a.pth", weights_only=True)["state_dict"])
    assert plain.keys() == model.state_dict().keys()


def test_training_leaves_it_alone(tiny_recipe):
    model = DualEncoder.build(tiny_recipe.model)
    model.make_room_for_hubs(5, 7)
    groups = model.set_trainable(99, 99)
    trained = {id(each) for group in groups.values() for each in group}
    assert not trained & {id(each) for each in model.image_hubs.parameters()}
    assert not any(each.requires_grad for each in model.text_hubs.parameters())


def test_queries_ask_as_if_no_text_were_a_hub(towers):
    (image_hubs, text_hubs), _, (images, texts) = towers
    text_hubs.center.fill_(text_hubs.hubness(texts).mean())
    image_hubs.center.fill_(image_hubs.hubness(images).mean())
    model = type("Corrected", (), {"corrects_hubs": True})()
    a, b = image_hubs(images).numpy(), text_hubs(texts).numpy()
    asked = as_queries(model, b)
    np.testing.assert_allclose(np.linalg.norm(asked, axis=1), 1, atol=1e-6)
    turn = ((image_hubs.hubness(images) - image_hubs.center) / ROOM).clamp(
        -math.pi / 4, math.pi / 4
    )
    want = images @ texts.T - ROOM * torch.sin(turn)[:, None]
    np.testing.assert_allclose(a @ asked.T * (1 + ROOM), want.numpy(), atol=1e-5)
    assert as_queries(object(), b) is b
    # What is left without the two numbers is the embedding as it was.
    np.testing.assert_allclose(uncorrected(model, b), texts[:, :-2].numpy(), atol=1e-6)
    assert uncorrected(object(), b) is b
