"""The formats that times are written in, and which of them a column is in."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tfrec.data.reading.frames import collect
from tfrec.data.reading.guesses import SECTIONS
from tfrec.data.reading.notices import Notice
from tfrec.errors import InvalidInput

_CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
_ISO = (
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d", "%Y%m%dT%H%M%S%#z", "%Y%m%dT%H%M%S",
)  # fmt: skip
_DATES = (
    "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%m %d, %Y", "%Y.%m.%d",
)  # fmt: skip
_OTHERS = (
    "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S UTC %Y", "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT", "%d/%b/%Y:%H:%M:%S %z",
)  # fmt: skip
FAMILIES: tuple[tuple[str, ...], ...] = (
    _ISO, *(tuple(date + clock for clock in _CLOCKS) for date in _DATES), *((form,) for form in _OTHERS),
)  # fmt: skip
"""Formats that may stand in one column. The family that reads most wins; ties go to the first."""
DIGITS = {"%Y%m%d": "YYYYMMDD", "%Y%m%d%H%M": "YYYYMMDDHHMM", "%Y%m%d%H%M%S": "YYYYMMDDHHMMSS"}
_DIGIT_RANGES = {
    "%Y%m%d": (19000101, 21001231), "%Y%m%d%H%M": (190001010000, 210012312359),
    "%Y%m%d%H%M%S": (19000101000000, 21001231235959),
}  # fmt: skip
_FEW = 1_000


def parsed(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """A text column as UTC datetimes, by the first of the formats that reads each; null where none does."""
    return pl.coalesce(
        text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC", ambiguous="earliest")
        for form in formats
    )


def find_formats(frame: pl.LazyFrame, text: pl.Expr, sample: pl.Series, what: str) -> tuple[list[str], list[Notice]]:
    """The formats of a column, the most frequent first, all of one family; and a notice where two families fit.

    Raises:
        InvalidInput: None reads any of the sample.
    """
    few = sample.head(_FEW)
    counts = {form: _readable(few, form) for family in FAMILIES for form in family}
    totals = [_any_readable(few, [f for f in family if counts[f]]) for family in FAMILIES]
    if max(totals) == 0:
        hint = (
            f"pass its format, e.g. --set 'data.{what}.time_format=%d.%m.%Y %H:%M'" if what in SECTIONS else "convert"
        )
        raise InvalidInput(
            f"None of the first {len(sample)} timestamps could be read, e.g. {sample[0] if len(sample) else ''!r}. "
            f"Use integers, ISO 8601 (2024-05-31 18:00:00) or datetimes, or {hint}."
        )
    best = [family for family, total in zip(FAMILIES, totals) if total == max(totals)]
    notices = []
    if len(best) > 1:  # 03/04/2024: only the whole column can tell whether the month comes first
        distinct = collect(frame.select(text.drop_nulls().unique().alias("t")), what)["t"]
        fits = [_any_readable(distinct, [f for f in family if counts[f]]) for family in best]
        tied = [family for family, total in zip(best, fits) if total == max(fits)]
        best = tied
        if len(tied) > 1 and _differ(few, tied, counts):
            first, second = (max(family, key=lambda f: counts[f]) for family in tied[:2])
            notices.append(
                Notice(
                    f"{what}: times such as {sample[0]!r} were read as {first}; {second} fits as well. "
                    f"data.{what}.time_format says which.",
                    True,
                )
            )
    ordered = sorted(best[0], key=lambda form: -counts[form])
    return ordered, notices


def _differ(sample: pl.Series, families: list[tuple[str, ...]], counts: dict[str, int]) -> bool:
    """Whether two families read the sample differently."""
    first, second = (
        pl.select(parsed(pl.lit(sample), [f for f in family if counts[f]])).to_series() for family in families[:2]
    )
    return bool((first != second).any())


def _readable(texts: pl.Series, form: str) -> int:
    return _any_readable(texts, [form])


def _any_readable(texts: pl.Series, formats: Sequence[str]) -> int:
    """How many texts one of the formats reads. %Y takes "10" for the year 10, which is not meant."""
    if not formats:
        return 0
    times = pl.select(parsed(pl.lit(texts), formats)).to_series()
    return int((times.dt.year() >= 1000).sum())


def digit_format(frame: pl.LazyFrame, number: pl.Expr, low: float | None, high: float | None, what: str) -> str | None:
    """The format of times such as 20240101 or 20240101103000, written as one number; None for other numbers."""
    if low is None or high is None:
        return None
    for form, (first, last) in _DIGIT_RANGES.items():
        if first <= low and high <= last:
            texts = number.cast(pl.Int64, strict=False).cast(pl.String).alias("t")
            sample = collect(frame.select(texts).drop_nulls().head(_FEW), what)["t"]
            if _any_readable(sample, [form]) >= 0.95 * max(1, len(sample)):
                return form
    return None
