"""The column map of an input: a small language that says what each of our columns is made of.

| written | means |
|---|---|
| `userId` | the column of that name (a column with exactly that name always wins) |
| `product.id` | a field inside a nested column, or inside JSON written as text |
| `events[].aid` | one row for each entry of the list `events`; `a[].b[].c` goes two lists deep |
| `user_id\\|anonymous_id`, `[user_id, anonymous_id]` | the first of them that is there |
| `=click` | the same text in every row |
| `@row`, `@file` | the row's number; the name of the row's file without its endings |
| `date + time`, `date + offset ms` | a date and a time of day, or a number of s, ms, us, minutes, hours or days |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from tfrec.data.reading.frames import columns_of
from tfrec.errors import InvalidInput

ROW, FILE = "@row", "@file"
UNITS = {
    "s": 1_000_000, "ms": 1_000, "us": 1, "minutes": 60_000_000, "hours": 3_600_000_000, "days": 86_400_000_000,
}  # fmt: skip
OFFSET_SUFFIX = "__offset_us"
"""Our column with this ending holds what is to be added to it, in microseconds, once its time is read."""
_SUM = re.compile(rf"(.+?) \+ (.+?)(?: ({'|'.join(UNITS)}))?")


@dataclass(frozen=True)
class Part:
    """One alternative of a column: a constant, or a column, the lists to open and the fields to take in it."""

    constant: str | None = None
    root: str = ""
    lists: tuple[tuple[str, ...], ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """What one of our columns is made of: alternatives, and what is added."""

    alternatives: tuple[Part, ...]
    plus: tuple[Part, ...] = ()
    unit: str = ""
    text: str = field(default="", compare=False)


def parse_column(spec: str | Sequence[str], found: Sequence[str]) -> Column:
    """Reads a specification of the column map.

    Args:
        spec: See the top of this file; a list is a choice of alternatives.
        found: The columns that the input has: one of exactly this name is meant literally.

    Example:
        >>> parse_column("events[].aid", ["session", "events"]).alternatives[0]
        Part(constant=None, root='events', lists=((),), fields=('aid',))
    """
    if not isinstance(spec, str):
        return Column(tuple(_part(each, found) for each in spec), text=" | ".join(spec))
    if spec in found or spec.startswith("=") or spec in (ROW, FILE):
        return Column((_part(spec, found),), text=spec)
    if match := _SUM.fullmatch(spec):
        return Column((_part(match[1], found),), (_part(match[2], found),), match[3] or "", spec)
    return Column(tuple(_part(each.strip(), found) for each in spec.split("|")), text=spec)


def _part(spec: str, found: Sequence[str]) -> Part:
    if spec.startswith("="):
        return Part(constant=spec[1:])
    if spec in found or spec in (ROW, FILE):
        return Part(root=spec)
    root = next(
        (name for name in sorted(found, key=len, reverse=True) if spec.startswith((f"{name}.", f"{name}[]"))), ""
    )
    if not root:
        return Part(root=re.split(r"\.|\[\]", spec)[0] if "[]" in spec or "." in spec else spec)
    lists: list[tuple[str, ...]] = []
    fields: list[str] = []
    for step in re.findall(r"\[\]|[^.\[\]]+", spec[len(root) :]):
        if step == "[]":
            lists.append(tuple(fields))
            fields = []
        else:
            fields.append(step)
    return Part(root=root, lists=tuple(lists), fields=tuple(fields))


def map_columns(
    frame: pl.LazyFrame,
    specs: Mapping[str, str | Sequence[str]],
    what: str,
    optional: Mapping[str, str | Sequence[str]] | None = None,
) -> pl.LazyFrame:
    """The frame with our columns, made as the column map says.

    Args:
        frame: The input; with the columns @row and @file where the map asks for them.
        specs: Our names to specifications.
        what: What the input is called in messages.
        optional: Specifications whose columns may be missing: one map that serves several inputs.

    Raises:
        InvalidInput: A specification names a column that the input does not have, or two different lists to open.
    """
    found = columns_of(frame, what)
    columns: dict[str, Column] = {}
    for required, given in ((False, optional or {}), (True, specs)):
        for ours, spec in given.items():
            column = parse_column(spec, found)
            absent = [
                p.root for p in (*column.alternatives, *column.plus) if p.constant is None and p.root not in found
            ]
            if not absent or (len(absent) < len(column.alternatives) and not column.plus):
                present = tuple(p for p in column.alternatives if p.root not in absent)
                columns[ours] = Column(present, column.plus, column.unit, column.text)
            elif required:
                raise InvalidInput(
                    f"data.{what}.columns.{ours} is {column.text!r}, and {what} have no column {absent[0]!r}; "
                    f"found {', '.join(map(repr, found))}."
                )
    frame, places = _open_lists(frame, columns, what)
    return _with_columns(frame, columns, places, found)


def _open_lists(
    frame: pl.LazyFrame, columns: Mapping[str, Column], what: str
) -> tuple[pl.LazyFrame, dict[tuple[str, tuple[tuple[str, ...], ...]], str]]:
    """One row for each entry of the lists that the map opens, and the columns that hold the entries."""
    parts = [part for column in columns.values() for part in (*column.alternatives, *column.plus)]
    opened = sorted(
        {(p.root, p.lists[:depth]) for p in parts for depth in range(1, len(p.lists) + 1)}, key=lambda k: len(k[1])
    )
    for root, lists in opened:
        rival = next((k for k in opened if len(k[1]) == len(lists) and k != (root, lists)), None)
        if rival:
            raise InvalidInput(
                f"data.{what}.columns opens two lists, in {root!r} and {rival[0]!r}: their rows do not go together. "
                "Choose one."
            )
    places: dict[tuple[str, tuple[tuple[str, ...], ...]], str] = {}
    for depth, (root, lists) in enumerate(opened):
        inside = pl.col(places[(root, lists[:-1])]) if len(lists) > 1 else pl.col(root)
        name = places[(root, lists)] = f"@list{depth}"
        frame = frame.with_columns(inside.alias(name))
        entries = _field(pl.col(name), frame.collect_schema()[name], lists[-1])
        frame = frame.with_columns(entries.alias(name))
        dtype = frame.collect_schema()[name]
        if isinstance(dtype, pl.List):
            frame = frame.explode(name)
        elif dtype == pl.String:  # JSON as text
            frame = frame.with_columns(pl.col(name).str.json_path_match("$[0]"))
    return frame, places


def _with_columns(
    frame: pl.LazyFrame,
    columns: Mapping[str, Column],
    places: Mapping[tuple[str, tuple[tuple[str, ...], ...]], str],
    found: Sequence[str],
) -> pl.LazyFrame:
    schema = frame.collect_schema()

    def value(part: Part) -> pl.Expr:
        if part.constant is not None:
            return pl.lit(part.constant)
        name = places[(part.root, part.lists)] if part.lists else part.root
        return _field(pl.col(name), schema[name], part.fields)

    made: list[pl.Expr] = []
    used: set[str] = set()
    for ours, column in columns.items():
        # What one column is chosen from stays, as it may also describe the item.
        used |= {p.root for p in (*column.alternatives, *column.plus) if p.fields or len(column.alternatives) == 1}
        values = [value(part) for part in column.alternatives]
        if len(values) > 1:
            texts = [v.cast(pl.String) for v in values]
            made.append(pl.coalesce(pl.when(t.str.strip_chars() != "").then(t) for t in texts).alias(ours))
        elif not column.plus:
            made.append(values[0].alias(ours))
        elif column.unit:
            made.append(values[0].alias(ours))
            offset = value(column.plus[0]).cast(pl.Float64, strict=False).fill_null(0) * UNITS[column.unit]
            made.append(offset.alias(f"{ours}{OFFSET_SUFFIX}"))
        else:
            both = pl.concat_str(values[0].cast(pl.String), value(column.plus[0]).cast(pl.String), separator=" ")
            made.append(both.alias(ours))
    gone = (used | {ROW, FILE} | set(places.values())) - set(columns)
    kept = [name for name in schema if name not in gone and name not in columns]
    # A column that only changes its name keeps its place among the others.
    order = {column.alternatives[0].root: ours for ours, column in columns.items()}
    names = list(dict.fromkeys([order.get(n, n) for n in schema if n in order or n in kept] + list(columns)))
    offsets = [f"{ours}{OFFSET_SUFFIX}" for ours, column in columns.items() if column.unit]
    return frame.select([*map(pl.col, kept), *made]).select(names + offsets)


def _field(value: pl.Expr, dtype: pl.DataType, fields: Sequence[str]) -> pl.Expr:
    """A field inside a nested value; null where a struct lacks it. Inside text, the text is JSON."""
    for place, name in enumerate(fields):
        if dtype == pl.String:
            return value.str.json_path_match("$." + ".".join(fields[place:]))
        if isinstance(dtype, pl.List):
            value, dtype = value.list.first(), dtype.inner  # type: ignore[assignment]
        if not isinstance(dtype, pl.Struct):
            return pl.lit(None, pl.String)
        inner = {each.name: each.dtype for each in dtype.fields}
        if name not in inner:
            return pl.lit(None, pl.String)
        value, dtype = value.struct.field(name), inner[name]  # type: ignore[assignment]
    return value


def uses(specs: Mapping[str, str | Sequence[str]], name: str) -> bool:
    """Whether a map asks for @row or @file."""
    return any(name == spec or (not isinstance(spec, str) and name in spec) for spec in specs.values())
