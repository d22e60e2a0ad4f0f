"""Decides which int8 towers are kept, and writes down the numbers it decided by."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pairlight.export import parity
from pairlight.export.describe import processor
from pairlight.export.graphs import TOWERS
from pairlight.export.parity import Measured, Twin
from pairlight.export.probes import Probes
from pairlight.runtime.sessions import usable_cores
from pairlight.types import Json

All = Mapping[str, Mapping[str, Measured]]


@dataclass(frozen=True)
class Verdict:
    """What is exported: each tower's precision, why an int8 tower is not, and the numbers."""

    precision: dict[str, str]
    reasons: dict[str, str]
    parity: Json


def judge(
    measured: All,
    probes: Probes,
    sizes: dict[str, dict[str, int]],
    reasons: Mapping[str, str],
    for_size: bool,
) -> Verdict:
    """Return the verdict on towers measured as `torch`, `fp32` and, where there is one, `int8`.

    `sizes` are in bytes, by kind and tower; `reasons` say why a tower has no int8 twin at all.
    Raises `ModelError` when a float32 tower is wrong.
    """
    for tower in TOWERS:
        kinds = measured[tower]
        parity.check_fp32(tower, kinds["fp32"].embeddings, kinds["torch"].embeddings)
    recalls = {"fp32": _recall(measured, probes, {})}
    reasons, twins = dict(reasons), {}
    for tower in TOWERS:
        if "int8" not in measured[tower]:
            continue
        recalls[f"int8 {tower}"] = _recall(measured, probes, {tower: "int8"})
        lost = _drops(probes, recalls, f"int8 {tower}")
        twins[tower] = _twin(measured[tower], sizes, tower, lost)
        reason = parity.refusal(twins[tower], for_size)
        if reason:
            reasons[tower] = reason
    kept = [tower for tower in twins if tower not in reasons]
    if len(twins) == len(TOWERS):
        recalls["int8 both"] = _recall(measured, probes, dict.fromkeys(TOWERS, "int8"))
        lost_by_both = parity.too_much(_drops(probes, recalls, "int8 both"))
        good = [
            parity.refusal(replace(each, drops={}), for_size) is None for each in twins.values()
        ]
        if all(good) and not lost_by_both:
            # What is shipped together is judged together: a tower beside a float one is not.
            kept, reasons = list(TOWERS), {}
        elif len(kept) == len(TOWERS):
            worse = min(kept, key=lambda tower: twins[tower].cosine)
            reasons[worse] = f"with both towers in int8 {lost_by_both}"
            kept.remove(worse)
    report = _report(measured, probes, recalls, sizes)
    precision = {tower: "int8" if tower in kept else "fp32" for tower in TOWERS}
    return Verdict(precision, reasons, report)


def _twin(kinds: Mapping[str, Measured], sizes: dict, tower: str, lost: dict) -> Twin:
    cosine = parity.cosines(kinds["int8"].embeddings, kinds["torch"].embeddings).mean()
    smaller = sizes["int8"][tower] < sizes["fp32"][tower]
    return Twin(float(cosine), _speed(kinds, "fp32", "int8"), smaller, lost)


def _speed(kinds: Mapping[str, Measured], slow: str, fast: str) -> float:
    """Return how many times as fast one kind is: the median over batches, which took turns."""
    return float(np.median(kinds[slow].seconds / kinds[fast].seconds))


def _recall(measured: All, probes: Probes, kinds: dict[str, str]) -> Json:
    images, texts = (measured[t][kinds.get(t, "fp32")].embeddings for t in TOWERS)
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        return {"i2t": 0.0, "t2i": 0.0}
    return parity.recall_at_1(images, texts, probes.owner)


def _drops(probes: Probes, recalls: Json, kind: str) -> dict[str, float]:
    images, captions = len(probes.pixels), len(probes.captions)
    return parity.drops(recalls["fp32"], recalls[kind], images, captions)


def _report(measured: All, probes: Probes, recalls: Json, sizes: dict) -> Json:
    """Return all numbers, ready for JSON."""
    report: Json = {
        "probes": {
            "source": probes.source,
            "images": len(probes.pixels),
            "captions": len(probes.captions),
        },
        "R@1": recalls,
        "machine": {"processor": processor(), "threads": usable_cores()},
    }
    for tower in TOWERS:
        kinds = measured[tower]
        wanted = kinds["torch"].embeddings
        report[tower] = {"torch": {"per_second": round(kinds["torch"].per_second, 1)}}
        for kind in ("fp32", "int8"):
            if kind not in kinds:
                continue
            each = parity.cosines(kinds[kind].embeddings, wanted)
            report[tower][kind] = {
                "cosine_mean": round(float(each.mean()), 6),
                "cosine_min": round(float(each.min()), 6),
                "per_second": round(kinds[kind].per_second, 1),
                "times_torch": round(_speed(kinds, "torch", kind), 2),
                "times_fp32": round(_speed(kinds, "fp32", kind), 2),
                "bytes": sizes[kind][tower],
            }
    return report
