"""Runs both towers on the probes, by torch and by ONNX Runtime, taking turns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from pairlight.errors import DataError
from pairlight.export.graphs import TOWERS
from pairlight.export.parity import Measured, measure
from pairlight.export.probes import Probes
from pairlight.models.dual_encoder import DualEncoder
from pairlight.runtime.batches import Track, pixel_batches, text_batches
from pairlight.runtime.model import IMAGE_BATCH, TEXT_BATCH
from pairlight.runtime.sessions import embed, make_session, usable_cores
from pairlight.types import Photo

Run = Callable[..., np.ndarray]
Inputs = tuple[np.ndarray, ...]


def measure_towers(
    dual: DualEncoder,
    probes: Probes,
    models: dict[str, dict[str, bytes]],
    track: Track,
    towers: Sequence[str] = TOWERS,
) -> dict[str, dict[str, Measured]]:
    """Return by tower and kind what was measured; `models` are ONNX bytes by kind and tower.

    The kind `torch` is added.
    """
    found = {}
    for tower in towers:
        rows, batches = (
            image_inputs(probes) if tower == "image" else text_inputs(dual, probes.captions)
        )
        runs: dict[str, Run] = {"torch": torch_run(dual, tower)}
        for kind, of_kind in models.items():
            if tower in of_kind:
                runs[kind] = onnx_run(of_kind[tower], tower)
        with _same_threads():
            found[tower] = measure(runs, batches, rows, track, f"{tower}s")
    return found


def image_inputs(probes: Probes) -> tuple[list[list[int]], list[Inputs]]:
    """Return the rows of each batch of images, and its pixels (B, 3, S, S) uint8."""
    count = len(probes.pixels)
    rows = [list(range(n, min(n + IMAGE_BATCH, count))) for n in range(0, count, IMAGE_BATCH)]
    pixels = probes.pixels.transpose(0, 3, 1, 2)
    return rows, [(np.ascontiguousarray(pixels[each]),) for each in rows]


def text_inputs(dual: DualEncoder, texts: Sequence[str]) -> tuple[list[list[int]], list[Inputs]]:
    """Return the rows of each batch of texts, and its tokens and mask (M, L)."""
    ids = [each.ids for each in dual.tokenizer(list(texts))]
    rows = list(text_batches(ids, TEXT_BATCH))
    return rows, [dual.tokenizer.pad_arrays([ids[row] for row in each]) for each in rows]


def embed_photos(
    model: bytes, photos: Sequence[Photo], size: int, track: Track
) -> tuple[np.ndarray, list[int]]:
    """Return embeddings (n, d) of photos by an ONNX image tower, and the rows that would open."""
    run, parts, rows = onnx_run(model, "image"), [], []
    paths = [photo.image for photo in photos]
    for opened, pixels in pixel_batches(paths, size, IMAGE_BATCH, track, skip=True):
        parts.append(run(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
        rows += opened
    if not rows:
        raise DataError(f"none of {len(paths)} training photos would open; were they moved?")
    return np.concatenate(parts), rows


def torch_run(dual: DualEncoder, tower: str) -> Run:
    """Return the function from a tower's inputs to its embeddings, computed by torch."""
    project = dual.project_images if tower == "image" else dual.project_texts
    features = dual.image_features if tower == "image" else dual.text_features

    def run(*arrays: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return project(features(*map(torch.from_numpy, arrays))).float().numpy()

    return run


def onnx_run(model: bytes, tower: str) -> Run:
    """Return the function from a tower's inputs to its embeddings, computed by ONNX Runtime."""
    session = make_session(model, f"{tower}.onnx")
    return partial(embed, session)


@contextmanager
def _same_threads() -> Iterator[None]:
    """Give torch as many threads as ONNX Runtime gets, so that speeds compare."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
