"""HTML put together element by element: what is not made here is text, and is escaped."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"br", "hr", "img"})


class Html(str):
    """Markup that `element` or `joined` made, so that it is not escaped again."""


def element(tag: str, *children: str, **attributes: object) -> Html:
    """One element.

    Args:
        tag: Its name.
        children: `Html` is put in as it is, any other string as text.
        attributes: A "_" at the end of a name is dropped, others become "-". None and False leave one out, True gives a
            bare name.

    Example:
        >>> element("p", "1 < 2", element("b", "!"), class_="so", hidden=True, title=None)
        '<p class="so" hidden>1 &lt; 2<b>!</b></p>'
    """
    said = "".join(_attribute(name, value) for name, value in attributes.items())
    return Html(f"<{tag}{said}>" if tag in _VOID else f"<{tag}{said}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Html:
    """Elements and texts, one after the other.

    Example:
        >>> joined(element("i", "a"), " & b")
        '<i>a</i> &amp; b'
    """
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
