"""Int8 twins: smaller, near, and the same whatever else is in the batch."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from pairlight.export.fitting import fits
from pairlight.export.nodes import constants_of, to_int8
from pairlight.export.quantize import lighten, quantize
from pairlight.runtime import sessions
from pairlight.runtime.sessions import embed, make_session

RNG = np.random.default_rng(0)


def model_of(nodes, inputs, output, constants):
    """Return an ONNX model of these nodes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    for number, node in enumerate(graph.node):
        node.name = f"node{number}"
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model, *arrays):
    return embed(make_session(model.SerializeToString(), "test"), *arrays)


def test_rounding_is_at_most_half_a_step():
    values = RNG.normal(size=(7, 50)).astype(np.float32)
    values[3] = 0
    whole, scale = to_int8(values, axis=1)
    assert whole.dtype == np.int8 and scale.shape == (7, 1) and whole.min() >= -127
    assert np.all(np.abs(whole * scale - values) <= scale / 2 + 1e-7)
    again, _ = to_int8(whole * scale, axis=1)
    np.testing.assert_array_equal(again, whole)


@pytest.fixture
def embedder():
    """An embedding table, a norm with an outlier channel, two products and a head."""
    gain = np.ones(64, np.float32)
    gain[5] = 60  # such channels are what smoothing is for
    constants = {
        "table": RNG.normal(size=(300, 64)).astype(np.float32),
        "gain": gain,
        "a": RNG.normal(size=(64, 80)).astype(np.float32) / 8,
        "b": RNG.normal(size=(64, 80)).astype(np.float32) / 8,
        "head": RNG.normal(size=(70, 80)).astype(np.float32) / 9,
        "shift": RNG.normal(size=70).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("LayerNormalization", ["x", "gain"], ["n"]),
        helper.make_node("MatMul", ["n", "a"], ["left"]),
        helper.make_node("MatMul", ["n", "b"], ["right"]),
        helper.make_node("Mul", ["left", "right"], ["both"]),
        helper.make_node("ReduceMean", ["both", "axis"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "head", "shift"], ["y"], transB=1),
    ]
    constants["axis"] = np.array([1], np.int64)
    inputs = [("ids", onnx.TensorProto.INT64, ["M", "L"])]
    return model_of(nodes, inputs, "y", constants)


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_products_tables_and_heads(embedder):
    feeds = [{"ids": RNG.integers(0, 300, (4, 9))} for _ in range(4)]
    before = embedder.SerializeToString()
    twin = quantize(embedder, feeds)
    assert embedder.SerializeToString() == before
    assert len(twin.SerializeToString()) < 0.4 * len(before)
    large = [v for v in constants_of(twin).values() if v.size > 4096]
    assert len(large) == 4 and all(each.dtype == np.int8 for each in large)
    ids = RNG.integers(0, 300, (32, 12))
    assert cosine(run(twin, ids), run(embedder, ids)).min() > 0.999


def test_smoothing_is_what_keeps_outliers_harmless(embedder):
    feeds = [{"ids": RNG.integers(0, 300, (4, 9))} for _ in range(4)]
    ids = RNG.integers(0, 300, (32, 12))
    want = run(embedder, ids)
    smooth, plain = quantize(embedder, feeds), quantize(embedder, [])
    assert 1 - cosine(run(smooth, ids), want).mean() < 0.5 * (
        1 - cosine(run(plain, ids), want).mean()
    )


def test_company_changes_nothing(embedder):
    twin = quantize(embedder, [{"ids": RNG.integers(0, 300, (4, 9))}])
    ids = RNG.integers(0, 300, (8, 12))
    together = run(twin, ids)
    for row in range(8):
        np.testing.assert_allclose(
            run(twin, ids[row : row + 1])[0], together[row], rtol=1e-4, atol=1e-4
        )


def test_one_table_read_twice():
    table = RNG.normal(size=(300, 64)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["x"]),
        helper.make_node("Gather", ["table", "j"], ["z"]),
        helper.make_node("Sub", ["x", "z"], ["y"]),
    ]
    inputs = [(name, onnx.TensorProto.INT64, ["M"]) for name in "ij"]
    model = model_of(nodes, inputs, "y", {"table": table})
    i, j = RNG.integers(0, 300, (2, 20))
    np.testing.assert_allclose(run(quantize(model, []), i, j), table[i] - table[j], atol=0.05)


@pytest.fixture
def network():
    """Seven convolutions with clipping, as in EfficientNet-Lite; groups and no bias among them."""
    constants, nodes, x = {}, [], "pixels"
    shapes = [(8, 3, 3), (8, 1, 3), (16, 8, 1), (16, 8, 3), (32, 16, 1), (32, 1, 3), (64, 32, 1)]
    for number, (out, into, kernel) in enumerate(shapes):
        size = (out, into, kernel, kernel)
        weight = RNG.normal(size=size) / np.sqrt(into * kernel**2) + 0.02
        constants[f"w{number}"] = weight.astype(np.float32)
        inputs = [x, f"w{number}"]
        if number != 4:
            constants[f"b{number}"] = RNG.normal(size=out).astype(np.float32) / 4
            inputs.append(f"b{number}")
        groups = {1: 8, 3: 2, 5: 32}.get(number, 1)
        pad = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [f"c{number}"], group=groups, pads=pad))
        nodes.append(helper.make_node("Clip", [f"c{number}", "low", "high"], [f"r{number}"]))
        x = f"r{number}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["p"]))
    nodes.append(helper.make_node("Flatten", ["p"], ["y"]))
    constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    shape = ["B", 3, 16, 16]
    return model_of(nodes, [("pixels", onnx.TensorProto.FLOAT, shape)], "y", constants)


def photos(count):
    return RNG.normal(size=(count, 3, 16, 16)).astype(np.float32)


def test_convolutions(network):
    twin = quantize(network, [{"pixels": photos(8)} for _ in range(4)])
    pixels = photos(16)
    got, want = run(twin, pixels), run(network, pixels)
    assert cosine(got, want).min() > 0.99
    kinds = {v.dtype for k, v in constants_of(twin).items() if k.startswith("c6.weight")}
    assert np.dtype(np.int8) in kinds
    np.testing.assert_array_equal(constants_of(twin)["w0"], constants_of(network)["w0"])  # the stem
    np.testing.assert_allclose(run(twin, pixels[:1])[0], got[0], atol=1e-6)


def test_rounding_shifts_no_channel_on_average(network):
    """The twin's mean output is nearer the original's than without the correction of biases."""
    from pairlight.export import convolutions

    feeds = [{"pixels": photos(8)} for _ in range(8)]
    fixed, _ = convolutions._rounded(network, feeds)
    bare = onnx.ModelProto()
    bare.CopyFrom(fixed)
    old = constants_of(network)
    for item in bare.graph.initializer:
        number = item.name[1]
        if item.name.endswith(".bias") and f"b{number}" in old:
            item.CopyFrom(numpy_helper.from_array(old[f"b{number}"], item.name))
    pixels = photos(64)
    want = run(network, pixels).mean(0)
    error = [np.abs(run(each, pixels).mean(0) - want).mean() for each in (fixed, bare)]
    assert error[0] < 0.7 * error[1]


@pytest.fixture
def fitting_twin(network):
    weights = {item.name: item for item in network.graph.initializer}
    faint = numpy_helper.to_array(weights["w2"]).copy()
    faint[5] *= 1e-9  # beside its bias nothing: steps have to be wider than 127 of them need
    weights["w2"].CopyFrom(numpy_helper.from_array(faint, "w2"))
    return quantize(network, [{"pixels": photos(8)} for _ in range(4)])


def test_a_models_products_fit(fitting_twin):
    constants, seen = constants_of(fitting_twin), 0
    for name, value in constants.items():
        if name.endswith(".weight_quantized") and value.shape[1] > 1:
            assert value.dtype == np.int8, name
            assert fits(np.moveaxis(value, 1, -1).reshape(len(value), -1)), name
            seen += 1
    assert seen >= 3
    made_by = {name: node for node in fitting_twin.graph.node for name in node.output}
    for node in (each for each in fitting_twin.graph.node if each.op_type == "Conv"):
        parts = [made_by.get(name) for name in node.input]
        if len(parts) == 3 and all(parts):  # what ONNX Runtime needs to see an integer product
            x, weight, bias = (constants[part.input[1]] for part in parts)
            np.testing.assert_allclose(bias, x * weight, rtol=1e-6)


def test_exact_products_give_the_same(fitting_twin):
    """Where they saturate (x86 without VNNI), what the weights allow must not."""
    content, pixels = fitting_twin.SerializeToString(), photos(16)
    found = []
    for exact in ("0", "1"):
        options = ort.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", exact)
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found.append(sessions.embed(session, pixels))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("marked", [False, True])
def test_exact_products_are_not_asked_for_where_all_fit(monkeypatch, fitting_twin, marked):
    monkeypatch.setattr(sessions, "products_saturate", lambda: True)
    assert [each.key for each in fitting_twin.metadata_props] == [sessions.FITS]
    if not marked:
        del fitting_twin.metadata_props[:]
    session = sessions.make_session(fitting_twin.SerializeToString(), "image.onnx")
    ask = session.get_session_options().get_session_config_entry
    if marked:
        with pytest.raises(RuntimeError):
            ask("session.x64quantprecision")
    else:
        assert ask("session.x64quantprecision") == "1"


def test_other_products_are_not_said_to_fit(network):
    weight = RNG.normal(size=(64, 96)).astype(np.float32)
    network.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    network.graph.node[-1].output[0] = "flat"
    network.graph.node.append(helper.make_node("MatMul", ["flat", "w"], ["y"], name="product"))
    twin = quantize(network, [{"pixels": photos(8)}])
    assert any(node.op_type == "MatMulInteger" for node in twin.graph.node)
    assert sessions.FITS not in [each.key for each in twin.metadata_props]


def test_light_weights_of_convolutions_have_a_scale_an_output_channel():
    weight = RNG.normal(size=(16, 256, 3, 3)).astype(np.float32)
    weight[3] *= 50  # one scale for all would leave nothing of the others
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    floats = ("x", onnx.TensorProto.FLOAT, [1, 256, 8, 8])
    model = model_of([node], [floats], "y", {"w": weight})
    twin = lighten(model)
    x = RNG.normal(size=(1, 256, 8, 8)).astype(np.float32)
    want, found = run(model, x), run(twin, x)
    for channel in range(16):
        error = np.abs(found[0, channel] - want[0, channel]).max()
        assert error < 0.03 * np.abs(want[0, channel]).max()
    assert not np.array_equal(found, want)
    assert twin.ByteSize() < 0.3 * model.ByteSize()
