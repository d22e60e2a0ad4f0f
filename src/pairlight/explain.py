"""Explains one score by occlusion: words left out, regions covered, and how the cosine drops."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from pairlight.data.language import only_stop_words, word_spans
from pairlight.data.text import is_empty
from pairlight.embed import Encoder
from pairlight.errors import ConfigError
from pairlight.files import sha256_of
from pairlight.hubs import as_queries
from pairlight.imaging import check_image, load_square
from pairlight.sample import sample_dir
from pairlight.search.calibration import Calibration
from pairlight.search.matcher import spread_of
from pairlight.threads import untracked
from pairlight.types import Json

METHOD = (
    "occlusion: each word left out, each region covered with {fill} by sliding patches of two "
    "sizes ({sizes} of {grid} x {grid} cells, averaged); contribution = drop of the cosine"
)
FILLS = ("blur", "mean")
_BATCH = 32


@dataclass(frozen=True)
class Standing:
    """Where a score stands among the bundled sample's photos (for the text) and captions.

    `relevance` is what a search in these photos and this one would promise; None where the model
    is not calibrated.
    """

    photos: int
    photos_below: int
    captions: int
    captions_below: int
    relevance: float | None


@dataclass(frozen=True)
class Explanation:
    """What each word (w,) and region (g, g) adds to the cosine `score` of a photo and a text.

    `without` (w,): the cosine without each word; `cut`: words past the model's token limit, which
    it never saw; `pixels` (S, S, 3) uint8: the photo as the model sees it; `size`: its own.
    """

    text: str
    score: float
    words: tuple[str, ...]
    contributions: np.ndarray
    without: np.ndarray
    cut: tuple[str, ...]
    regions: np.ndarray
    pixels: np.ndarray
    size: tuple[int, int]
    method: str
    notes: tuple[str, ...]
    vector: np.ndarray


def explain_pair(
    model: Encoder,
    image: Path | str,
    text: str,
    grid: int = 10,
    fill: str = "blur",
    track=untracked,
) -> Explanation:
    """Return why `image` and `text` score as they do (Zeiler and Fergus 2014, section 4.2).

    Raises `DataError` for an image that cannot be read, `ConfigError` for an empty text.
    """
    text = " ".join(text.split())
    if is_empty(text):
        raise ConfigError("the text says nothing; write a few words, as in 'a dog on the beach'")
    if fill not in FILLS:
        raise ConfigError(f"unknown fill {fill!r}; choose from {', '.join(FILLS)}")
    size = check_image(image)
    pixels = load_square(image, model.image_size)
    spans = word_spans(text)
    seen = seen_words(model, text, spans)
    shorter = [" ".join((text[:start] + " " + text[end:]).split()) for start, end in spans[:seen]]
    vectors = as_queries(model, model.encode_texts([text, *shorter]))
    whole = model.encode_pixels(pixels[None])[0]
    scores = (vectors @ whole).astype(np.float64)
    regions = region_drops(model, pixels, vectors[0], grid, fill, track)
    words = tuple(text[start:end] for start, end in spans)
    sizes = " and ".join(f"{each} x {each}" for each in patch_sizes(grid))
    return Explanation(
        text=text,
        score=float(scores[0]),
        words=words[:seen],
        contributions=scores[0] - scores[1:],
        without=scores[1:],
        cut=words[seen:],
        regions=regions,
        pixels=pixels,
        size=size,
        method=METHOD.format(
            fill={"blur": "a blur of itself", "mean": "its mean colour"}[fill],
            sizes=sizes,
            grid=grid,
        ),  # fmt: skip
        notes=tuple(_notes(text, words, seen, size, grid)),
        vector=vectors[0],
    )


def _notes(
    text: str, words: tuple[str, ...], seen: int, size: tuple[int, int], grid: int
) -> Iterator[str]:
    if seen < len(words):
        yield (
            f"the model reads {seen} of {len(words)} words; cut off: {' '.join(words[seen:])[:200]}"
        )
    if only_stop_words(text):
        yield "only words such as 'the' and 'with': nothing here that a photo could show"
    if min(size) < grid:
        yield f"the photo has {size[0]} x {size[1]} pixels, fewer than the regions asked for"


def seen_words(model: Encoder, text: str, spans: list[tuple[int, int]]) -> int:
    """Return how many words the model reads before its token limit cuts the text."""
    tokenizer = getattr(model, "tokenizer", None) or getattr(
        getattr(model, "dual", None), "tokenizer", None
    )
    if tokenizer is None:
        return len(spans)
    starts = [each.ids for each in tokenizer([text[:end] for _, end in spans])]
    whole = tokenizer([text])[0].ids
    # From the first beginning that gives the same tokens on, words no longer matter.
    return next((n for n, ids in enumerate(starts, 1) if ids == whole), len(spans))


def patch_sizes(grid: int) -> tuple[int, int]:
    """Return the sides of the small and the large patch, in cells."""
    return max(2, grid // 5), max(3, round(grid * 0.3))


def region_drops(
    model: Encoder, pixels: np.ndarray, text: np.ndarray, grid: int, fill: str, track=untracked
) -> np.ndarray:
    """Return (grid, grid): the mean drop of the cosine over the patches that cover each cell.

    The means of the two patch sizes are averaged. Negative where covering raises the score.
    """
    masks, kinds = [], []
    for kind, side in enumerate(patch_sizes(grid)):
        for row, column in np.ndindex(grid - side + 1, grid - side + 1):
            mask = np.zeros((grid, grid), bool)
            mask[row : row + side, column : column + side] = True
            masks.append(mask)
            kinds.append(kind)
    masks, kinds = np.stack(masks), np.array(kinds)
    whole = float(model.encode_pixels(pixels[None])[0] @ text)
    drops = whole - scores_covered(model, pixels, text, masks, fill, track)
    maps = []
    for kind in (0, 1):
        chosen = masks[kinds == kind].astype(np.float64)
        maps.append(np.tensordot(drops[kinds == kind], chosen, 1) / chosen.sum(axis=0))
    return (maps[0] + maps[1]) / 2


def scores_covered(
    model: Encoder,
    pixels: np.ndarray,
    text: np.ndarray,
    masks: np.ndarray,
    fill: str,
    track=untracked,
) -> np.ndarray:
    """Return (k,) cosines of the text with the photo, the cells of `masks` (k, g, g) covered."""
    cover = filling(pixels, fill)
    side, grid = len(pixels), masks.shape[1]
    cell = np.arange(side) * grid // side  # the cell of each pixel row and column
    parts = []
    for start in track(range(0, len(masks), _BATCH), "covering regions"):
        some = masks[start : start + _BATCH][:, cell][:, :, cell, None]  # (b, S, S, 1)
        parts.append(model.encode_pixels(np.where(some, cover, pixels)) @ text)
    return np.concatenate(parts).astype(np.float64)


def filling(pixels: np.ndarray, fill: str) -> np.ndarray:
    """Return (S, S, 3) uint8 to cover regions with: the photo blurred, or its mean colour."""
    if fill == "mean":
        mean = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
        return np.broadcast_to(mean, pixels.shape)
    blur = ImageFilter.GaussianBlur(len(pixels) / 10)
    return np.asarray(Image.fromarray(pixels).filter(blur))


def deletion_curve(
    model: Encoder, pixels: np.ndarray, text: np.ndarray, order: np.ndarray, fill: str, steps: int
) -> np.ndarray:
    """Return (steps + 1,) cosines as the cells are covered in `order` (g * g,), none to all.

    The faster it falls, the truer the order (Petsiuk et al. 2018, RISE, section 4.2).
    """
    grid = int(len(order) ** 0.5)
    counts = np.linspace(0, len(order), steps + 1).round().astype(int)
    masks = np.zeros((steps + 1, grid * grid), bool)
    for row, count in enumerate(counts):
        masks[row, order[:count]] = True
    return scores_covered(model, pixels, text, masks.reshape(-1, grid, grid), fill)


def standing(model: Encoder, found: Explanation, image: Path | str, track=untracked) -> Standing:
    """Return where the score stands among the bundled sample's photos and captions."""
    folder = sample_dir()
    records = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    paths = [folder / "images" / record["file_name"] for record in records]
    asked = sha256_of(image)  # by its bytes: a copy of a sample photo is no rival of itself
    rest = [n for n, path in enumerate(paths) if sha256_of(path) != asked]
    photos = model.encode_images([paths[n] for n in rest], track) @ found.vector
    others = [text for n in rest for text in records[n]["captions"]]
    captions = as_queries(model, model.encode_texts(others))
    mine = model.encode_pixels(found.pixels[None])[0]
    told = captions @ mine
    all_scores = np.append(photos, found.score)
    calibration = Calibration.of(model)
    relevance = None
    if calibration is not None:
        spread, asked_for = spread_of(all_scores), np.array([found.score])
        relevance = float(calibration.relevance(asked_for, spread, found.text)[0])
    below = [int((scores < found.score).sum()) for scores in (photos, told)]
    return Standing(len(photos), below[0], len(told), below[1], relevance)


def to_json(found: Explanation, where: Standing | None, image: Path, model: Encoder) -> Json:
    """Return an explanation as plain values, words in the order of the text."""
    values = zip(found.words, found.contributions, found.without, strict=True)
    return {
        "image": str(image),
        "text": found.text,
        "model": {"name": model.name, "sha256": model.sha256},
        "score": found.score,
        "standing": None if where is None else {"reference": "bundled sample", **vars(where)},
        "words": [
            {"word": word, "contribution": float(drop), "score_without": float(rest)}
            for word, drop, rest in values
        ],  # fmt: skip
        "cut_words": list(found.cut),
        "regions": {"grid": len(found.regions), "contribution": found.regions.tolist()},
        "method": found.method,
        "notes": list(found.notes),
    }


def lines_about(found: Explanation, where: Standing | None) -> list[str]:
    """Return the score in words: where it stands, and the relevance where there is one."""
    lines = [f"score {found.score:.3f}"]
    if where is None:
        return lines
    if where.relevance is not None:
        lines[0] += f", relevance {where.relevance:.0%} in a search of {where.photos + 1} photos"
    lines.append(
        f"higher than {where.photos_below} of {where.photos} sample photos for this text, and than "
        f"{where.captions_below} of {where.captions} sample captions for this photo"
    )
    return lines
