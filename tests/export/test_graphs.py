"""Exported graphs compute what the torch model computes, whatever its parts."""

import dataclasses

import numpy as np
import pytest
import torch

from pairlight.errors import ModelError
from pairlight.export.graphs import OPSET, TabulatedPool, export_graphs
from pairlight.export.quantize import quantize
from pairlight.models.checkpoint import load_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.hubs import HubCorrection
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
    dual.make_room_for_hubs(5, 7)
    for parameter in (*dual.image_pool.parameters(), *dual.text_pool.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)  # pools that start from the mean would hide
    check(dual, export_graphs(dual))


def test_hub_correction_keeps_float_arithmetic_in_int8():
    torch.manual_seed(0)
    hubs = HubCorrection(64, 80, 1).eval()  # wide enough to be worth an int8 twin
    hubs.temperature.fill_(0.2)
    x = torch.nn.functional.normalize(torch.randn(6, 64), dim=1)
    graph = torch.onnx.export(
        torch.nn.Sequential(hubs).eval(),
        (x,),
        input_names=["x"],
        dynamic_shapes=({0: torch.export.Dim("B")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    ).model_proto  # type: ignore[union-attr]
    twin = quantize(graph, [{"x": x.numpy()}])
    # Its one product is a Gemm, like a head, whose weights alone become int8.
    assert [node.op_type for node in twin.graph.node if "MatMul" in node.op_type] == []
    (product,) = (node for node in twin.graph.node if node.op_type == "Gemm")
    made = {node.output[0] for node in twin.graph.node if node.op_type == "DequantizeLinear"}
    assert product.input[1] in made
    with torch.inference_mode():
        want = hubs(x).numpy()
    for each, least in ((graph, 1 - 1e-6), (twin, 0.999)):
        found = embed(make_session(each.SerializeToString(), "hubs"), x.numpy())
        assert np.sum(want * found, axis=1).min() > least


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
