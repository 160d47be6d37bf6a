"""Docstrings, formulas and notebooks as Markdown."""

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
    r"""Markdown with its $…$ and $$…$$ as MathML, which browsers draw by themselves; code stays as it is.

    Example:
        >>> with_mathml("`$x$` and $x$")
        '`$x$` and <span><math xmlns=...><mrow><mi>x</mi></mrow></math></span>'
    """
    from latex2mathml.converter import convert

    def formulas(part: str) -> str:
        part = _BLOCK.sub(lambda found: f"\n\n{convert(found[1].strip(), display='block')}\n\n", part)
        return _INLINE.sub(lambda found: f"<span>{convert(found[1])}</span>", part)

    # At the start of a line a bare <math> would open a block of its own.
    return "".join(part if number % 2 else formulas(part) for number, part in enumerate(_CODE.split(text)))


def docstring(thing: Any) -> str:
    """A docstring as Markdown: sections as lists, examples as code.

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
    lines, made = (inspect.getdoc(thing) or "").splitlines(), []
    while lines:
        line = lines.pop(0)
        found = _SECTION.match(line)
        if not found:
            made.append(line)
            continue
        body = []
        while lines and (not lines[0].strip() or lines[0].startswith(" ")):
            body.append(lines.pop(0))
        made += [
            f"**{found[1]}**{found[2] or ''}",
            "",
            *_section(found[1], textwrap.dedent("\n".join(body)).strip()),
            "",
        ]
    return "\n".join(made)


def _section(name: str, body: str) -> list[str]:
    if name.startswith("Example"):
        return ["```pycon", *body.splitlines(), "```"]
    made: list[str] = []
    for line in body.splitlines():
        entry = _ENTRY.match(line)
        if entry and not line.startswith(" "):
            made.append(f"- `{entry[1]}`: {entry[2]}")
        elif made and line.startswith(" "):
            made[-1] += f" {line.strip()}"
        else:
            made.append(line)
    return made


def notebook_page(path: Path, folder: str) -> tuple[str, dict[str, bytes]]:
    """A stored notebook as Markdown, and its pictures by name, which stand in `folder` beside the page."""
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
                parts.append(f"![What the cell above draws]({folder}/{name})")
            elif text := (output.get("text") or data.get("text/plain", "")).strip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n", pictures
