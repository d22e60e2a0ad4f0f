"""Turns a model and images or texts into embeddings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pairlight.errors import MissingDependency, ModelError
from pairlight.files import sha256_of
from pairlight.runtime.batches import IMAGE_THREADS as IMAGE_THREADS
from pairlight.runtime.batches import Track, listed, pixel_batches, text_batches
from pairlight.runtime.looks import several_looks
from pairlight.threads import untracked
from pairlight.types import Embeddings, Photo

if TYPE_CHECKING:
    import torch

    from pairlight.models.dual_encoder import DualEncoder

IMAGE_CHUNK = 32
TEXT_CHUNK = 64
DEVICES = ("cpu", "cuda", "mps", "xpu")
PRETRAINED = Path(__file__).parent / "pretrained" / "small"


class Encoder(Protocol):
    """What every loaded model offers, whether torch or ONNX Runtime computes it."""

    name: str
    sha256: str
    embed_dim: int
    image_size: int
    parameters: int
    corrects_hubs: bool

    @property
    def logit_scale(self) -> float:
        """The inverse temperature that multiplies cosines."""
        ...

    def encode_images(self, paths: Sequence[str | Path], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of image files; raises `DataError` at a bad one."""
        ...

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, d) float32 embeddings of pixels (n, S, S, 3) uint8, S being `image_size`."""
        ...

    def encode_texts(self, texts: Sequence[str], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of texts."""
        ...


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


def load_model(path: str | Path, device: str = "auto", looks: int = 1) -> Encoder:
    """Return the model of a checkpoint file, of an exported folder, or `pretrained`.

    Exported folders need no torch and run on the processor. With `looks` of 2 or 3 a photo's
    embedding is the mean of so many looks at it.
    """
    return several_looks(_load(path, device), looks)


def _load(path: str | Path, device: str) -> Encoder:
    if str(path) == "pretrained":
        if not PRETRAINED.is_dir():
            raise ModelError(
                "no released model comes with this version; give a checkpoint file or a folder "
                "that `pairlight export` wrote"
            )
        path = PRETRAINED
    path = Path(path)
    if not path.exists():
        raise ModelError(
            f"{path}: model not found; check the path, or train one: a checkpoint, a folder that "
            "`pairlight export` wrote, or pretrained"
        )
    return _exported(path, device) if path.is_dir() else _checkpoint(path, device)


def _exported(path: Path, device: str) -> Encoder:
    if device not in ("auto", "cpu"):
        raise ModelError(f"{path}: exported models run on cpu, not {device!r}; use cpu or auto")
    try:
        from pairlight.runtime.model import ExportedModel
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; exported models need: pip install pairlight"
        ) from None
    return ExportedModel(path)


def _checkpoint(path: Path, device: str) -> Encoder:
    try:
        from pairlight.models.checkpoint import load_checkpoint
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; checkpoints need: pip install 'pairlight[train]'"
        ) from None
    dual, content = load_checkpoint(path)
    return Model(dual, content.get("recipe_name", "unnamed"), sha256_of(path), pick_device(device))


class Model:
    """A checkpoint's model in torch: paths and texts in, unit-length float32 arrays out."""

    def __init__(self, dual: DualEncoder, name: str, sha256: str = "", device: str = "cpu"):
        self.dual = dual.to(device)
        self.name = name
        self.sha256 = sha256
        self.device = device
        self.embed_dim = dual.config.embed_dim
        self.image_size = dual.config.image_size
        self.parameters = sum(each.numel() for each in dual.parameters())
        self.corrects_hubs = dual.corrects_hubs

    @property
    def logit_scale(self) -> float:
        """The inverse temperature that multiplies cosines."""
        return self.dual.logit_scale.item()

    def encode_images(self, paths: Sequence[str | Path], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of image files; raises `DataError` at a bad one."""
        batches = pixel_batches(paths, self.image_size, IMAGE_CHUNK, track)
        parts = [self.encode_pixels(pixels) for _, pixels in batches]
        return np.concatenate(parts) if parts else self._none()

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, d) float32 embeddings of pixels (n, S, S, 3) uint8, S being `image_size`."""
        import torch

        self.dual.eval()
        if len(pixels) == 0:
            return self._none()
        channels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        with torch.inference_mode():
            features = [
                self.dual.image_features(part.to(self.device))
                for part in channels_first.split(IMAGE_CHUNK)
            ]
            return _array(self.dual.project_images(torch.cat(features)))

    def encode_texts(self, texts: Sequence[str], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of texts."""
        import torch

        self.dual.eval()
        tokenizer = self.dual.tokenizer
        ids = [each.ids for each in tokenizer(listed(texts))]
        out = np.zeros((len(ids), self.embed_dim), np.float32)
        with torch.inference_mode():
            for rows in text_batches(ids, TEXT_CHUNK, track):
                tokens, mask = tokenizer.pad([ids[row] for row in rows])
                features = self.dual.text_features(tokens.to(self.device), mask.to(self.device))
                out[rows] = _array(self.dual.project_texts(features))
        return out

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.embed_dim), np.float32)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


def embed_photos(model: Encoder, photos: Sequence[Photo], track: Track | None = None) -> Embeddings:
    """Embed photos and their captions; unreadable photos are skipped, captions and all."""
    track = track or untracked
    start = time.perf_counter()
    kept: list[int] = []
    parts = [np.zeros((0, model.embed_dim), np.float32)]
    paths = [photo.image for photo in photos]
    for rows, pixels in pixel_batches(paths, model.image_size, IMAGE_CHUNK, track, skip=True):
        kept += rows
        parts.append(model.encode_pixels(pixels))
    middle = time.perf_counter()
    chosen = [photos[row] for row in kept]
    captions = [text for photo in chosen for text in photo.captions]
    texts = model.encode_texts(captions, track)
    end = time.perf_counter()
    bad = set(range(len(photos))) - set(kept)
    return Embeddings(
        images=np.concatenate(parts),
        texts=texts,
        owner=owners(chosen),
        image_ids=tuple(photo.image_id for photo in chosen),
        captions=tuple(captions),
        paths=tuple(photo.image for photo in chosen),
        seconds={"images": middle - start, "texts": end - middle},
        skipped=tuple(photos[row].image_id for row in sorted(bad)),
        categories=tuple(photo.category for photo in chosen),
    )


def owners(photos: Sequence[Photo]) -> np.ndarray:
    """Return (m,) int64: the row in `photos` of each caption, captions in order."""
    return np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
