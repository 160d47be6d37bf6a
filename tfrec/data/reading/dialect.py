"""How a text file separates and quotes its fields, and whether its first line names them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfrec.config.inputs import InputConfig
from tfrec.data.reading.guesses import SYNONYMS, plain

SEPARATORS = ("\t", "::", ";", "|", ",")
_ROWS = 60
_ALL_SYNONYMS = frozenset(plain(name) for ours, names in SYNONYMS.items() for name in (ours, *names))
_HEADING = re.compile(r"[^\W\d][\w .:/()\-#%\[\]]*")
_TYPED = re.compile(r"\w+:(token|token_seq|float|float_seq)")
"""RecBole writes `name:type` in the first line."""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: Between fields; "" where there is one field a line.
        quote: The quote character, or None.
        escape: What stands before a quote inside quotes, where it is not doubled.
        header: Whether the first line names the columns; None where it cannot be told.
        rows: The first rows, as fields.
    """

    separator: str
    quote: str | None
    escape: str | None
    header: bool | None
    rows: list[list[str]]

    def __str__(self) -> str:
        named = {"\t": "tabs", ",": "commas", "": "one field a line"}.get(self.separator, f"{self.separator!r}")
        header = {True: "a header", False: "no header", None: "no header to be seen"}[self.header]
        quoted = "" if self.quote else ", no quoting"
        return f"text, {named}{quoted}, {header}"


def find_dialect(text: str, suffix: str, config: InputConfig, wanted: Collection[str] = ()) -> Dialect:
    """The dialect of a text, of which the beginning is given; what the configuration sets is taken as it is.

    Args:
        text: The first lines.
        suffix: Of the file's name, e.g. ".tsv"; decides where the text alone does not.
        config: The section of this input.
        wanted: Names of columns that the file is to have; a first line that has one is a header.
    """
    lines = _lines(text)
    separator = separator_of(config.separator) if config.separator else _separator(lines, suffix)
    quote = _quote(config.quote, separator, lines)
    escape = config.escape or ("\\" if quote and separator != "\t" and f"\\{quote}" in text else None)
    rows = split_rows(lines, separator, quote, escape)
    header = config.header
    if header is None:
        header = False if config.names else _has_header(rows, wanted)
    return Dialect(separator, quote, escape, header, rows)


def separator_of(text: str) -> str:
    """The separator that a person means by `tab`, `\\t`, `space` and the like."""
    return {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}.get(text, text)


def split_rows(lines: Sequence[str], separator: str, quote: str | None, escape: str | None) -> list[list[str]]:
    """The fields of each row, as the csv module finds them; a separator of two characters has no quoting."""
    if len(separator) != 1 or quote is None:
        return [line.split(separator) if separator else [line] for line in lines]
    reader = csv.reader(
        (line + "\n" for line in lines), delimiter=separator, quotechar=quote, escapechar=escape, doublequote=True
    )
    try:
        return [row for row in reader if row]
    except csv.Error:
        return [line.split(separator) for line in lines]


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    whole = lines[:-1] if len(lines) > 1 else lines  # the last one may be cut
    return [line for line in whole if line.strip()][:_ROWS]


def _separator(lines: list[str], suffix: str) -> str:
    """The separator that gives most rows the same number of fields, and among those the one with most fields."""
    expected = {".tsv": "\t", ".tab": "\t", ".inter": "\t", ".item": "\t", ".user": "\t", ".psv": "|"}.get(suffix, ",")
    escape = "\\" if any('\\"' in line for line in lines) else None
    best, best_key = "", (0.9, 0, False)
    for candidate in SEPARATORS:
        rows = split_rows(lines, candidate, None if candidate in ("\t", "::") else '"', escape)
        width, share = _usual_width(rows)
        if width < 2:
            continue
        key = (min(share, 0.95), width, candidate == expected)
        if key[0] >= 0.9 and (key > best_key or not best):
            best, best_key = candidate, key
    if best:
        return best
    if any(expected in line for line in lines):
        return expected
    return max(SEPARATORS, key=lines[0].count) if lines and any(s in lines[0] for s in SEPARATORS) else ""


def _usual_width(rows: list[list[str]]) -> tuple[int, float]:
    counts = Counter(map(len, rows))
    if not counts:
        return 0, 0.0
    width, count = counts.most_common(1)[0]
    return width, count / len(rows)


def _quote(given: str | None, separator: str, lines: list[str]) -> str | None:
    if given is not None:
        return None if given.strip().lower() in ("none", "") else given
    if separator in ("\t", "::", ""):
        return None
    if separator == "|":  # pipes are mostly written without quoting; then a title may begin with a quotation mark
        fields = [field for line in lines for field in line.split("|")]
        opened = [field for field in fields if field.startswith('"')]
        return '"' if opened and all(len(f) > 1 and f.endswith('"') for f in opened) else None
    return '"'


def _has_header(rows: list[list[str]], wanted: Collection[str]) -> bool | None:
    """Whether the first row names the columns, None where it cannot be told."""
    if not rows:
        return None
    first, below = [field.strip() for field in rows[0]], rows[1:]
    if any(field in wanted for field in first) or all(_TYPED.fullmatch(field) for field in first):
        return True
    if any(_is_value(field) for field in first):
        return False
    if any(plain(field) in _ALL_SYNONYMS or field.startswith("context_") for field in first):
        return True
    if len(set(first)) == len(first) and all(_HEADING.fullmatch(field) for field in first):
        columns = [[row[i] for row in below if i < len(row) and row[i]] for i in range(len(first))]
        return (
            True if any(column and all(map(_is_value, column)) for column in columns) else None
        )  # numbers below words
    return False if len(first) == 1 and below else None


def _is_value(field: str) -> bool:
    """A number or a time, which no column is called."""
    text = field.strip()
    return bool(re.fullmatch(r"-?\d[\d.,]*(e[+-]?\d+)?", text, re.IGNORECASE)) or bool(
        re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", text)
    )
