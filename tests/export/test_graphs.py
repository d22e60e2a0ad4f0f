"""Exported graphs compute what the torch model computes, whatever its parts."""

import dataclasses

import numpy as np
import pytest
import torch

from pairlight.errors import ModelError
from pairlight.export.graphs import TabulatedPool, export_graphs
from pairlight.export.quantize import quantize
from pairlight.models.checkpoint import load_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.pooling import GeneralizedPool
from pairlight.runtime.sessions import embed, make_session


def inputs(dual, count=3, length=9):
    rng = np.random.default_rng(0)
    size = dual.config.image_size
    pixels = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    tokens = rng.integers(5, 100, (count, length))
    mask = np.arange(length) < rng.integers(1, length + 1, (count, 1))
    return pixels, tokens, mask


def check(dual, graphs):
    pixels, tokens, mask = inputs(dual)
    image = make_session(graphs["image"].SerializeToString(), "image.onnx")
    text = make_session(graphs["text"].SerializeToString(), "text.onnx")
    with torch.inference_mode():
        images, texts = dual(*map(torch.from_numpy, (pixels, tokens, mask)))
    np.testing.assert_allclose(embed(image, pixels), images.numpy(), atol=1e-5)
    np.testing.assert_allclose(embed(text, tokens, mask), texts.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "parts",
    [
        {"image_pooling": "gpo", "text_pooling": "gpo"},
        {"image_pooling": "attention", "text_pooling": "max", "projection": "linear"},
        {"image_encoder": "timm:test_vit", "image_size": 160, "text_pooling": "cls"},
    ],
    ids=["gpo", "attention", "transformer"],
)
def test_any_parts(tiny_recipe, parts):
    torch.manual_seed(0)
    dual = DualEncoder.build(dataclasses.replace(tiny_recipe.model, **parts)).eval()
    for parameter in (*dual.image_pool.parameters(), *dual.text_pool.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)  # pools that start from the mean would hide
    check(dual, export_graphs(dual))


def test_hub_correction_is_part_of_the_graph_and_keeps_float_arithmetic(tiny_recipe):
    torch.manual_seed(0)
    # As wide as it takes for products to be worth an int8 twin.
    dual = DualEncoder.build(dataclasses.replace(tiny_recipe.model, embed_dim=64)).eval()
    dual.make_room_for_hubs(80, 90)
    for hubs in (dual.image_hubs, dual.text_hubs):
        hubs.temperature.fill_(0.2)
    graphs = export_graphs(dual)
    check(dual, graphs)
    pixels, tokens, mask = inputs(dual)
    feeds = {"image": {"pixels": pixels}, "text": {"tokens": tokens, "mask": mask}}
    for tower, graph in graphs.items():
        twin = quantize(graph, [feeds[tower]])
        # The correction's one product is a Gemm, whose weights alone become int8.
        heads = [node for node in twin.graph.node if node.op_type == "Gemm"]
        assert len(heads) >= 1
        weights = {name for node in heads for name in node.input}
        made = {n.output[0] for n in twin.graph.node if n.op_type == "DequantizeLinear"}
        assert len(weights & made) >= 1
        want, found = (
            embed(make_session(each.SerializeToString(), tower), *feeds[tower].values())
            for each in (graph, twin)
        )
        assert np.sum(want * found, axis=1).min() > 0.98


def test_the_model_itself_is_left_as_it_was(tiny_checkpoint):
    dual, _ = load_checkpoint(tiny_checkpoint)
    before = {name: value.clone() for name, value in dual.state_dict().items()}
    attention = dual.text_encoder.bert.config._attn_implementation
    graphs = export_graphs(dual)
    assert dual.text_encoder.bert.config._attn_implementation == attention
    for name, value in dual.state_dict().items():
        assert torch.equal(value, before[name])
    check(dual, graphs)


def test_nothing_of_this_machine_is_in_the_files(exported):
    for name in ("image.onnx", "text.onnx"):
        content = (exported / name).read_bytes()
        assert b"site-packages" not in content and b".py" not in content and b"/home" not in content


@pytest.mark.parametrize("count", range(1, 8))
def test_a_tabulated_pool_is_the_pool(count):
    torch.manual_seed(count)
    pool = GeneralizedPool(12).eval()
    x = torch.randn(4, count, 12)
    mask = torch.arange(count) < torch.randint(1, count + 1, (4, 1))
    with torch.no_grad():
        torch.testing.assert_close(TabulatedPool(pool, 7)(x, mask), pool(x, mask))


def test_what_cannot_be_exported_is_one_line(tiny_checkpoint):
    class Odd(torch.nn.Module):
        def forward(self, x, mask):
            return x[:, 0] if float(x.sum()) > 0 else x[:, -1]

    dual, _ = load_checkpoint(tiny_checkpoint)
    dual.image_pool = Odd()
    with pytest.raises(ModelError, match="cannot be written as ONNX") as caught:
        export_graphs(dual)
    assert "\n" not in str(caught.value)
