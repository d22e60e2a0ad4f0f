"""Quantizes the convolutions of a graph with static ranges, by ONNX Runtime's own tool."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from pairlight.export.fitting import to_fitting_int8
from pairlight.export.nodes import add_constants, constants_of, drop_unused, to_int8
from pairlight.runtime.sessions import FITS, make_session

Feed = dict[str, np.ndarray]
Whole = tuple[np.ndarray, np.ndarray]  # int8 values and float32 scales

# Convolutions at full resolution see the pixels' whole range, and are hardly any of the weights:
# on Flickr8k leaving the first three alone raised the mean cosine from 0.9977 to 0.9987.
_STEM = 3
_QUANTIZED = "_quantized"  # what ONNX Runtime's tool adds to names
_BACK = "DequantizeLinear"
_INT32 = np.iinfo(np.int32)


def quantize_convolutions(model: ModelProto, feeds: Sequence[Feed]) -> ModelProto:
    """Return a twin with int8 convolutions, ranges found on `feeds`; all else stays as it is.

    Their integer products fit into 16 bits (export/fitting.py). The twin says so to `make_session`
    unless it has others, as a vision transformer does.
    """
    model, fitting = _rounded(model, feeds)
    with tempfile.TemporaryDirectory(prefix="pairlight-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            quantize_static(
                source,
                target,
                _Reader(feeds),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Add", "Clip", "Relu", "MaxPool"],
                nodes_to_quantize=_backbone(model),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            logging.disable(before)
        twin = onnx.load(target)
    _fit(twin, constants_of(model), fitting)
    if all(node.op_type != "MatMulInteger" for node in twin.graph.node):
        helper.set_model_props(twin, {FITS: "yes"})
    return twin


def _rounded(model: ModelProto, feeds: Sequence[Feed]) -> tuple[ModelProto, dict[str, Whole]]:
    """Return a twin whose weights are whole int8 steps, their mean error taken off the biases.

    With it come, by name, weights as they were rounded where they have to fit.

    Rounding shifts what a channel gives on average, and shifts add up from layer to layer; the
    inputs' means tell by how much. Source: Nagel et al. 2019, Data-Free Quantization, section 4.2.
    On Flickr8k it takes the error that rounding weights makes from 0.0018 to 0.0003 of the cosine.
    """
    twin = ModelProto()
    twin.CopyFrom(model)
    constants = constants_of(twin)
    chosen = set(_backbone(twin))
    nodes = [n for n in twin.graph.node if n.op_type == "Conv" and n.name in chosen]
    nodes = [node for node in nodes if node.input[1] in constants]
    means = _means(model, list(dict.fromkeys(node.input[0] for node in nodes)), feeds)
    fitting: dict[str, Whole] = {}
    for node in nodes:
        weight, out = constants[node.input[1]], node.output[0]
        if _multiplies(weight):
            fitting[f"{out}.weight"] = whole, scale = _to_fitting(weight)
        else:
            whole, scale = to_int8(weight, axis=tuple(range(1, weight.ndim)))
        rounded = whole * scale
        error = (rounded - weight).sum(axis=tuple(range(2, weight.ndim)))  # (O, C / groups)
        groups = next((each.i for each in node.attribute if each.name == "group"), 1)
        mean = means[node.input[0]].reshape(groups, -1, 1)
        shift = (error.reshape(groups, -1, error.shape[1]) @ mean).ravel()
        bias = constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight))
        new = {f"{out}.weight": rounded, f"{out}.bias": (bias - shift).astype(np.float32)}
        add_constants(twin, new)
        del node.input[1:]
        node.input.extend(new)
    drop_unused(twin)
    return twin, fitting


def _multiplies(weight: np.ndarray) -> bool:
    """Return whether weights (O, C / groups, ...) make matrix products: not if depthwise."""
    return weight.shape[1] > 1


def _to_fitting(weight: np.ndarray, least: np.ndarray | float = 0.0) -> Whole:
    """Return int8 weights (O, C / groups, ...) that fit, and scales (O, 1, ...) from `least` on."""
    last = np.moveaxis(weight, 1, -1)  # input channels are neighbours, pixels of a kernel are not
    whole, scale = to_fitting_int8(last.reshape(len(weight), -1), least)
    ones = (1,) * (weight.ndim - 1)
    return np.moveaxis(whole.reshape(last.shape), -1, 1), scale.reshape(-1, *ones)


def _fit(twin: ModelProto, floats: dict[str, np.ndarray], fitting: dict[str, Whole]) -> None:
    """Give a quantized model's convolutions their own steps back.

    `floats` are its weights, `fitting` the whole ones that fit: ONNX Runtime has divided them by
    smaller steps. But one that it widened, because a bias needs more than 32 bits otherwise,
    stays as wide.
    """
    items = {item.name: item for item in twin.graph.initializer}
    made_by = {name: node for node in twin.graph.node for name in node.output}

    def put(name: str, value: np.ndarray) -> None:
        items[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))

    for node in (each for each in twin.graph.node if each.op_type == "Conv"):
        parts = [part for part in map(made_by.get, node.input) if part is not None]
        if len(parts) < len(node.input) or {part.op_type for part in parts} != {_BACK}:
            continue  # computed in floats
        x, weight, *bias = parts
        name = weight.input[0].removesuffix(_QUANTIZED)
        if name not in fitting:
            continue
        whole, scale = fitting[name]
        theirs = numpy_helper.to_array(items[weight.input[1]]).reshape(scale.shape)
        wide = (theirs > scale).ravel()
        if wide.any():
            whole, scale = whole.copy(), scale.copy()
            least = theirs[wide].reshape(-1, 1)
            whole[wide], scale[wide] = _to_fitting(floats[name][wide], least)
        put(weight.input[0], whole)
        put(weight.input[1], scale.ravel())
        for each in bias:
            step = numpy_helper.to_array(items[x.input[1]]) * scale.ravel()
            exact = np.rint(floats[each.input[0].removesuffix(_QUANTIZED)] / step)
            put(each.input[0], exact.clip(_INT32.min, _INT32.max).astype(np.int32))
            put(each.input[1], step.astype(np.float32))


def _means(model: ModelProto, names: list[str], feeds: Sequence[Feed]) -> dict[str, np.ndarray]:
    """Return each activation's mean per channel (C,) over all feeds; axis 1 holds channels."""
    probe = ModelProto()
    probe.CopyFrom(model)
    for name in names:
        probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = make_session(probe.SerializeToString(), "calibration")
    found = {name: np.zeros(1) for name in names}
    for feed in feeds:
        for name, value in zip(names, session.run(names, feed), strict=True):
            assert isinstance(value, np.ndarray)
            found[name] = found[name] + value.mean(axis=(0, *range(2, value.ndim))) / len(feeds)
    return found


class _Reader(CalibrationDataReader):
    """Hands feeds to ONNX Runtime's calibration, which asks for them one by one."""

    def __init__(self, feeds: Sequence[Feed]):
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """Return the next feed, None after the last."""
        return next(self._feeds, None)


def _backbone(model: ModelProto) -> list[str]:
    """Return the nodes before the last convolution and its activation, but for the stem."""
    nodes = list(model.graph.node)
    convolutions = [n for n, node in enumerate(nodes) if node.op_type == "Conv"]
    stem = set(convolutions[:_STEM])
    last = convolutions[-1]
    chosen = [n for n in range(last + 1) if n not in stem]
    after = [n for n in range(last + 1, len(nodes)) if nodes[last].output[0] in nodes[n].input]
    return [nodes[n].name for n in chosen + after]
