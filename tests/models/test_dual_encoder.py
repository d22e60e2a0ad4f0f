"""The dual encoder: unit length, clamped scale, choices, staged unfreezing."""

import dataclasses

import pytest
import torch

from pairlight.errors import ConfigError
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.pooling import ClsPool, MaxPool, MeanPool


@pytest.fixture
def model(tiny_recipe):
    torch.manual_seed(0)
    return DualEncoder.build(tiny_recipe.model)


def batch(model, texts=("a dog", "two men cook")):
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    tokens, mask = model.tokenizer.pad([each.ids for each in model.tokenizer(list(texts))])
    return pixels, tokens, mask


@pytest.mark.parametrize("embed_dim", [256, 512])
@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_embeddings_are_of_unit_length(tiny_recipe, embed_dim, projection):
    config = dataclasses.replace(tiny_recipe.model, embed_dim=embed_dim, projection=projection)
    model = DualEncoder.build(config)
    for rows in model(*batch(model)):
        assert rows.shape == (2, embed_dim)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))


def test_captions_longer_than_the_text_encoder_reads(tiny_recipe):
    longest = dataclasses.replace(tiny_recipe.model, max_tokens=512)
    model = DualEncoder.build(longest)
    tokens, mask = model.tokenizer.pad([each.ids for each in model.tokenizer(["dog " * 600])])
    assert tokens.shape == (1, 512) and model.text_features(tokens, mask).shape == (1, 32)
    longer = dataclasses.replace(longest, max_tokens=513)
    with pytest.raises(ConfigError, match="max_tokens is 513; .* reads at most 512 tokens"):
        DualEncoder.build(longer)


def test_the_scale_is_clamped(model):
    with torch.no_grad():
        model.log_scale.fill_(50)
    assert model.logit_scale.item() == 100


@pytest.mark.parametrize("field", ["projection", "image_pooling", "text_pooling"])
def test_wrong_choices_are_listed(tiny_recipe, field):
    config = dataclasses.replace(tiny_recipe.model, **{field: "nope"})
    with pytest.raises(ConfigError, match="unknown model.*nope.*choose from .*m"):
        DualEncoder.build(config)


def test_only_what_is_unfrozen_moves(model):
    groups = model.set_trainable(image_blocks=1, text_layers=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for each in groups.values() for p in each], lr=1)
    images, texts = model.train()(*batch(model))
    (1 - (images * texts).sum(1).mean() * model.logit_scale).backward()
    optimizer.step()
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert any(name.startswith("image_head") for name in moved)
    assert any(name.startswith("text_encoder.bert.encoder.layer.1") for name in moved)
    assert not any("encoder.layer.0" in name or "embeddings" in name for name in moved)
    last = {id(p) for p in model.image_encoder.blocks[-1].parameters()}
    named = dict(model.named_parameters())
    assert {id(named[n]) for n in moved if n.startswith("image_encoder")} == last


def test_freezing_again_trains_the_heads_only(model):
    model.set_trainable(3, 2)
    groups = model.set_trainable(0, 0)
    assert groups["image"] == groups["text"] == []
    heads = {id(p) for p in groups["heads"] + groups["scale"]}
    assert {id(p) for p in model.parameters() if p.requires_grad} == heads


def test_pooling_minds_the_mask():
    x = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    assert MeanPool()(x, mask).tolist() == [[2.0, -3.0]]
    assert MaxPool()(x, mask).tolist() == [[3.0, -1.0]]
    assert ClsPool()(x, mask).tolist() == [[1.0, -5.0]]
