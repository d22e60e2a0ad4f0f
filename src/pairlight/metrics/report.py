"""Gathers every number of an evaluation into one JSON object and a small table."""

import time
from collections.abc import Sequence

import numpy as np

from pairlight.errors import DataError
from pairlight.metrics import bootstrap, geometry, retrieval
from pairlight.metrics.analysis import analyse, describe
from pairlight.metrics.protocols import Protocol, chance, in_words, measure, parse_protocols
from pairlight.metrics.queries import query_record
from pairlight.types import Embeddings, Json

# Below this many images the intervals themselves can no longer be trusted.
SMALL_GALLERY = 100
LOSS_BATCH = 128
RECALLS = ("R@1", "R@5", "R@10")


def evaluate_embeddings(
    embeddings: Embeddings,
    logit_scale: float,
    split: str,
    seed: int = 0,
    resamples: int = 1000,
    protocols: Sequence[Protocol] = (),
    analysis: bool = False,
    ranks: tuple[np.ndarray, np.ndarray] | None = None,
) -> Json:
    """Return all results of `evaluate --json` but `model`: plain numbers, ready for JSON.

    `logit_scale` is the inverse of the temperature; `split` is the name that the protocol keeps;
    `seed` is of the bootstrap, of random galleries and of samples. `protocols` are measured beside
    the whole gallery; `analysis` adds what `analyse` finds; `ranks` are those of
    `retrieval.ranks` where they are known. Recalls, chances and intervals are in
    percent, times in seconds. What is undefined (uniformity of one row, time of embeddings that
    were cached, a protocol with larger galleries than there are images) is None. Raises
    `DataError` when a row is not finite or not of unit length.
    """
    start = time.perf_counter()
    images, texts, owner = embeddings.images, embeddings.texts, embeddings.owner
    if len(images) == 0:
        raise DataError(
            f"none of the {len(embeddings.skipped)} images would open; "
            "`pairlight prepare` lists what is wrong with each"
        )
    i2t, t2i = ranks or retrieval.ranks(images, texts, owner)
    sides = {"i2t": retrieval.summary(i2t), "t2i": retrieval.summary(t2i)}
    result = {
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
    if protocols:
        start = time.perf_counter()
        result["protocols"] = {
            each.name: measure(images, texts, owner, each, seed, resamples) for each in protocols
        }
        result["seconds"]["protocols"] = time.perf_counter() - start
    if analysis:
        start = time.perf_counter()
        result["analysis"] = analyse(embeddings, seed, (i2t, t2i))
        result["seconds"]["analysis"] = time.perf_counter() - start
    # Last, as it is long: a person who opens the file sees the numbers first.
    return {**result, "queries": query_record(embeddings, i2t, t2i)}


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


def format_report(result: Json) -> str:
    """Return what a person reads of `evaluate_embeddings`: recalls, intervals, chance, geometry."""
    protocol = result["protocol"]
    low, high = result["ci95"]["rsum"]
    spread = ", ".join(f"{side} {_number(v)}" for side, v in result["uniformity"].items())
    lines = [
        f"{protocol['images']:,} images, {protocol['captions']:,} captions, "
        f"split {protocol['split']}; percent [95 % interval] (chance)",
        "every query searches the whole split; ties count against the model",
        *_table(result),
        f"rsum {result['rsum']:.1f} [{low:.1f}, {high:.1f}]   loss {result['loss']:.3f} "
        f"(batches of {protocol['loss_batch']}, chance {_loss_chance(protocol):.3f})",
        f"alignment {result['alignment']:.3f}   uniformity {spread}   "
        f"modality gap {result['modality_gap']:.3f}",
        "seconds: " + ", ".join(f"{what} {_number(s, 2)}" for what, s in result["seconds"].items()),
    ]
    for name, found in result.get("protocols", {}).items():
        lines += _protocol(name, found)
    if "analysis" in result:
        told = describe(result["analysis"], protocol["images"], protocol["captions"])
        lines += ["", "how images and captions align", *told]
    if "protocols" in result or "analysis" in result:
        lines.append("")
    lines += [f"note: {each}" for each in cautions(protocol)]
    if protocol["images_without_captions"]:
        lines.append(f"{protocol['images_without_captions']} images without captions: gallery only")
    if result["skipped"]:
        some = ", ".join(result["skipped"][:3]) + (" ..." if len(result["skipped"]) > 3 else "")
        lines.append(f"{len(result['skipped'])} images skipped, they would not open: {some}")
    return "\n".join(lines).rstrip("\n")


def _table(found: Json) -> list[str]:
    """Return the lines of one gallery's recalls and ranks, in both directions."""
    return [
        f"{'':14}{'image to text':>32}{'text to image':>32}",
        *(f"{name:14}{_cell(found, 'i2t', name)}{_cell(found, 't2i', name)}" for name in RECALLS),
        *(
            f"{name.replace('_', ' '):14}{found['i2t'][name]:32.1f}{found['t2i'][name]:32.1f}"
            for name in ("median_rank", "mean_rank")
        ),
    ]


def _protocol(name: str, found: Json | None) -> list[str]:
    """Return the lines of one more protocol, spelled out."""
    if found is None:
        return ["", f"protocol {name}: not measured, fewer images than that could be opened"]
    protocol = parse_protocols([name])[0]
    low, high = found["ci95"]["rsum"]
    spread = found["spread"]["rsum"]
    rsum = f"rsum {found['rsum']:.1f} [{low:.1f}, {high:.1f}]"
    if found["galleries"] > 1:
        rsum += (
            f"   galleries {spread['min']:.1f} to {spread['max']:.1f}, "
            f"standard deviation {spread['std']:.1f}"
        )
    return [
        "",
        f"protocol {name}",
        f"{in_words(protocol, found)}; {found['captions']:,.0f} captions",
        *_table(found),
        rsum,
        "in a smaller gallery every recall is higher: compare only the same protocol",
    ]


def cautions(protocol: Json) -> list[str]:
    """Return what keeps these numbers from meaning what they seem to."""
    found = []
    if protocol["images"] < SMALL_GALLERY:
        share = 100 / protocol["images"]
        found.append(f"a gallery this small says little; one image is {share:.1f} points")
    if protocol["split"] == "train":
        found.append("the model was trained on these photos; new ones score lower")
    if protocol["split"] == "val":
        found.append("training chose its best epoch by val; new photos score a bit lower")
    return found


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
