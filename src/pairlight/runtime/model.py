"""Embeds images and texts with an exported model, without torch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from pairlight.errors import ModelError
from pairlight.runtime.batches import Track, listed, pixel_batches, stack, text_batches
from pairlight.runtime.folder import WORD_VECTORS, ModelFolder, open_folder
from pairlight.runtime.sessions import embed, make_session, usable_cores
from pairlight.runtime.word_vectors import WordVectors
from pairlight.threads import untracked
from pairlight.tokenization import TextTokenizer

IMAGE_BATCH = 8
TEXT_BATCH = 32


class ExportedModel:
    """A model that `pairlight export` wrote: paths and texts in, unit-length float32 arrays out.

    A tower is read, checked and made ready when it is first used, so that a search in words never
    touches the image tower. `threads` defaults to the physical cores.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        self.folder: ModelFolder = open_folder(Path(path))
        self.name = self.folder.name
        self.sha256 = self.folder.sha256
        self.embed_dim = self.folder.embed_dim
        self.image_size = self.folder.image_size
        self.parameters = self.folder.parameters
        self.logit_scale = self.folder.logit_scale
        self.corrects_hubs = bool(self.folder.facts.get("hub_prototypes"))
        # What `pairlight.search` turns scores into relevance by, where the model carries it.
        self.calibration = self.folder.facts.get("calibration")
        self.tokenizer = _tokenizer(self.folder)
        self._threads = threads or usable_cores()
        self._sessions: dict[str, ort.InferenceSession] = {}

    @cached_property
    def word_vectors(self) -> WordVectors | None:
        """What single words add to a text that asks for photos, where the model carries it."""
        if WORD_VECTORS not in self.folder.hashes:
            return None
        content = self.folder.read(WORD_VECTORS)
        try:
            return WordVectors.from_bytes(content, self.embed_dim)
        except ModelError as error:
            raise ModelError(f"{self.folder.path / WORD_VECTORS}: {error}") from None

    def encode_images(self, paths: Sequence[str | Path], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of image files; raises `DataError` at a bad one."""
        batches = pixel_batches(paths, self.image_size, IMAGE_BATCH, track)
        return stack([self.encode_pixels(pixels) for _, pixels in batches], self.embed_dim)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, d) float32 embeddings of pixels (n, S, S, 3) uint8, S being `image_size`."""
        session = self._session("image")
        channels_first = pixels.transpose(0, 3, 1, 2)
        # Threads that each take some images need not wait for one another at every layer.
        each = max(1, min(IMAGE_BATCH, -(-len(pixels) // self._threads)))
        groups = [channels_first[n : n + each] for n in range(0, len(pixels), each)]
        if len(groups) < 2:
            return stack([_embed_pixels(session, group) for group in groups], self.embed_dim)
        with ThreadPoolExecutor(min(self._threads, len(groups))) as pool:
            return stack(list(pool.map(partial(_embed_pixels, session), groups)), self.embed_dim)

    def encode_texts(self, texts: Sequence[str], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of texts."""
        ids = [each.ids for each in self.tokenizer(listed(texts))]
        out = np.zeros((len(ids), self.embed_dim), np.float32)
        for rows in text_batches(ids, TEXT_BATCH, track):
            tokens, mask = self.tokenizer.pad_arrays([ids[row] for row in rows])
            out[rows] = embed(self._session("text"), tokens, mask)
        return out

    def _session(self, tower: str) -> ort.InferenceSession:
        if tower not in self._sessions:
            file = f"{tower}.onnx"
            where = str(self.folder.path / file)
            threads = 1 if tower == "image" else self._threads  # images are shared out whole
            session = make_session(self.folder.read(file), where, threads)
            _check_ports(session, tower, self.folder, where)
            self._sessions[tower] = session
        return self._sessions[tower]


def _embed_pixels(session: ort.InferenceSession, pixels: np.ndarray) -> np.ndarray:
    return embed(session, np.ascontiguousarray(pixels))


def _tokenizer(folder: ModelFolder) -> TextTokenizer:
    path = folder.path / "tokenizer.json"
    try:
        tokenizer = TextTokenizer(folder.read("tokenizer.json").decode(), folder.max_tokens)
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}") from None
    if tokenizer.pad_id != folder.pad_id:
        raise ModelError(
            f"{path}: pads with {tokenizer.pad_id} where model.json says {folder.pad_id}; "
            "the files are of two models, export again"
        )
    return tokenizer


def _check_ports(
    session: ort.InferenceSession, tower: str, folder: ModelFolder, where: str
) -> None:
    """Raise `ModelError` unless the graph takes and gives what model.json says."""
    size = folder.image_size
    shapes = {"pixels": ["tensor(uint8)", None, 3, size, size]}
    if tower == "text":
        shapes = {"tokens": ["tensor(int64)", None, None], "mask": ["tensor(bool)", None, None]}
    shapes["embeddings"] = ["tensor(float)", None, folder.embed_dim]
    found = {
        port.name: [port.type, *(n if isinstance(n, int) else None for n in port.shape)]
        for port in [*session.get_inputs(), *session.get_outputs()]
    }
    if found != shapes:
        raise ModelError(f"{where}: takes and gives {found}, where model.json asks for {shapes}")
