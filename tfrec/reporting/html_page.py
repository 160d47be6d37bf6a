"""The template of all HTML reports: self-contained, without scripts, for light and dark mode and for print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #d5d9de; --soft: #5b6672; --back: #fff; --text: #16202a;
  --s0: #0b62a8; --s1: #b34700; --s2: #1d7a3a; --s3: #7a2f8f; }
@media (prefers-color-scheme: dark) { :root { --line: #38424d; --soft: #9aa6b2; --back: #12181e; --text: #e4e9ee;
  --s0: #6db5f2; --s1: #f2a35e; --s2: #7fd69a; --s3: #d19be6; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       background: var(--back); color: var(--text); }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; } td.n, th.n { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); } svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--text); }
.axis { stroke: var(--line); } .reference { stroke: var(--soft); stroke-dasharray: 3 3; }
.interval { stroke: var(--s0); stroke-width: 2; } .mark, .bar { fill: var(--s0); }
.line { fill: none; stroke-width: 2; } .s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); }
.s3 { stroke: var(--s3); }
@media print { :root { --line: #bbb; --soft: #333; --back: #fff; --text: #000; } body { max-width: none; margin: 0; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; }
  .wide { overflow: visible; } table { font-size: 8pt; } }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


@dataclass(frozen=True)
class Section:
    """A section of a report: a heading, paragraphs, at most one table, and figures.

    Attributes:
        heading: Title of the section, plain text.
        paragraphs: Plain text.
        headers: Column names of the table.
        rows: Cells of the table. All are escaped; columns of numbers are right-aligned.
        figures: Charts from `tfrec.reporting.svg_charts`, inserted without escaping.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = field(default=())
    figures: Sequence[str] = ()


def render_report(title: str, sections: Sequence[Section]) -> str:
    """Renders a complete HTML page. The same content gives the same bytes.

    Example:
        >>> "<td>a&lt;b</td>" in render_report("T", [Section("S", headers=["x"], rows=[["a<b"]])])
        True
    """
    return _PAGE.substitute(title=escape(title), body="\n".join(map(_section, sections)))


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>", *(f"<p>{escape(text)}</p>" for text in section.paragraphs)]
    if section.rows:
        numeric = [all(_is_number(row[i]) for row in section.rows) for i in range(len(section.headers))]
        head = "".join(f'<th scope="col"{_align(n)}>{escape(name)}</th>' for name, n in zip(section.headers, numeric))
        lines = "\n".join(
            "<tr>" + "".join(f"<td{_align(n)}>{_cell(value)}</td>" for value, n in zip(row, numeric)) + "</tr>"
            for row in section.rows
        )
        parts.append(f'<div class="wide"><table>\n<tr>{head}</tr>\n{lines}\n</table></div>')
    parts.extend(section.figures)
    return "\n".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _align(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))
