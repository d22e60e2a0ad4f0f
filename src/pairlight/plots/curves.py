"""Draws training curves: loss, recall on the validation split, learning rate, temperature."""

import math
from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pairlight.errors import DataError
from pairlight.plots.canvas import BLUE, FAINT, GREEN, INK, ORANGE, VERMILION, new_figure, save
from pairlight.types import Json

RECALLS = (("R@1", VERMILION), ("R@5", ORANGE), ("R@10", BLUE))
DIRECTIONS = (("i2t", "image→text", "-", "o"), ("t2i", "text→image", ":", "^"))
# Two groups often share a rate: the wider line shows below the narrower one.
RATES = (("heads", BLUE, 4.5), ("image", ORANGE, 1.8), ("text", GREEN, 1.8))
# The least height of the temperature's axis, as a share of its middle: a drift of a few percent
# is not to look like a fall.
TEMPERATURE_SPAN = 0.5


def plot_curves(history: list[Json], path: Path) -> list[str]:
    """Draw the training curves in `history`, one record an epoch, to the PNG `path`.

    Recalls are in percent, the temperature is the inverse of the logit scale. Epochs without
    validation, and numbers that are not finite, leave a gap. Returns warnings in words; an empty
    history raises `DataError`.
    """
    if not history:
        raise DataError("no epoch was trained, so there is no curve to draw")
    figure = new_figure(12, 7.8)
    panels = figure.subplots(2, 2)
    _loss(panels[0, 0], history)
    _recall(panels[0, 1], history)
    _rates(panels[1, 0], history)
    _temperature(panels[1, 1], history)
    for axes in panels.flat:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.grid(True, color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _stages(axes, history)
    figure.suptitle(_headline(history), fontsize=13, color=INK)
    figure.tight_layout(rect=(0, 0, 1, 0.98), h_pad=2.0)
    save(figure, Path(path))
    lost = [str(n) for n, record in enumerate(history, 1) if not math.isfinite(record["loss"])]
    return [f"the training loss is not finite in epoch {', '.join(lost)}"] if lost else []


def _headline(history: list[Json]) -> str:
    scored = [(r["val"]["rsum"], n) for n, r in enumerate(history, 1) if r.get("val")]
    epochs = f"{len(history)} epoch" + ("s" if len(history) > 1 else "")
    if not scored:
        return f"Training: {epochs}, no validation split"
    # The first of equals, as the trainer keeps the first one as its best checkpoint.
    best, at = max(scored, key=lambda pair: (pair[0], -pair[1]))
    return f"Training: {epochs}, best validation rsum {best:.1f} in epoch {at}"


def _line(axes: Axes, values: Iterable[float | None], **style) -> None:
    """Draw one value an epoch, with a gap for None, NaN and infinity."""
    known = [math.nan if v is None or not math.isfinite(v) else v for v in values]
    if any(map(math.isfinite, known)):
        size = 3.5 if len(known) <= 40 else 0
        alone = sum(map(math.isfinite, known)) == 1
        style = {"marker": "o", "markersize": 6 if alone else size, "linewidth": 1.8, **style}
        axes.plot(range(1, len(known) + 1), known, **style)


def _val(history: list[Json], *keys: str) -> list[float | None]:
    values = []
    for record in history:
        at = record.get("val")
        for key in keys:
            at = at.get(key) if at else None
        values.append(at)
    return values


def _loss(axes: Axes, history: list[Json]) -> None:
    axes.set_title("Loss", loc="left")
    _line(axes, [record["loss"] for record in history], color=BLUE, label="train")
    _line(axes, _val(history, "loss"), color=VERMILION, linestyle="--", label="validation")
    _legend(axes, axes.lines)


def _recall(axes: Axes, history: list[Json]) -> None:
    axes.set_title("Val recall (%)", loc="left")
    for k, color in RECALLS:
        for key, _, dash, marker in DIRECTIONS:
            values = _val(history, key, k)
            _line(axes, values, color=color, linestyle=dash, marker=marker)
    if axes.lines:
        axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
        handles = [Line2D([], [], color=color, linewidth=4, label=k) for k, color in RECALLS]
        for _, words, dash, marker in DIRECTIONS:
            style = {"linestyle": dash, "marker": marker, "markersize": 4, "label": words}
            handles.append(Line2D([], [], color=INK, **style))
        _legend(axes, handles)
    else:
        axes.text(0.5, 0.5, "no validation split", transform=axes.transAxes, ha="center",
                  color=FAINT)  # fmt: skip


def _rates(axes: Axes, history: list[Json]) -> None:
    axes.set_title("Learning rate", loc="left")
    for group, color, width in RATES:
        rates = [record["lr"].get(group) or None for record in history]
        _line(axes, rates, color=color, label=group, linewidth=width)
    if axes.lines:
        axes.set_yscale("log")
        _legend(axes, axes.lines)


def _temperature(axes: Axes, history: list[Json]) -> None:
    axes.set_title("Temperature (1 / logit scale)", loc="left")
    values = [1 / record["logit_scale"] for record in history if record["logit_scale"] > 0]
    _line(axes, [1 / r["logit_scale"] if r["logit_scale"] > 0 else None for r in history],
          color=GREEN)  # fmt: skip
    known = [value for value in values if math.isfinite(value)]
    if known:
        axes.set_ylim(*temperature_limits(min(known), max(known)))


def temperature_limits(low: float, high: float) -> tuple[float, float]:
    """Return the axis for temperatures from `low` to `high`: never so short that a drift looms."""
    middle = (low + high) / 2
    half = max(0.6 * (high - low), TEMPERATURE_SPAN / 2 * middle)
    return middle - half, middle + half


def _legend(axes: Axes, handles: Iterable[Line2D]) -> None:
    """Set the legend above the panel, where no curve can run through it."""
    axes.legend(handles=list(handles), frameon=False, fontsize=8.5, ncol=5, loc="lower right",
                bbox_to_anchor=(1.01, 0.99), handlelength=1.4, columnspacing=0.8)  # fmt: skip


def _stages(axes: Axes, history: list[Json]) -> None:
    """Mark where a stage begins, and name it when there is more than one."""
    names = [record["stage"] for record in history]
    starts = [n for n, name in enumerate(names) if n == 0 or name != names[n - 1]]
    if len(starts) < 2:
        return
    axes.margins(y=0.12)  # room for the names above the curves
    for start in starts:
        if start:
            axes.axvline(start + 0.5, color=FAINT, linewidth=1, linestyle=":")
        axes.annotate(names[start], (start + 0.5, 1.0), xycoords=("data", "axes fraction"),
                      xytext=(4, -3), textcoords="offset points", va="top", fontsize=8,
                      color=FAINT)  # fmt: skip
