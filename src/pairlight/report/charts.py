"""Draws the report's charts as SVG, coloured by the page's style to suit its dark mode."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pairlight.report.markup import Html, number, tag

WIDTH, HEIGHT = 390, 236
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 36


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, a value or None for each place, and the class of its look."""

    name: str
    values: Sequence[float | None]
    look: str


@dataclass(frozen=True)
class Scale:
    """Maps numbers from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        low, high = (math.log10(v) if self.log else v for v in (self.low, self.high))
        value = math.log10(value) if self.log else value
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """Return about five round numbers on the scale; powers of ten on a logarithmic one."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        rough = (self.high - self.low) / 5 or 1.0
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * n for n in (1, 2, 2.5, 5, 10) if unit * n >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_chart(
    title: str,
    series: Sequence[Series],
    limits: tuple[float, float] | None = None,
    log: bool = False,
    stages: Sequence[str] = (),
) -> Html:
    """Return a chart of lines over epochs, counted from 1; None leaves a gap.

    `limits` is the height of the axis (default: from 0, or what the values span on a logarithmic
    one); `stages` names each epoch's stage, whose beginnings are marked.
    """
    known = [v for each in series for v in each.values if v is not None and (v > 0 or not log)]
    count = max((len(each.values) for each in series), default=0)
    if not known:
        return _figure(title, None, [])
    low, high = limits or (
        (min(known) / 1.5, max(known) * 1.5) if log else (0.0, 1.05 * max(known))
    )
    x = Scale(0.5, count + 0.5, LEFT, WIDTH - RIGHT)
    y = Scale(low, high if high > low else low + 1, HEIGHT - BOTTOM, TOP, log)
    parts = [_rows(y, _label), _columns(x, "epoch")]
    for at in range(1, len(stages)):
        if stages[at] != stages[at - 1]:
            place = x(at + 0.5)
            parts.append(tag("line", x1=place, x2=place, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark"))
            parts.append(_text(place + 4, TOP + 10, stages[at], "tick"))
    parts += [_line(each, x, y, log) for each in series]
    named = [each for each in series if len(series) > 1]
    return _figure(title, tag("g", *parts), [(each.look, each.name) for each in named])


def similarity_chart(title: str, edges: Sequence[float], sides: Sequence[Series]) -> Html:
    """Return histograms over the same `edges`, one for each series of percentages."""
    x = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    tallest = max((v or 0 for each in sides for v in each.values), default=0) or 1
    y = Scale(0, 1.05 * tallest, HEIGHT - BOTTOM, TOP)
    parts = [_rows(y, lambda v: f"{v:g}%"), _columns(x, "cosine similarity", _label)]
    for each in sides:
        floor = HEIGHT - BOTTOM
        points = [f"M{x(edges[0])} {floor}"]
        for left, right, value in zip(edges, edges[1:], each.values, strict=False):
            points.append(f"L{x(left)} {y(value or 0)}L{x(right)} {y(value or 0)}")
        points.append(f"L{x(edges[-1])} {floor}Z")
        parts.append(tag("path", d="".join(points), class_=f"area {each.look}"))
    return _figure(title, tag("g", *parts), [(each.look, each.name) for each in sides])


def bar_chart(title: str, bars: Sequence[tuple[str, int, float]], below: str) -> Html:
    """Return upright bars of (label, number, percent); the first one is the right answer's."""
    y = Scale(0, 1.15 * max([share for _, _, share in bars] + [1]), HEIGHT - BOTTOM, TOP)
    parts = [_rows(y, lambda v: f"{v:g}%")]
    step = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    for at, (label, count, share) in enumerate(bars):
        left, middle = LEFT + at * step + 0.1 * step, LEFT + (at + 0.5) * step
        words = tag("title", f"rank {label}: {count:,} queries")
        height = round(HEIGHT - BOTTOM - y(share), 2)
        look = "fill good" if at == 0 else "fill bad"
        parts.append(tag("rect", words, x=round(left, 2), y=y(share), width=round(0.8 * step, 2),
                         height=height, class_=look))  # fmt: skip
        parts.append(_text(middle, y(share) - 4, f"{share:.0f}", "value middle"))
        parts.append(_text(middle, HEIGHT - BOTTOM + 14, label, "tick middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, below, "tick middle"))
    return _figure(title, tag("g", *parts), [])


def recall_chart(title: str, rows: Sequence[tuple[str, str, float, float, float, float]]) -> Html:
    """Return bars from 0 to 100 % with their intervals and what guessing finds.

    Each row is (label, look, value, low, high, chance).
    """
    left, step = 132, 27
    height = len(rows) * step + 40
    x = Scale(0, 100, left, WIDTH - 40)
    parts: list[Html] = []
    for tick in (0, 25, 50, 75, 100):
        parts.append(tag("line", x1=x(tick), x2=x(tick), y1=4, y2=height - 34, class_="grid"))
        parts.append(_text(x(tick), height - 20, f"{tick}%", "tick middle"))
    for at, (label, look, value, low, high, chance) in enumerate(rows):
        y = 8 + at * step
        middle = y + 8
        parts.append(_text(left - 8, middle + 4, label, "tick end"))
        parts.append(tag("rect", x=x(0), y=y, width=round(x(value) - x(0), 2), height=16,
                         class_=f"fill {look}"))  # fmt: skip
        ends = f"M{x(low)} {middle - 5}v10M{x(low)} {middle}H{x(high)}M{x(high)} {middle - 5}v10"
        parts.append(tag("path", d=ends, class_="whisker"))
        parts.append(tag("line", x1=x(chance), x2=x(chance), y1=y - 3, y2=y + 19, class_="chance"))
        parts.append(_text(x(max(value, high)) + 6, middle + 4, number(value), "value"))
    parts.append(_text(left, height - 4, "whiskers: 95 % interval; dashed: guessing", "tick"))
    return _figure(title, tag("g", *parts), [], height)


def _figure(title: str, drawn: Html | None, legend: list[tuple[str, str]], height=HEIGHT) -> Html:
    entries = [tag("li", tag("span", class_=f"key {look}"), name) for look, name in legend]
    inner = tag("p", "nothing to draw", class_="quiet")
    if drawn is not None:
        inner = tag("svg", tag("title", title), drawn, viewBox=f"0 0 {WIDTH} {height}", role="img",
                    aria_label=title)  # fmt: skip
    keys = tag("ul", *entries, class_="legend") if entries else None
    return tag("figure", tag("figcaption", title), keys, inner, class_="chart")


def _line(series: Series, x: Scale, y: Scale, log: bool) -> Html:
    points, dots, pen = [], [], "M"
    for at, value in enumerate(series.values, 1):
        if value is None or (log and value <= 0):
            pen = "M"
            continue
        points.append(f"{pen}{x(at)} {y(value)}")
        dot = tag("circle", tag("title", f"epoch {at}: {value:.4g}"), cx=x(at), cy=y(value), r=2.5,
                  class_=f"dot {series.look}")  # fmt: skip
        dots.append(dot)
        pen = "L"
    return tag("g", tag("path", d="".join(points), class_=f"line {series.look}"), *dots)


def _rows(y: Scale, label: Callable[[float], str]) -> Html:
    parts = []
    for tick in y.ticks():
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(_text(LEFT - 6, y(tick) + 4, label(tick), "tick end"))
    return tag("g", *parts)


def _columns(x: Scale, name: str, label: Callable[[float], str] = lambda v: f"{v:g}") -> Html:
    ticks = [tick for tick in x.ticks() if name != "epoch" or tick == int(tick) >= 1]
    parts = [_text(x(tick), HEIGHT - BOTTOM + 14, label(tick), "tick middle") for tick in ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, name, "tick middle"))
    floor = HEIGHT - BOTTOM
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor, class_="axis"))
    return tag("g", *parts)


def _text(x: float, y: float, words: str, look: str) -> Html:
    return tag("text", words, x=round(x, 2), y=round(y, 2), class_=look)


def _label(value: float) -> str:
    value = round(value, 10) + 0.0
    if value and abs(value) < 1e-3:
        digits, power = f"{value:.0e}".split("e")
        return f"{digits}e{int(power)}"
    return f"{value:g}"
