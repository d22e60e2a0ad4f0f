"""Edits ONNX graphs: constants in and out, nodes in the place of others."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper


def to_int8(values: np.ndarray, axis: int | tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 values and the float32 scales, one for each slice along `axis`, kept as 1."""
    scale = np.abs(values).max(axis=axis, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(values / scale).clip(-127, 127).astype(np.int8), scale


def constants_of(model: ModelProto) -> dict[str, np.ndarray]:
    """Return all constants by name."""
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def add_constants(model: ModelProto, arrays: dict[str, np.ndarray]) -> None:
    """Add named constants."""
    new = [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    model.graph.initializer.extend(new)


def axis_of(node: NodeProto) -> int:
    """Return a node's `axis`, 0 where it is not given."""
    return next((each.i for each in node.attribute if each.name == "axis"), 0)


def replace_nodes(model: ModelProto, instead: dict[str, list[NodeProto]]) -> None:
    """Put nodes in the place of others, by name; all new nodes get names of their own."""
    nodes = []
    for node in model.graph.node:
        nodes.extend(instead.get(node.name, [node]))
    for node in nodes:
        node.name = node.name or f"{node.op_type}.{node.output[0]}"
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def drop_unused(model: ModelProto) -> None:
    """Drop constants that no node reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in used]
    copies = [TensorProto.FromString(item.SerializeToString()) for item in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
