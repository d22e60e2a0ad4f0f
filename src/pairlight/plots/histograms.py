"""Draws how similarities of right and wrong pairs lie, and how ranks are spread."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pairlight.plots.canvas import BLUE, FAINT, INK, VERMILION, new_figure, save
from pairlight.types import Json

# The first and last rank of each bar; the last bar takes all that is beyond.
RANK_BARS = ((1, 1), (2, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, None))
KINDS = (("negative", "pairs of a caption and another photo", VERMILION, "\\\\\\"),
         ("positive", "pairs of a caption and its own photo", BLUE, ""))  # fmt: skip


def plot_histograms(similarity: Json, i2t: np.ndarray, t2i: np.ndarray, path: Path) -> list[str]:
    """Draw similarities of positives against negatives, and below them the ranks of both ways.

    `similarity` is that of `pairlight.metrics.analysis.analyse`: `edges`, `positive` and `negative`
    with their `counts`, `mean` and `std`, `overlap` and `auc`; what is None is left out. `i2t`
    (n,) and `t2i` (m,) are ranks, 0 for no query. Returns no warnings.
    """
    figure = new_figure(10, 8)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1), left=0.08, right=0.97, top=0.83,
                               bottom=0.08, hspace=0.42, wspace=0.2)  # fmt: skip
    _similarities(figure.add_subplot(grid[0, :]), similarity)
    for column, (ranks, words) in enumerate(
        ((i2t, "Photo to captions"), (t2i, "Caption to photos"))
    ):
        _ranks(figure.add_subplot(grid[1, column]), np.asarray(ranks), words)
    figure.text(0.03, 0.96, "Similarities and ranks", fontsize=14, color=INK, va="center")
    figure.text(0.03, 0.92, overlap_words(similarity), fontsize=9.5, color=FAINT, va="center")
    save(figure, Path(path))
    return []


def overlap_words(similarity: Json) -> str:
    """Return how far right and wrong pairs overlap, in a sentence or two."""
    overlap, auc = similarity.get("overlap"), similarity.get("auc")
    if overlap is None or auc is None:
        return "Too few pairs to compare right ones with wrong ones."
    return (
        f"The two histograms overlap by {100 * overlap:.1f} %. A right pair scores above a wrong "
        f"one {100 * auc:.1f} times out of 100 (area under the curve)."
    )


def rank_shares(ranks: np.ndarray) -> list[tuple[str, int, float]]:
    """Return label, number of queries and their share in percent for each bar of ranks.

    `ranks` are 0 for no query. Bars beyond the worst rank are left out, but for the first.
    """
    ranks = ranks[ranks > 0]
    bars = []
    for low, high in RANK_BARS:
        if low > 1 and not (ranks >= low).any():
            break
        count = int(((ranks >= low) & (ranks <= (high or np.inf))).sum())
        label = f">{low - 1}" if high is None else str(low) if low == high else f"{low}–{high}"
        bars.append((label, count, 100 * count / max(1, len(ranks))))
    return bars


def shares(counts: list[float] | None) -> np.ndarray | None:
    """Return the percentage in each bin, or None when there is nothing to count."""
    total = sum(counts) if counts else 0
    return np.asarray(counts, dtype=np.float64) * 100 / total if total else None


def _similarities(axes: Axes, similarity: Json) -> None:
    axes.set_title("Cosine similarity of pairs", loc="left", fontsize=11)
    edges = similarity.get("edges")
    for kind, words, color, hatch in KINDS:
        side = similarity.get(kind) or {}
        percent = shares(side.get("counts"))
        if edges is None or percent is None:
            continue
        label = f"{sum(side['counts']):,.0f} {words}, mean {round(side['mean'], 2) + 0.0:.2f}"
        axes.stairs(percent, edges, fill=True, facecolor=(color, 0.3), edgecolor=(color, 0.5),
                    hatch=hatch, linewidth=0)  # fmt: skip
        axes.stairs(percent, edges, color=color, linewidth=1.8, label=label)
    if axes.patches:
        axes.legend(frameon=False, fontsize=9.5, loc="lower right", bbox_to_anchor=(1.01, 0.99))
        axes.set_xlabel("cosine similarity")
        axes.set_ylabel("% of the pairs of each kind")
    else:
        axes.text(0.5, 0.5, "too few pairs", ha="center", color=FAINT, transform=axes.transAxes)
    axes.spines[["top", "right"]].set_visible(False)


def _ranks(axes: Axes, ranks: np.ndarray, words: str) -> None:
    bars = rank_shares(ranks)
    at = range(len(bars))
    heights = [share for _, _, share in bars]
    axes.bar(at, heights, color=[BLUE] + [VERMILION] * (len(bars) - 1), width=0.8)
    for place, height in zip(at, heights, strict=True):
        axes.text(place, height, f"{height:.0f}", ha="center", va="bottom", fontsize=9, color=INK)
    axes.set_xticks(list(at), [label for label, _, _ in bars], fontsize=9)
    axes.set_title(f"{words}: rank of the right answer", loc="left", fontsize=11)
    axes.set_ylabel(f"% of {int((ranks > 0).sum()):,} queries")
    axes.set_ylim(0, 1.12 * max([*heights, 1]))
    axes.spines[["top", "right"]].set_visible(False)
