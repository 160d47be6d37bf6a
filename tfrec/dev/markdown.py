"""Converts docstrings, formulas and notebooks to Markdown."""

from __future__ import annotations

import base64
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_BLOCK, _INLINE = re.compile(r"\$\$(.+?)\$\$", re.DOTALL), re.compile(r"(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])")
_SECTION = re.compile(r"^([A-Z][\w ]*)( \([^)]*\))?:$")
_ENTRY = re.compile(r"^(\*{0,2}[\w.@, ]+): (.*)$")


def with_mathml(text: str) -> str:
    r"""Replaces $…$ and $$…$$ by MathML, which browsers render without a script; code is left alone.

    Example:
        >>> with_mathml("`$x$` and $x$")
        '`$x$` and <span><math xmlns=...><mrow><mi>x</mi></mrow></math></span>'
    """
    from latex2mathml.converter import convert

    def formulas(part: str) -> str:
        part = _BLOCK.sub(lambda formula: f"\n\n{convert(formula[1].strip(), display='block')}\n\n", part)
        return _INLINE.sub(lambda formula: f"<span>{convert(formula[1])}</span>", part)

    # The <span> is needed because Markdown takes a bare <math> at the start of a line for a block.
    return "".join(part if number % 2 else formulas(part) for number, part in enumerate(_CODE.split(text)))


def docstring(thing: Any) -> str:
    """The docstring of `thing` as Markdown, with sections as lists and examples as code.

    Example:
        >>> def half(x):
        ...     '''Halves.
        ...
        ...     Args:
        ...         x: A number,
        ...             any.
        ...     '''
        >>> print(docstring(half))
        Halves.
        <BLANKLINE>
        **Args**
        <BLANKLINE>
        - `x`: A number, any.
        <BLANKLINE>
    """
    lines, parts = (inspect.getdoc(thing) or "").splitlines(), []
    while lines:
        line = lines.pop(0)
        title = _SECTION.match(line)
        if not title:
            parts.append(line)
            continue
        body = []
        while lines and (not lines[0].strip() or lines[0].startswith(" ")):
            body.append(lines.pop(0))
        parts += [
            f"**{title[1]}**{title[2] or ''}",
            "",
            *_section(title[1], textwrap.dedent("\n".join(body)).strip()),
            "",
        ]
    return "\n".join(parts)


def _section(name: str, body: str) -> list[str]:
    if name.startswith("Example"):
        return ["```pycon", *body.splitlines(), "```"]
    entries: list[str] = []
    for line in body.splitlines():
        entry = _ENTRY.match(line)
        if entry and not line.startswith(" "):
            entries.append(f"- `{entry[1]}`: {entry[2]}")
        elif entries and line.startswith(" "):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    return entries


def notebook_page(path: Path, folder: str) -> tuple[str, dict[str, bytes]]:
    """A stored notebook as Markdown, and its pictures by file name; the page expects them in `folder` beside it."""
    import jupytext

    parts, pictures = [], {}
    for number, cell in enumerate(jupytext.read(path).cells):
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\((\d\d_\w+)\.ipynb\)", r"(\1.md)", cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for place, output in enumerate(cell.outputs):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{number}-{place}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![Output of the cell above]({folder}/{name})")
            elif text := (output.get("text") or data.get("text/plain", "")).strip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n", pictures
