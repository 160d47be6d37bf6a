"""Charts for reports as plain SVG, readable without colour, with the numbers in a description for screen readers.

The stylesheet in `html_page.py` sets the colours for light and dark mode and for print. Series differ by dash pattern
as well as by colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 720  # of every chart, in SVG units
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


def forest(title: str, rows: Sequence[tuple[str, float, float, float]], reference: float = 0.0) -> str:
    """A forest plot: one estimate with its interval per line, and a vertical reference line.

    Args:
        title: Title of the chart.
        rows: (label, estimate, low, high). An infinite bound is drawn to the edge; for a NaN estimate only the label is
            drawn.
        reference: Position of the vertical line, e.g. 0 for no difference.

    Example:
        >>> forest("ndcg", [("B", 0.1, 0.0, 0.2)]).count('class="mark"')
        1
    """
    left, right, line = 250, 110, 26
    finite = [v for _, *values in rows for v in values if math.isfinite(v)] + [reference]
    scale = _Scale(min(finite), max(finite), left, WIDTH - right)
    height = 30 + line * max(len(rows), 1) + 26
    parts = [_rule(scale(reference), 18, scale(reference), height - 28, "reference")]
    for place, (label, estimate, low, high) in enumerate(rows):
        y = 32 + place * line
        parts.append(_text(0, y + 5, label))
        if math.isnan(estimate):
            parts.append(_text(WIDTH, y + 5, "none", "end"))
            continue
        parts.append(_rule(scale(low), y, scale(high), y, "interval"))
        parts.append(f'<rect class="mark" x="{scale(estimate) - 4:.1f}" y="{y - 4}" width="8" height="8"/>')
        parts.append(_text(WIDTH, y + 5, f"{estimate:+.4g}", "end"))
    parts += _axis(scale, height - 26)
    text = "; ".join(f"{label}: {estimate:.4g} ({low:.4g} to {high:.4g})" for label, estimate, low, high in rows)
    return _svg(title, text, height, parts)


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str = "",
    diagonal: bool = False,
) -> str:
    """A line chart of one or more series. Points that are not finite are left out.

    Args:
        title: Title of the chart.
        series: Series name to (x, y) points, in drawing order.
        x_label: Label of the horizontal axis.
        diagonal: Whether to draw y = x, e.g. for calibration.

    Example:
        >>> "polyline" in lines("loss", {"train": [(1, 0.5), (2, 0.4)]}, "epoch")
        True
    """
    clean = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    clean = {name: points for name, points in clean.items() if points}
    if not clean:
        return _svg(title, "No points.", 40, [_text(0, 24, "Nothing to draw.")])
    xs, ys = ([p[axis] for points in clean.values() for p in points] for axis in (0, 1))
    across = _Scale(min(xs), max(xs), 62, WIDTH - 150)
    up = _Scale(min(ys + xs * diagonal), max(ys + xs * diagonal), 230, 14)
    parts = []
    if diagonal:
        ends = (min(xs), max(xs))
        parts.append(_rule(across(ends[0]), up(ends[0]), across(ends[1]), up(ends[1]), "reference"))
    for place, (name, points) in enumerate(clean.items()):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        look = f'class="line s{place % 4}" stroke-dasharray="{_DASHES[place % 4]}"'
        parts.append(f'<polyline {look} points="{path}"/>')
        y = 20 + place * 20
        parts.append(f'<polyline {look} points="{WIDTH - 140},{y} {WIDTH - 110},{y}"/>')
        parts.append(_text(WIDTH - 104, y + 4, name))
    parts += _axis(across, 240, x_label)
    parts += [_text(56, up(v) + 4, _tick(v), "end") for v in up.ticks()]
    text = "; ".join(f"{name}: from {p[0][1]:.4g} to {p[-1][1]:.4g}" for name, p in clean.items())
    return _svg(title, text, 284, parts)


def bars(title: str, values: Sequence[tuple[str, float]]) -> str:
    """A chart of horizontal bars, one per line, with their values.

    Args:
        title: Title of the chart.
        values: (label, value) pairs, no value negative.

    Example:
        >>> bars("share", [("head", 0.8), ("tail", 0.2)]).count("<rect")
        2
    """
    most = max((value for _, value in values if math.isfinite(value)), default=0) or 1
    parts = []
    for place, (label, value) in enumerate(values):
        y = 14 + place * 24
        length = (WIDTH - 330) * value / most if math.isfinite(value) else 0
        parts.append(_text(0, y + 11, label))
        parts.append(f'<rect class="bar" x="250" y="{y}" width="{length:.1f}" height="14"/>')
        parts.append(_text(WIDTH, y + 11, f"{value:.4g}", "end"))
    return _svg(title, "; ".join(f"{label}: {v:.4g}" for label, v in values), 20 + 24 * max(len(values), 1), parts)


class _Scale:
    """A linear scale from values to pixels, with a 5% margin on both sides of the data."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
        self.low, self.high, self.start, self.stop = low - margin, high + margin, start, stop

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """About five round values inside the scale."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, math.floor(self.high / step) + 1)]


def _axis(scale: _Scale, y: float, label: str = "") -> list[str]:
    parts = [_rule(scale.start, y - 6, scale.stop, y - 6, "axis")]
    parts += [_text(scale(value), y + 12, _tick(value), "middle") for value in scale.ticks()]
    if label:
        parts.append(_text((scale.start + scale.stop) / 2, y + 32, label, "middle"))
    return parts


def _tick(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}"


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    words = words if len(words) <= 36 or anchor != "start" else words[:35] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(title: str, description: str, height: int, parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption>\n<svg role="img" viewBox="0 0 {WIDTH} {height}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>\n{inner}\n</svg></figure>"
    )
