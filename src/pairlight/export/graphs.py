"""Turns the two towers of a torch model into ONNX graphs that hold everything but the tokenizer."""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import nn

from pairlight.errors import ModelError
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.pooling import GeneralizedPool

# 20 is the first with a GELU operator; ONNX Runtime reads it since 1.17.
OPSET = 20
TOWERS = ("image", "text")


class _ImageTower(nn.Module):
    def __init__(self, dual: DualEncoder):
        super().__init__()
        self.dual = dual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.dual.project_images(self.dual.image_features(pixels))


class _TextTower(nn.Module):
    def __init__(self, dual: DualEncoder):
        super().__init__()
        self.dual = dual

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.dual.project_texts(self.dual.text_features(tokens, mask))


class TabulatedPool(nn.Module):
    """Generalized pooling with its weights computed ahead for 1 to `most` positions.

    They depend on the number of positions alone, so the recurrent network need not be exported.
    """

    table: torch.Tensor

    def __init__(self, pool: GeneralizedPool, most: int):
        super().__init__()
        table = torch.zeros(most + 1, most)
        with torch.no_grad():
            for count in range(1, most + 1):
                table[count, :count] = pool.weights(count).float()
        self.register_buffer("table", table)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the rank-weighted averages: x (B, N, C), mask (B, N) bool -> (B, C)."""
        counts = mask.sum(1).clamp(min=1)
        lowest = torch.finfo(x.dtype).min
        ordered = x.masked_fill(~mask.unsqueeze(-1), lowest).sort(1, descending=True).values
        kept = torch.arange(x.shape[1], device=x.device) < counts.unsqueeze(1)  # (B, N)
        weights = self.table[counts][:, : x.shape[1]]
        return (ordered.masked_fill(~kept.unsqueeze(-1), 0) * weights.unsqueeze(-1)).sum(1)


def export_graphs(dual: DualEncoder) -> dict[str, onnx.ModelProto]:
    """Return the ONNX graphs of both towers, in float32.

    `image`: pixels (B, 3, S, S) uint8 -> embeddings (B, d). `text`: tokens (M, L) int64 and mask
    (M, L) bool -> embeddings (M, d). B, M and L are free. Raises `ModelError` when torch cannot
    express the model in ONNX.
    """
    config = dual.config
    dual = copy.deepcopy(dual).cpu().float().eval()
    _tabulate(dual)
    size, length = config.image_size, min(5, config.max_tokens)
    # Two of each, and some of it masked: sizes of 1 and masks all true would be built in.
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    tokens = torch.ones(3, length, dtype=torch.long)
    mask = torch.ones(3, length, dtype=torch.bool)
    mask[1, length - 1 :] = False
    batch, texts = torch.export.Dim("B"), torch.export.Dim("M")
    longest = torch.export.Dim("L", min=2)
    text_shape = {0: texts, 1: longest}
    with _exportable(dual):
        return {
            "image": _export(_ImageTower(dual), {"pixels": pixels}, {"pixels": {0: batch}}),
            "text": _export(
                _TextTower(dual),
                {"tokens": tokens, "mask": mask},
                {"tokens": text_shape, "mask": text_shape},
            ),
        }


def _tabulate(dual: DualEncoder) -> None:
    """Put tables in place of pools that loop over the data, which no graph can hold."""
    if isinstance(dual.image_pool, GeneralizedPool):
        size = dual.config.image_size
        with torch.inference_mode():
            regions = dual.image_encoder(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape[1]
        dual.image_pool = TabulatedPool(dual.image_pool, regions)
    if isinstance(dual.text_pool, GeneralizedPool):
        dual.text_pool = TabulatedPool(dual.text_pool, dual.config.max_tokens)


@contextlib.contextmanager
def _exportable(dual: DualEncoder) -> Iterator[None]:
    """Write attention out as plain products, and keep the exporter's chatter from the user."""
    bert = dual.text_encoder.bert
    if hasattr(bert, "set_attn_implementation"):
        # Torch's fused attention exports with guards against NaN that cost a third more nodes.
        with contextlib.suppress(ValueError):
            bert.set_attn_implementation("eager")  # type: ignore[operator]
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _export(tower: nn.Module, inputs: dict[str, torch.Tensor], shapes: dict) -> onnx.ModelProto:
    try:
        program = torch.onnx.export(
            tower.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["embeddings"],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # the exporter raises many kinds
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().split("\n")[0][:200]
        raise ModelError(f"this model cannot be written as ONNX: {reason}") from None
    assert program is not None
    return strip(program.model_proto)


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` without what only a debugger reads; traces would name this machine's files."""
    model.producer_name, model.doc_string = "pairlight", ""
    graph = model.graph
    graph.doc_string = ""
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for item in [*graph.node, *graph.initializer, *graph.input, *graph.output]:
        item.doc_string = ""
        del item.metadata_props[:]
    return model
