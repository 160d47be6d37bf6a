"""Replaces ids by integers and sorts rows: two passes over the source, and only distinct strings are ever sorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.data.ingest.read import collect, collect_all
from tfrec.errors import InvalidInput

PARTS = [schema.TRAIN, schema.VALID, schema.TEST]


@dataclass(frozen=True)
class Vocabulary:
    """The ids behind the integers. `users` is sorted; `items` is the catalogue, then the unknown items, sorted."""

    users: pl.Series
    items: pl.Series
    kinds: list[str]


def index_ids(typed: pl.LazyFrame, catalogue: pl.Series, default_event: str) -> tuple[pl.DataFrame, Vocabulary]:
    """Replaces the ids of all rows by integers, in the order of the source; unusable ids become null.

    Args:
        typed: The columns user_id, item_id and event (raw strings), timestamp, value, context_* and optionally split.
        catalogue: Item ids, distinct strings.
        default_event: Kind of the events whose kind is blank.

    Returns:
        frame: user (uint32), item_id (int32), event (int16), timestamp (int64), value (float32), context_* and, if
        given, split (int8). vocabulary: the ids of the integers.
    """
    distinct = _distinct(typed)
    users = _not_blank(distinct[schema.USER_ID]).sort()
    occurring = _not_blank(distinct[schema.ITEM_ID])
    items = pl.concat([catalogue, occurring.filter(~occurring.is_in(catalogue.implode())).sort()])
    raw_kinds = distinct[schema.EVENT].drop_nulls().sort()
    kinds, code_of_kind = _kinds(raw_kinds, default_event)
    columns = [
        _code(schema.USER_ID, users, pl.UInt32).alias(schema.USER),
        _code(schema.ITEM_ID, items, pl.Int32),
        _code(schema.EVENT, raw_kinds, pl.Int32).fill_null(len(raw_kinds)),
        pl.col(schema.TIMESTAMP, schema.VALUE),
        pl.col(f"^{schema.CONTEXT_PREFIX}.*$"),
    ]
    if schema.SPLIT in distinct:
        _require_parts(distinct[schema.SPLIT])
        columns.append(_code(schema.SPLIT, pl.Series(PARTS), pl.Int8))
    frame = collect(typed.select(columns), "events")
    kind = pl.Series(schema.EVENT, code_of_kind[frame[schema.EVENT].to_numpy()], pl.Int16)
    return frame.with_columns(kind), Vocabulary(users, items, kinds)


def _distinct(typed: pl.LazyFrame) -> dict[str, pl.Series]:
    names = [schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.SPLIT]
    names = [name for name in names if name in typed.collect_schema()]
    frames = collect_all([typed.select(pl.col(name).cast(pl.String)).unique() for name in names], "events")
    return {name: frame.to_series() for name, frame in zip(names, frames)}


def _not_blank(texts: pl.Series) -> pl.Series:
    return texts.filter((texts.str.strip_chars() != "").fill_null(False))


def _kinds(raw: pl.Series, default: str) -> tuple[list[str], NDArray[np.int16]]:
    """The kinds, those of the schema first, and the code of each raw kind; the last code is that of null."""
    stripped = [text.strip() or default for text in raw.to_list()] + [default]
    present = set(stripped)
    kinds = [k for k in schema.EVENT_KINDS if k in present] + sorted(present - set(schema.EVENT_KINDS))
    return kinds, np.array([kinds.index(text) for text in stripped], np.int16)


def _code(name: str, values: pl.Series, dtype: type[pl.DataType]) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    return text.cast(pl.Enum(values), strict=False).to_physical().cast(dtype)


def _require_parts(names: pl.Series) -> None:
    wrong = [name for name in names.sort().to_list() if name not in PARTS]
    if wrong:
        raise InvalidInput(f"Expected the column split to hold train, valid and test; found {wrong[:5]}. Rename them.")


def sort_stable(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Sorts the rows by integer columns; rows with equal keys keep their order.

    Where the keys fit, they are packed into one 64-bit number, which sorts many times faster than several columns.

    Args:
        frame: At least one row.
        keys: Names of integer columns without nulls, most significant first.

    Example:
        >>> sort_stable(pl.DataFrame({"user": [1, 0, 0], "timestamp": [5, 7, 3]}), ["user", "timestamp"]).rows()
        [(0, 3), (0, 7), (1, 5)]
    """
    packed = _packed(frame, keys)
    if packed is None:
        return frame.sort(keys, maintain_order=True)
    order = np.argsort(packed)  # an unstable sort can use SIMD; the few ties are put in order below
    packed = packed[order]
    tied = np.zeros(len(order) + 1, bool)
    tied[1:-1] = packed[1:] == packed[:-1]
    ties = np.flatnonzero(tied[1:] | tied[:-1])
    order[ties] = order[ties][np.lexsort((order[ties], packed[ties]))]
    del packed, tied
    positions = pl.Series(order.astype(np.uint32) if len(order) < 2**32 else order)
    del order
    return frame.select(pl.all().gather(positions))


def _packed(frame: pl.DataFrame, keys: list[str]) -> NDArray[np.uint64] | None:
    """The keys as one number per row, in the same order; None if they do not fit into 64 bits."""
    packed, bits = np.zeros(frame.height, np.uint64), 0
    for name in keys:
        values = frame[name].to_numpy().astype(np.int64, copy=False)
        low, high = int(values.min()), int(values.max())
        step = next(s for s in (1_000_000, 1_000, 1) if s == 1 or not (values % s).any())
        width = ((high - low) // step + 1).bit_length()
        bits += width
        if bits > 64 or high - low >= 2**63:
            return None
        packed <<= np.uint64(width)
        packed |= ((values - low) // step).astype(np.uint64)
    return packed
