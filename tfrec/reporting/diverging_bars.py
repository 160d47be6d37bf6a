"""Bars from a common zero, to the right for what adds and to the left for what takes away, as HTML that reflows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tfrec.reporting.html_element import Html, element

STYLE = """
.bars { display: grid; grid-template-columns: max-content minmax(3rem, 1fr) max-content; gap: .15rem .6rem;
  align-items: center; margin: 0; font-variant-numeric: tabular-nums; }
.bars dt, .bars dd { margin: 0; font-weight: 400; }
.bars .amount { text-align: right; }
.bars .silent { color: var(--soft); }
.bars .track { position: relative; height: .6rem; background: var(--bar-track); border-radius: 2px; }
.bars .fill { position: absolute; top: 0; bottom: 0; min-width: 1px; border-radius: 2px; background: var(--bar-up); }
.bars .fill.down { background: var(--bar-down); }
.bars .zero { position: absolute; top: -.15rem; bottom: -.15rem; width: 1px; background: var(--bar-zero); }
"""
"""What a page needs for them; it sets `--soft`, `--bar-up`, `--bar-down`, `--bar-zero` and `--bar-track`."""


def span_of(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest of the values and 0: the scale on which several charts are read against each other.

    Example:
        >>> span_of([2.0, -0.5]), span_of([])
        ((-0.5, 2.0), (0.0, 0.0))
    """
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    return min(finite), max(finite)


def diverging_bars(rows: Sequence[tuple[str, float]], span: tuple[float, float]) -> Html:
    """A bar a row, with its name and its amount.

    Args:
        rows: (name, amount). An amount that is not finite is written without a bar.
        span: `span_of` the amounts of all charts that are shown together.

    Example:
        >>> 'class="fill down" style="left:0.00%;width:20.00%"' in diverging_bars([("a", -1.0)], (-1.0, 4.0))
        True
    """
    return element("dl", *(cell for name, amount in rows for cell in _row(name, amount, span)), class_="bars")


def _row(name: str, amount: float, span: tuple[float, float]) -> tuple[Html, Html, Html]:
    low, high = span
    width = (high - low) or 1.0
    marks = [element("span", class_="zero", style=f"left:{-low / width:.2%}")]
    if math.isfinite(amount) and amount:
        place = f"left:{(min(amount, 0.0) - low) / width:.2%};width:{abs(amount) / width:.2%}"
        marks.insert(0, element("span", class_="fill down" if amount < 0 else "fill", style=place))
    silent = "" if amount else " silent"
    return (
        element("dt", name, class_=silent.strip() or None),
        element("dd", *marks, class_="track", aria_hidden="true"),
        element("dd", signed(amount), class_=f"amount{silent}"),
    )


def signed(amount: float, digits: int = 3) -> str:
    """A number with its sign, of the length that lines up; 0 has none.

    Example:
        >>> signed(1.5), signed(-0.25), signed(-0.0001)
        ('+1.500', '−0.250', '0.000')
    """
    text = f"{amount:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
