"""Turns a model and images or texts into embeddings, and caches what frozen encoders give."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pairlight.errors import DataError, MissingDependency, ModelError
from pairlight.imaging import load_square
from pairlight.threads import map_ahead, untracked
from pairlight.types import Embeddings, Photo

if TYPE_CHECKING:
    import torch

    from pairlight.models.dual_encoder import DualEncoder

Track = Callable[..., Iterable]

IMAGE_CHUNK = 32
IMAGE_THREADS = 2
TEXT_CHUNK = 64
DEVICES = ("cpu", "cuda", "mps", "xpu")


def pick_device(name: str = "auto") -> str:
    """Return a torch device name: the one asked for, else cuda where there is one, else cpu."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.device(name).type not in DEVICES:
            raise RuntimeError
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise ModelError(f"device {name!r} is not on this machine; use cpu or auto") from None
    return name


def load_model(path: str | Path, device: str = "auto") -> Model:
    """Return the `Model` of a checkpoint file."""
    try:
        from pairlight.models.checkpoint import load_checkpoint
        from pairlight.models.weights import sha256_of
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; checkpoints need: pip install 'pairlight[train]'"
        ) from None
    if str(path) == "pretrained":
        raise ModelError("no released model comes with this version; give a checkpoint file")
    path = Path(path)
    dual, content = load_checkpoint(path)
    return Model(dual, content.get("recipe_name", "unnamed"), sha256_of(path), pick_device(device))


class Model:
    """A loaded model: paths and texts in, unit-length float32 arrays out."""

    def __init__(self, dual: DualEncoder, name: str, sha256: str = "", device: str = "cpu"):
        self.dual = dual.to(device)
        self.name = name
        self.sha256 = sha256
        self.device = device
        self.embed_dim = dual.config.embed_dim
        self.parameters = sum(each.numel() for each in dual.parameters())

    @property
    def logit_scale(self) -> float:
        """The inverse temperature that multiplies cosines."""
        return self.dual.logit_scale.item()

    def encode_images(self, paths: Sequence[str | Path], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of image files; raises `DataError` at a bad one."""
        kept, features = image_features(self.dual, list(map(Path, paths)), track, skip_bad=False)
        return self._project(self.dual.project_images, features)

    def encode_texts(self, texts: Sequence[str], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of texts."""
        return self._project(self.dual.project_texts, text_features(self.dual, texts, track))

    def _project(self, head: Callable, features: torch.Tensor) -> np.ndarray:
        import torch

        with torch.inference_mode():
            self.dual.eval()
            if len(features) == 0:
                return np.zeros((0, self.embed_dim), np.float32)
            return head(features.to(self.device)).float().cpu().numpy()


def embed_photos(model: Model, photos: Sequence[Photo], track: Track | None = None) -> Embeddings:
    """Embed photos and their captions; unreadable photos are skipped, captions and all."""
    track = track or untracked
    start = time.perf_counter()
    kept, features = image_features(model.dual, [photo.image for photo in photos], track)
    images = model._project(model.dual.project_images, features)
    middle = time.perf_counter()
    chosen = [photos[row] for row in kept]
    captions = [text for photo in chosen for text in photo.captions]
    texts = model.encode_texts(captions, track)
    end = time.perf_counter()
    bad = set(range(len(photos))) - set(kept)
    return Embeddings(
        images=images,
        texts=texts,
        owner=owners(chosen),
        image_ids=tuple(photo.image_id for photo in chosen),
        captions=tuple(captions),
        paths=tuple(photo.image for photo in chosen),
        seconds={"images": middle - start, "texts": end - middle},
        skipped=tuple(photos[row].image_id for row in sorted(bad)),
    )


def owners(photos: Sequence[Photo]) -> np.ndarray:
    """Return (m,) int64: the row in `photos` of each caption, captions in order."""
    return np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])


def image_features(
    dual: DualEncoder, paths: Sequence[Path], track: Track = untracked, skip_bad: bool = True
) -> tuple[list[int], torch.Tensor]:
    """Return the rows of `paths` that could be read and their pooled features (n, C) float32."""
    import torch

    dual.eval()
    kept: list[int] = []
    parts: list[torch.Tensor] = []
    starts = range(0, len(paths), IMAGE_CHUNK)
    groups = [paths[start : start + IMAGE_CHUNK] for start in starts]
    read = partial(_read, size=dual.config.image_size, skip_bad=skip_bad)
    with torch.inference_mode():
        chunks = zip(starts, map_ahead(read, groups, IMAGE_THREADS), strict=True)
        for start, chunk in track(chunks, "images", total=len(starts)):
            good = [(start + n, each) for n, each in enumerate(chunk) if each is not None]
            if good:
                kept += [row for row, _ in good]
                pixels = torch.from_numpy(np.stack([each for _, each in good]))
                pixels = pixels.permute(0, 3, 1, 2).to(_device(dual))
                parts.append(dual.image_features(pixels).cpu())
    return kept, torch.cat(parts) if parts else torch.zeros(0, dual.image_encoder.dim)


def _read(path: Path, size: int, skip_bad: bool) -> np.ndarray | None:
    try:
        return load_square(path, size)
    except DataError:
        if not skip_bad:
            raise
        return None


def text_features(
    dual: DualEncoder, texts: Sequence[str], track: Track = untracked
) -> torch.Tensor:
    """Return pooled features (m, C) float32 of texts."""
    import torch

    dual.eval()
    ids = [each.ids for each in dual.tokenizer(list(texts))]
    # Texts of like length together: padding would cost as much as the words do.
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    features = torch.zeros(len(ids), dual.text_encoder.dim)
    starts = range(0, len(order), TEXT_CHUNK)
    with torch.inference_mode():
        for start in track(starts, "captions", total=len(starts)):
            rows = order[start : start + TEXT_CHUNK]
            tokens, mask = dual.tokenizer.pad([ids[row] for row in rows])
            device = _device(dual)
            features[rows] = dual.text_features(tokens.to(device), mask.to(device)).cpu()
    return features


def _device(dual: DualEncoder) -> torch.device:
    return dual.log_scale.device
