"""Replaces ids by integers and sorts rows: two passes over the source, and only distinct strings are ever sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfrec import schema
from tfrec.config import DataConfig
from tfrec.data.ingest.event_kinds import kinds_of, refuse_too_many
from tfrec.data.reading.frames import collect, collect_all
from tfrec.data.reading.identifiers import spelt_alike
from tfrec.errors import InvalidInput

PARTS = [schema.TRAIN, schema.VALID, schema.TEST]


@dataclass(frozen=True)
class Vocabulary:
    """The ids behind the integers.

    Attributes:
        users: Sorted.
        items: The catalogue, then the unknown items, sorted.
        kinds: Those of the schema first.
        null_words: Words that stood for a missing id, and in how many events.
        respelt: How many distinct user and item ids were read as another spelling of the same id.
        raw_kinds: The kinds as they are written.
    """

    users: pl.Series
    items: pl.Series
    kinds: list[str]
    null_words: dict[str, int]
    respelt: dict[str, int]
    raw_kinds: list[str]


@dataclass(frozen=True)
class _Codes:
    """How a column of ids becomes integers: the place of each distinct text among `raw`, then `code` at that place."""

    raw: pl.Series
    meant: pl.Series
    code: pl.Series | None

    def expression(self, name: str, dtype: type[pl.DataType]) -> pl.Expr:
        return _place(name, self.raw, dtype)

    def finish(self, places: pl.Series) -> pl.Series:
        return places if self.code is None else self.code.gather(places).alias(places.name)


@dataclass(frozen=True)
class IdCodes:
    """How rows of ids become rows of integers, each row by itself: what `indexed_rows` needs of the whole log.

    Attributes:
        users: The users.
        items: The items.
        raw_kinds: The kinds as they are written, sorted.
        code_of_kind: int16, the code of each of them, and last that of a row without one.
    """

    users: _Codes
    items: _Codes
    raw_kinds: pl.Series
    code_of_kind: NDArray[np.int16]


def index_ids(typed: pl.LazyFrame, catalogue: pl.Series, config: DataConfig) -> tuple[pl.DataFrame, Vocabulary]:
    """Replaces the ids of all rows by integers, in the order of the source; unusable ids become null.

    Ids that can only be another spelling of the same id are that id (`spelt_alike`), words for a missing id are none.

    Args:
        typed: The columns user_id, item_id and event (raw strings), timestamp, value, context_* and optionally split.
        catalogue: Item ids, distinct strings.
        config: The `data` section of the configuration.

    Returns:
        frame: user (uint32), item_id (int32), event (int16), timestamp (int64), value (float32), context_* and, if
        given, split (int8). vocabulary: the ids of the integers.
    """
    codes, names = id_codes(distinct_ids(typed), catalogue, config)
    frame, words = indexed_rows(typed, codes)
    return frame, replace(names, null_words=words)


def id_codes(distinct: dict[str, pl.Series], catalogue: pl.Series, config: DataConfig) -> tuple[IdCodes, Vocabulary]:
    """The integers of the ids of a log, of which only the distinct ids are needed, in any order.

    Returns:
        codes: For `indexed_rows`. vocabulary: the ids of the integers; how many rows had a word for none is not known.
    """
    user_meant = spelt_alike(distinct[schema.USER_ID], config.null_words)
    item_meant = spelt_alike(distinct[schema.ITEM_ID], config.null_words, catalogue)
    users = user_meant.drop_nulls().unique().sort()
    occurring = item_meant.drop_nulls().unique()
    items = pl.concat([catalogue, occurring.filter(~occurring.is_in(catalogue.implode())).sort()])
    user_codes = _codes(distinct[schema.USER_ID], user_meant, users, pl.UInt32)
    item_codes = _codes(distinct[schema.ITEM_ID], item_meant, items, pl.Int32)
    raw_kinds = distinct[schema.EVENT].drop_nulls().sort()
    kinds, code_of_kind = _kinds(raw_kinds, config)
    if schema.SPLIT in distinct:
        _require_parts(distinct[schema.SPLIT])
    respelt = {"users": _respelt(user_codes), "items": _respelt(item_codes)}
    codes = IdCodes(user_codes, item_codes, raw_kinds, code_of_kind)
    return codes, Vocabulary(users, items, kinds, {}, respelt, raw_kinds.to_list())


def indexed_rows(typed: pl.LazyFrame, codes: IdCodes) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows with integers for ids, in their order, and how many had each word for a missing id."""
    columns = [
        codes.users.expression(schema.USER_ID, pl.UInt32).alias(schema.USER),
        codes.items.expression(schema.ITEM_ID, pl.Int32),
        _place(schema.EVENT, codes.raw_kinds, pl.Int32).fill_null(len(codes.raw_kinds)),
        pl.col(schema.TIMESTAMP, schema.VALUE),
        pl.col(f"^{schema.CONTEXT_PREFIX}.*$"),
    ]
    if schema.SPLIT in typed.collect_schema():
        columns.append(_place(schema.SPLIT, pl.Series(PARTS), pl.Int8))
    frame = collect(typed.select(columns), "events")
    words = _null_word_counts(frame, {schema.USER: codes.users, schema.ITEM_ID: codes.items})
    kind = pl.Series(schema.EVENT, codes.code_of_kind[frame[schema.EVENT].to_numpy()], pl.Int16)
    users, items = codes.users.finish(frame[schema.USER]), codes.items.finish(frame[schema.ITEM_ID])
    return frame.with_columns(kind, users, items), words


def _codes(raw: pl.Series, meant: pl.Series, values: pl.Series, dtype: type[pl.DataType]) -> _Codes:
    respelt = (raw != meant).fill_null(False).any()
    words = (meant.is_null() & (raw.str.strip_chars() != "")).fill_null(False).any()
    if not respelt and not words:  # blank ids are null without a table, as they are not among the values
        return _Codes(values, values, None)
    given = pl.DataFrame({"raw": raw, "meant": meant}).drop_nulls("raw")
    code = given["meant"].cast(pl.Enum(values)).to_physical().cast(dtype)
    return _Codes(given["raw"], given["meant"], code)


def _null_word_counts(frame: pl.DataFrame, columns: dict[str, _Codes]) -> dict[str, int]:
    """Events without a usable id because a word stood there: 'user NA' to their number."""
    counts = {}
    for name, codes in columns.items():
        if codes.code is None:
            continue
        words = pl.DataFrame({"word": codes.raw.str.strip_chars(), "place": pl.int_range(len(codes.raw), eager=True)})
        words = words.filter(pl.Series(codes.meant.is_null()) & (pl.col("word") != "")).sort("word", "place")
        for word, place in words.iter_rows():
            counts[f"{'user' if name == schema.USER else 'item'} {word!r}"] = int((frame[name] == place).sum())
    return counts


def _respelt(codes: _Codes) -> int:
    return 0 if codes.code is None else int((codes.raw != codes.meant).sum())


def distinct_ids(typed: pl.LazyFrame) -> dict[str, pl.Series]:
    """The distinct texts of users, items, kinds and parts, by column, in no order."""
    names = [schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.SPLIT]
    names = [name for name in names if name in typed.collect_schema()]
    frames = collect_all([typed.select(pl.col(name).cast(pl.String)).unique() for name in names], "events")
    return {name: frame.to_series() for name, frame in zip(names, frames)}


def _kinds(raw: pl.Series, config: DataConfig) -> tuple[list[str], NDArray[np.int16]]:
    """The kinds, those of the schema first, and the code of each raw kind; the last code is that of null."""
    named = [kind or config.default_event for kind in kinds_of(raw, config.event_map)]
    refuse_too_many(sorted(set(named)))
    named.append(config.default_event)
    present = set(named)
    kinds = [k for k in schema.EVENT_KINDS if k in present] + sorted(present - set(schema.EVENT_KINDS))
    codes = {kind: code for code, kind in enumerate(kinds)}
    return kinds, np.array([codes[kind] for kind in named], np.int16)


def _place(name: str, values: pl.Series, dtype: type[pl.DataType]) -> pl.Expr:
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
