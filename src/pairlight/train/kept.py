"""Keeps on disk what the frozen lower part of a model gives for a split."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from pairlight.config import AugmentConfig
from pairlight.data.dataset import augmented_view
from pairlight.embed import IMAGE_CHUNK, IMAGE_THREADS, TEXT_CHUNK, Track, owners
from pairlight.errors import DataError, PairlightError
from pairlight.files import make_folder, write_atomic
from pairlight.imaging import load_square
from pairlight.runtime.batches import text_batches
from pairlight.threads import map_ahead
from pairlight.train.mixing import Mix
from pairlight.train.recompute import direct
from pairlight.train.runlog import data_hash
from pairlight.train.stem import Stem
from pairlight.types import Photo

# What augmentation does to captions, to regions and to batches, of which a kept view has nothing.
NOT_OF_PIXELS = ("token_dropout", "word_dropout", "region_dropout", "mix", "mix_prob")


@dataclass
class Kept:
    """The features of `photos` under the trained part of `stem.model`, a file a view.

    With `varied` images are augmented, each view otherwise; without it there is one view of the
    photos as they are. Files of the same model, data and view are found again.
    """

    stem: Stem
    photos: Sequence[Photo]
    folder: Path
    device: str
    track: Track
    varied: AugmentConfig | None = None
    views: int = 1
    lost: set[int] = field(default_factory=set)
    """Rows of photos that could not be read, in any view so far."""

    def __post_init__(self) -> None:
        make_folder(self.folder)
        self.stem.model.eval()
        self.owner = owners(self.photos)
        counts = np.bincount(self.owner, minlength=len(self.photos))
        self.captions_of = np.split(np.arange(len(self.owner)), np.cumsum(counts)[:-1])
        tokenizer = self.stem.model.tokenizer
        texts = [text for photo in self.photos for text in photo.captions]
        self.tokens = [each.ids for each in tokenizer(texts)]
        lengths = [len(ids) for ids in self.tokens]
        self.offsets = np.concatenate([[0], np.cumsum(lengths)])
        self._image_name = self._image_key()
        self.texts = self._texts()
        self._open: dict[int, np.ndarray] = {}

    def rows(self) -> list[int]:
        """Return the rows of the photos that can be used."""
        return [row for row in range(len(self.photos)) if row not in self.lost]

    def images(self, view: int) -> np.ndarray:
        """Return what is kept of the images in one view, (n, …) float16."""
        number = view % self.views
        if number not in self._open:
            path = self.folder / f"images_{self._image_name}_{number}.npy"
            found = _load(path)
            if found is None or len(found) != len(self.photos):
                found = self._make(path, number)
            self._open[number] = found
        return self._open[number]

    def hidden(self, captions: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is kept of captions, by number, and their mask (M, L) bool."""
        if self.stem.pools_texts:
            return torch.from_numpy(self.texts[captions]), torch.ones(len(captions), 1).bool()
        starts, ends = self.offsets[captions], self.offsets[captions + 1]
        longest = int((ends - starts).max())
        hidden = np.zeros((len(captions), longest, self.texts.shape[1]), np.float16)
        mask = np.zeros((len(captions), longest), bool)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            hidden[row, : end - start] = self.texts[start:end]
            mask[row, : end - start] = True
        return torch.from_numpy(hidden), torch.from_numpy(mask)

    def upper(
        self,
        view: int,
        rows: list[int],
        captions: np.ndarray,
        chunk: int,
        drop: float | None = None,
        call: Callable[..., torch.Tensor] = direct,
        mix: Mix | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (B, C) of images and (M, C) of captions, float32, by the trained part.

        In chunks of `chunk` images and twice as many captions. With `drop` a token is left out of
        attention and pooling with that chance: its embedding is not there to be masked. `call`
        runs each chunk: `recompute.caller`. With `mix` images are mixed as they are kept.
        """
        arrays, images = self.images(view), []
        for start in range(0, len(rows), chunk):
            here = slice(start, start + chunk)
            part = torch.from_numpy(arrays[rows[here]])
            if mix is not None:
                others = [rows[place] for place in mix.partner[here].tolist()]
                part = mix.join(part, torch.from_numpy(arrays[others]), here)
            images.append(call(self.stem.upper_images, part.to(self.device)))
        # Captions of like length together: padding would cost as much as the words do.
        order = np.argsort(np.diff(self.offsets)[captions], kind="stable")
        texts = []
        for start in range(0, len(order), 2 * chunk):
            hidden, mask = self.hidden(captions[order[start : start + 2 * chunk]])
            if drop is not None:
                gone = torch.rand(mask.shape) < drop
                gone[:, 0] = False
                mask &= ~gone
            given = hidden.to(self.device), mask.to(self.device)
            texts.append(call(self.stem.upper_texts, *given))
        back = torch.from_numpy(np.argsort(order)).to(self.device)
        return torch.cat(images).float(), torch.cat(texts).float()[back]

    def _make(self, path: Path, view: int) -> np.ndarray:
        """Compute a view's file; one that misses photos is not found again by other runs."""
        lost: set[int] = set()
        write_atomic(path, lambda aside: lost.update(self._write(aside, view)))
        self.lost |= lost
        if lost:
            partial = path.with_suffix(".partial.npy")
            path.replace(partial)
            path = partial
        found = _load(path)
        assert found is not None
        return found

    def _write(self, aside: Path, view: int) -> set[int]:
        starts = range(0, len(self.photos), IMAGE_CHUNK)
        groups = [range(n, min(n + IMAGE_CHUNK, len(self.photos))) for n in starts]
        out, lost = None, set()
        items = map_ahead(lambda row: self._pixels(view, row), groups, IMAGE_THREADS)
        what = f"images, view {view + 1} of {self.views}" if self.views > 1 else "images"
        for rows, each in self.track(zip(groups, items, strict=True), what, total=len(groups)):
            good = [row for row, one in zip(rows, each, strict=True) if one is not None]
            lost |= set(rows) - set(good)
            if not good:
                continue
            stacked = np.stack([one for one in each if one is not None])
            pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self.device)
            kept = self.stem.lower_images(pixels)
            if out is None:
                shape = (len(self.photos), *kept.shape[1:])
                self._check_space(int(np.prod(shape)) * 2, view)
                out = np.lib.format.open_memmap(aside, "w+", np.float16, shape)
            out[good] = kept
        if out is None:
            raise DataError("no image of the split could be read; were the photos moved?")
        out.flush()
        return lost

    def _pixels(self, view: int, row: int) -> np.ndarray | None:
        size = self.stem.model.config.image_size
        try:
            if self.varied is None:
                return load_square(self.photos[row].image, size)
            size = self.varied.image_size or size
            return augmented_view(self.photos[row], size, self.varied, view, row)
        except DataError:
            return None

    def _check_space(self, needed: int, view: int) -> None:
        needed *= self.views - view
        free = shutil.disk_usage(self.folder).free
        if free < 1.05 * needed:
            raise PairlightError(
                f"{self.folder}: {needed / 1e9:.1f} GB are needed for {self.views - view} views, "
                f"{free / 1e9:.1f} GB are free; give --cache DIR on another disk, or fewer views"
            )

    def _texts(self) -> np.ndarray:
        path = self.folder / f"texts_{self._text_key()}.npy"
        wanted = len(self.tokens) if self.stem.pools_texts else self.offsets[-1]
        found = _load(path)
        if found is None or len(found) != wanted:
            write_atomic(path, self._write_texts)
            found = _load(path)
        assert found is not None
        return found

    def _write_texts(self, aside: Path) -> None:
        pad = self.stem.model.tokenizer.pad
        pooled = self.stem.pools_texts
        dim = self.stem.model.text_encoder.dim
        rows = len(self.tokens) if pooled else int(self.offsets[-1])
        out = np.lib.format.open_memmap(aside, "w+", np.float16, (rows, dim))
        for chosen in text_batches(self.tokens, TEXT_CHUNK, self.track):
            tokens, mask = pad([self.tokens[n] for n in chosen])
            kept = self.stem.lower_texts(tokens.to(self.device), mask.to(self.device))
            if pooled:
                out[chosen] = kept
                continue
            for n, each in zip(chosen, kept, strict=True):
                out[self.offsets[n] : self.offsets[n + 1]] = each[: len(self.tokens[n])]
        out.flush()

    def _key(self, encoder: torch.nn.Module, *facts: object) -> str:
        """Return a name for all that decides the numbers: photos, weights and `facts`."""
        digest = hashlib.sha256(f"{data_hash(self.photos)} {facts}".encode())
        for name, tensor in encoder.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _image_key(self) -> str:
        config, stem = self.stem.model.config, self.stem
        pooling = config.image_pooling if stem.pools_images else None
        varied = self.varied and replace(self.varied, **dict.fromkeys(NOT_OF_PIXELS, 0.0))
        facts = (config.image_size, stem.blocks, pooling, varied)
        return self._key(stem.model.image_encoder, *facts)

    def _text_key(self) -> str:
        config, stem = self.stem.model.config, self.stem
        pooling = config.text_pooling if stem.pools_texts else None
        facts = (config.max_tokens, stem.layers, pooling, stem.model.text_encoder.tokenizer)
        return self._key(stem.model.text_encoder, *facts)


def _load(path: Path) -> np.ndarray | None:
    try:
        # Mapped, not read: a few views of many photos are larger than memory.
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # absent or damaged: it is made anew
