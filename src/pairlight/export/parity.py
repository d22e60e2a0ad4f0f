"""Measures how near exported towers come to torch, and decides which of them may be kept."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pairlight.errors import ModelError
from pairlight.metrics.retrieval import ranks
from pairlight.runtime.batches import Track
from pairlight.threads import untracked
from pairlight.types import Json

# float32 arithmetic in another order stays far closer than this; a wrong graph does not.
FP32_COSINE = 0.999
INT8_COSINE = 0.99
R1_POINTS = 0.5

Runs = dict[str, Callable[..., np.ndarray]]


@dataclass(frozen=True)
class Measured:
    """One way to compute a tower: its embeddings (n, d) and the seconds of each batch (k,)."""

    embeddings: np.ndarray
    seconds: np.ndarray

    @property
    def per_second(self) -> float:
        """Items embedded in a second."""
        return len(self.embeddings) / float(self.seconds.sum())


def measure(
    runs: Runs,
    batches: Sequence[tuple],
    rows: Sequence[Sequence[int]],
    track: Track = untracked,
    what: str = "",
) -> dict[str, Measured]:
    """Return a `Measured` for each of `runs`, name to function of a batch's inputs.

    `rows` says where each batch's embeddings belong. The runs take turns on every batch, so that
    whatever else the machine does slows all of them alike.
    """
    for run in runs.values():
        run(*batches[0])  # the first run of a session also prepares it
    count = sum(map(len, rows))
    out: dict[str, np.ndarray] = {}
    seconds = {name: np.zeros(len(batches)) for name in runs}
    turns = enumerate(zip(batches, rows, strict=True))
    for number, (batch, places) in track(turns, what, total=len(batches)):
        for name, run in runs.items():
            start = time.perf_counter()
            found = run(*batch)
            seconds[name][number] = time.perf_counter() - start
            out.setdefault(name, np.zeros((count, found.shape[1]), np.float32))[places] = found
    return {name: Measured(out[name], seconds[name]) for name in runs}


def cosines(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return (n,) cosines of the rows of two arrays (n, d); NaN and zero rows count as -1."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return np.where(np.isfinite(cosine), cosine, -1)


def check_fp32(tower: str, found: np.ndarray, wanted: np.ndarray) -> None:
    """Raise `ModelError` unless a float32 tower gives torch's embeddings, every one of them."""
    each = cosines(found, wanted)
    worst = int(each.argmin())
    if each[worst] < FP32_COSINE:
        raise ModelError(
            f"{tower}.onnx does not give the checkpoint's embeddings: cosine {each[worst]:.4f} at "
            f"{tower} {worst} is below {FP32_COSINE}; nothing was kept. Please report this with "
            "the versions of torch, onnx and onnxruntime"
        )
    lengths = np.abs(np.linalg.norm(found, axis=1) - 1)
    if lengths.max() > 1e-3:
        raise ModelError(f"{tower}.onnx gives embeddings that are not of unit length; not kept")


@dataclass(frozen=True)
class Twin:
    """What is known of a tower's int8 twin beside its float32 original.

    `speed` is how many times as fast it is; `drops` are the points of R@1 it loses in each
    direction that has queries enough to tell.
    """

    cosine: float
    speed: float
    smaller: bool
    drops: dict[str, float]


def refusal(twin: Twin, for_size: bool) -> str | None:
    """Return why an int8 tower is not kept, in a few plain words; None when it is kept."""
    if twin.cosine < INT8_COSINE:
        return f"its mean cosine {twin.cosine:.4f} is below {INT8_COSINE}"
    lost = too_much(twin.drops)
    if lost:
        return lost
    if not twin.smaller:
        return "it is no smaller"
    if not for_size and twin.speed <= 1:
        return f"it runs at {twin.speed:.2f} times the speed of fp32 here; --for-size keeps it"
    return None


def too_much(drops: dict[str, float]) -> str | None:
    """Return which direction loses more than `R1_POINTS` points of R@1, if any."""
    for way, points in drops.items():
        if points > R1_POINTS + 1e-9:  # 40.8 - 40.3 is a little more than 0.5
            return f"it loses {points:.2f} points of R@1 {way}, more than {R1_POINTS}"
    return None


def recall_at_1(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> Json:
    """Return R@1 both ways in percent; rows are brought to unit length first."""
    i2t, t2i = ranks(_unit(images), _unit(texts), owner)
    queries = i2t[i2t > 0]
    return {"i2t": float(np.mean(queries == 1) * 100), "t2i": float(np.mean(t2i == 1) * 100)}


def drops(before: Json, after: Json, images: int, captions: int) -> dict[str, float]:
    """Return the points of R@1 lost each way, where one query weighs at most `R1_POINTS`."""
    queries = {"i2t": images, "t2i": captions}
    return {way: before[way] - after[way] for way in queries if queries[way] * R1_POINTS >= 100}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
