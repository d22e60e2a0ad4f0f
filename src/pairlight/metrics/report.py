"""Gathers every number of an evaluation into one JSON object and a small table."""

import time

import numpy as np

from pairlight.errors import DataError
from pairlight.metrics import bootstrap, geometry, retrieval
from pairlight.types import Embeddings, Json

# Below this many images the intervals themselves can no longer be trusted.
SMALL_GALLERY = 100
LOSS_BATCH = 128
RECALLS = ("R@1", "R@5", "R@10")


def evaluate_embeddings(
    embeddings: Embeddings, logit_scale: float, split: str, seed: int = 0, resamples: int = 1000
) -> Json:
    """Return all results of `evaluate --json` but `model`: plain numbers, ready for JSON.

    `logit_scale` is the inverse of the temperature; `split` is the name that the protocol keeps;
    `seed` is of the bootstrap and of the uniformity sample. Recalls, chances and intervals are in
    percent, times in seconds. What is undefined (uniformity of one row, time of embeddings that
    were cached) is None. Raises `DataError` when a row is not finite or not of unit length.
    """
    start = time.perf_counter()
    images, texts, owner = embeddings.images, embeddings.texts, embeddings.owner
    if len(images) == 0:
        raise DataError(
            f"none of the {len(embeddings.skipped)} images would open; "
            "`pairlight prepare` lists what is wrong with each"
        )
    i2t, t2i = retrieval.ranks(images, texts, owner)
    sides = {"i2t": retrieval.summary(i2t), "t2i": retrieval.summary(t2i)}
    return {
        "protocol": {
            "images": len(images),
            "captions": len(texts),
            "split": split,
            "images_without_captions": int(np.sum(i2t == 0)),
            "seed": seed,
            "resamples": resamples,
            "loss_batch": LOSS_BATCH,
        },
        **sides,
        "rsum": sum(side[name] for side in sides.values() for name in RECALLS),
        "chance": chance(owner, len(images)),
        "loss": info_nce(images, texts, owner, logit_scale),
        "ci95": bootstrap.recall_intervals(i2t, t2i, owner, resamples, seed),
        "alignment": geometry.alignment(images, texts, owner),
        "uniformity": {
            "image": geometry.uniformity(images, seed=seed),
            "text": geometry.uniformity(texts, seed=seed),
        },
        "modality_gap": geometry.modality_gap(images, texts),
        "seconds": {
            "images": embeddings.seconds.get("images"),
            "texts": embeddings.seconds.get("texts"),
            "scoring": time.perf_counter() - start,
        },
        "skipped": list(embeddings.skipped),
    }


def info_nce(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    logit_scale: float,
    batch: int = LOSS_BATCH,
) -> float:
    """Return the mean symmetric InfoNCE, in nats, of batches of `batch` images.

    Batches hold the images that have captions, in order, each with its first caption; the last
    batch may be smaller. The value depends on the batch size: chance is log(batch). Every image
    weighs the same. Computed in float64. Source: Radford et al. 2021, figure 3.
    """
    captioned, first = np.unique(owner, return_index=True)
    total = 0.0
    for start in range(0, len(captioned), batch):
        x = images[captioned[start : start + batch]].astype(np.float64)
        y = texts[first[start : start + batch]].astype(np.float64)
        logits = logit_scale * x @ y.T  # (B, B), rows are images
        right = np.diag(logits)
        for axis in (1, 0):
            top = logits.max(axis=axis, keepdims=True)
            total += float(
                np.sum(np.log(np.exp(logits - top).sum(axis=axis)) + top.ravel() - right)
            )
    return total / (2 * len(captioned))


def chance(owner: np.ndarray, images: int) -> dict[str, dict[str, float]]:
    """Return the expected R@k, in percent, of a ranking drawn at random.

    `owner` (m,) of the captions; `images` is the size of the gallery. An image with c of m captions
    has none of them among k drawn with probability (m-c)/m * (m-c-1)/(m-1) * ... (k factors).
    """
    m = len(owner)
    counts = np.bincount(owner, minlength=images)
    wrong = m - counts[counts > 0].astype(np.float64)
    found: dict[str, dict[str, float]] = {"i2t": {}, "t2i": {}}
    for k in (1, 5, 10):
        missed = np.ones_like(wrong)
        for drawn in range(min(k, m)):
            missed *= np.maximum(wrong - drawn, 0) / (m - drawn)
        found["i2t"][f"R@{k}"] = float(100 * np.mean(1 - missed))
        found["t2i"][f"R@{k}"] = 100 * min(k / images, 1.0)
    return found


def format_report(result: Json) -> str:
    """Return what a person reads of `evaluate_embeddings`: recalls, intervals, chance, geometry."""
    protocol = result["protocol"]
    low, high = result["ci95"]["rsum"]
    spread = ", ".join(f"{side} {_number(v)}" for side, v in result["uniformity"].items())
    lines = [
        f"{protocol['images']} images, {protocol['captions']} captions, split {protocol['split']}; "
        "percent [95 % interval] (chance)",
        f"{'':14}{'image to text':>32}{'text to image':>32}",
        *(
            f"{name:14}" + _cell(result, "i2t", name) + _cell(result, "t2i", name)
            for name in RECALLS
        ),
        *(
            f"{name.replace('_', ' '):14}{result['i2t'][name]:32.1f}{result['t2i'][name]:32.1f}"
            for name in ("median_rank", "mean_rank")
        ),
        f"rsum {result['rsum']:.1f} [{low:.1f}, {high:.1f}]   loss {result['loss']:.3f} "
        f"(batches of {protocol['loss_batch']}, chance {_loss_chance(protocol):.3f})",
        f"alignment {result['alignment']:.3f}   uniformity {spread}   "
        f"modality gap {result['modality_gap']:.3f}",
        "seconds: " + ", ".join(f"{what} {_number(s, 2)}" for what, s in result["seconds"].items()),
    ]
    lines += _cautions(protocol)
    if protocol["images_without_captions"]:
        lines.append(f"{protocol['images_without_captions']} images without captions: gallery only")
    if result["skipped"]:
        some = ", ".join(result["skipped"][:3]) + (" ..." if len(result["skipped"]) > 3 else "")
        lines.append(f"{len(result['skipped'])} images skipped, they would not open: {some}")
    return "\n".join(lines)


def _cautions(protocol: Json) -> list[str]:
    """Return what keeps these numbers from meaning what they seem to."""
    cautions = []
    if protocol["images"] < SMALL_GALLERY:
        share = 100 / protocol["images"]
        cautions.append(f"note: a gallery this small says little; one image is {share:.1f} points")
    if protocol["split"] == "train":
        cautions.append("note: the model was trained on these photos; new ones score lower")
    if protocol["split"] == "val":
        cautions.append("note: training chose its best epoch by val; new photos score a bit lower")
    return cautions


def _cell(result: Json, side: str, name: str) -> str:
    low, high = result["ci95"][f"{side}_{name}"]
    text = f"{result[side][name]:.1f} [{low:.1f}, {high:.1f}] ({result['chance'][side][name]:.1f})"
    return f"{text:>32}"


def _loss_chance(protocol: Json) -> float:
    """Return the loss of a model that tells nothing apart, in the batches that were made."""
    n, batch = protocol["images"] - protocol["images_without_captions"], protocol["loss_batch"]
    full, rest = divmod(n, batch)
    return (full * batch * np.log(batch) + rest * np.log(max(rest, 1))) / n


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
