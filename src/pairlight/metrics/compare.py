"""Tells whether one model is better than another, by their ranks on the same queries."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pairlight.errors import DataError
from pairlight.metrics import bootstrap
from pairlight.metrics.queries import Results, read_results
from pairlight.types import Json

LEVEL = 0.05
# Below this many images the intervals themselves can no longer be trusted.
FEW_IMAGES = 100


def compare_files(paths: Sequence[Path], resamples: int = 10_000, seed: int = 0) -> Json:
    """Compare the first of `evaluate --json`'s files with each of the others.

    Raises `DataError` for files that hold no ranks or ranks of other queries.
    """
    first, *others = [read_results(path) for path in paths]
    for other in others:
        check_same_queries(first, other)
    return {
        "baseline": _of(first),
        "queries": {"images": len(first.i2t), "captions": len(first.t2i), "sha256": first.sha256},
        "seed": seed,
        "resamples": resamples,
        "comparisons": [
            {**_of(other), **compare_ranks(first, other, resamples, seed)} for other in others
        ],
    }


def check_same_queries(a: Results, b: Results) -> None:
    """Raise `DataError` unless both were measured on the same images and captions, in order."""
    if a.sha256 == b.sha256 and np.array_equal(a.owner, b.owner) and len(a.i2t) == len(b.i2t):
        return
    sizes = [f"{len(each.i2t):,} images, {len(each.t2i):,} captions" for each in (a, b)]
    how = f"{sizes[0]}, not {sizes[1]}" if sizes[0] != sizes[1] else "same number, other ones"
    raise DataError(
        f"{a.path} and {b.path}: measured on other photos or captions ({how}); "
        "evaluate both models on the same split of the same manifest"
    )


def compare_ranks(a: Results, b: Results, resamples: int = 10_000, seed: int = 0) -> Json:
    """Return the difference b - a of every recall and of rsum, and what it shows.

    `ci95` is the paired percentile bootstrap interval over images; `share_better` the share of
    resamples in which b is better (level ones half); `p_value` that of a paired randomisation
    test. A `verdict` is `better` or `worse` when the interval leaves out 0 and p is at most 0.05,
    else `no difference`. The verdict on the models is that on rsum.
    """
    table_a, table_b = (bootstrap.hits(each.i2t, each.t2i, each.owner) for each in (a, b))
    values = [bootstrap.recalls(table.sum(axis=0)) for table in (table_a, table_b)]
    drawn = bootstrap.paired_differences(table_a, table_b, resamples, seed)
    # A difference of nothing may come out as 1e-14 when recalls are summed.
    drawn[np.abs(drawn) < 1e-9] = 0
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    p_values = bootstrap.flip_p_values(table_a, table_b, resamples, seed)
    found = {}
    for c, name in enumerate(bootstrap.NAMES):
        verdict = "no difference"
        if p_values[c] <= LEVEL and not low[c] <= 0 <= high[c]:
            verdict = "better" if low[c] > 0 else "worse"
        found[name] = {
            "a": float(values[0][c]),
            "b": float(values[1][c]),
            "difference": float(values[1][c] - values[0][c]),
            "ci95": [float(low[c]), float(high[c])],
            "share_better": float(np.mean(drawn[:, c] > 0) + np.mean(drawn[:, c] == 0) / 2),
            "p_value": float(p_values[c]),
            "verdict": verdict,
        }
    alike = bool((a.i2t == b.i2t).all() and (a.t2i == b.t2i).all())
    return {"verdict": found["rsum"]["verdict"], "same_ranks": alike, "differences": found}


def format_comparison(result: Json) -> str:
    """Return what a person reads of `compare_files`: a table and a verdict for each model."""
    queries = result["queries"]
    a = result["baseline"]
    lines = [
        f"{queries['images']:,} images, {queries['captions']:,} captions; "
        f"{result['resamples']:,} resamples of the images, seed {result['seed']}",
        f"A: {a['file']} ({_model(a)})",
    ]
    for number, found in enumerate(result["comparisons"]):
        letter = _letter(number)
        change = f"{letter} - A [95 %]"
        lines += [
            f"{letter}: {found['file']} ({_model(found)})",
            "",
            f"{'':10}{'A':>7}{letter:>8}{change:>24}{f'{letter} better':>12}{'p':>9}",
            *(_row(name, each) for name, each in found["differences"].items()),
            "",
            verdict(found, queries["images"], letter),
        ]
        if found["verdict"] == "no difference" and _marked(found):
            lines.append("note: a single marked line may be luck, rsum decides")
    if queries["images"] < FEW_IMAGES:
        lines.append("note: so few photos show only large differences")
    if len(result["comparisons"]) > 1:
        lines.append("note: each verdict errs once in 20 times; of many, some may")
    return "\n".join(lines)


def verdict(found: Json, images: int, letter: str = "B") -> str:
    """Return the verdict on a model as a sentence, with the difference of rsum and its interval."""
    rsum = found["differences"]["rsum"]
    low, high = rsum["ci95"]
    number = f"rsum {rsum['difference']:+.1f} [{low:.1f}, {high:.1f}]"
    if found["same_ranks"]:
        return f"A and {letter} rank every query alike"
    if found["verdict"] == "better":
        return f"{letter} is better: {number}"
    if found["verdict"] == "worse":
        return f"{letter} is worse: {number}"
    return f"no difference that {images:,} photos can show: {number}"


def _row(name: str, found: Json) -> str:
    low, high = found["ci95"]
    change = f"{found['difference']:+.1f} [{low:.1f}, {high:.1f}]"
    mark = "" if found["verdict"] == "no difference" else f"  {found['verdict']}"
    return (
        f"{name.replace('_', ' '):10}{found['a']:7.1f}{found['b']:8.1f}{change:>24}"
        f"{100 * found['share_better']:10.1f} %{found['p_value']:9.4f}{mark}"
    )


def _marked(found: Json) -> bool:
    return any(each["verdict"] != "no difference" for each in found["differences"].values())


def _letter(number: int) -> str:
    return chr(ord("B") + number) if number < 25 else f"#{number + 2}"


def _model(entry: Json) -> str:
    name, sha256 = entry["model"].get("name", "unnamed"), entry["model"].get("sha256") or "unknown"
    return f"model {name}, sha256 {str(sha256)[:8]}, split {entry['split']}"


def _of(results: Results) -> Json:
    return {"file": str(results.path), "model": results.model, "split": results.split}
