"""Text whose parts are coloured by what they add and take away."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec.reporting.html_element import Html, element, joined


def highlighted_text(parts: Sequence[str], effects: Sequence[float]) -> Html:
    """The parts as marks in the colours of the bars, the stronger the larger their effect; texts are escaped.

    Args:
        parts: The words, in order.
        effects: What each adds; below 0 for what takes away.

    Example:
        >>> str(highlighted_text(["Tea", "<pot>"], [2.0, -1.0])).count("<mark")
        2
    """
    most = max((abs(effect) for effect in effects), default=0.0) or 1.0
    marks = []
    for number, (part, effect) in enumerate(zip(parts, effects, strict=True)):
        colour = "var(--bar-up)" if effect >= 0 else "var(--bar-down)"
        style = f"background:color-mix(in srgb,{colour} {60 * abs(effect) / most:.0f}%,transparent);color:inherit"
        marks.append(joined(" " if number else "", element("mark", part, style=style, title=f"{effect:+.3f}")))
    return element("p", *marks, class_="words")
