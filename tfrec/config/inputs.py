"""How one input (events, items or users) is read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section

FileFormat = Literal["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "python"]


class InputConfig(Section):
    """How the files of one input are read. What is not set is found out from the file, and said."""

    columns: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="What each of our columns is made of: a column, a.b, list[].a, one|other, =constant, @row, @file, "
        "date + offset ms.",
    )
    separator: str | None = Field(None, description="Between fields: one character, :: or tab. null: found out.")
    header: bool | None = Field(None, description="Whether the first line names the columns. null: found out.")
    names: list[str] | None = Field(
        None, description="Names of the columns, in order, of a file without a header. null: it has one."
    )
    encoding: str | None = Field(None, description="Encoding of text, e.g. cp1252 or utf-16. null: found out.")
    quote: str | None = Field(None, description="Quote character, or none. null: found out; TSV has none.")
    escape: str | None = Field(
        None, description="Character before a quote inside quotes, where it is not doubled. null: found out."
    )
    format: FileFormat | None = Field(None, description="Format of the file. null: by its content.")
    time_format: str | None = Field(None, description="Format of times, e.g. %d.%m.%Y %H:%M. null: found out.")
    query: str | None = Field(
        None, description="SQL or the name of a table, where the source is a database. null: it is none."
    )
    flags: list[str] | None = Field(
        None, description="Columns of 0 and 1: each 1 becomes an event of the column's name. null: there are none."
    )
    impressions: str | None = Field(
        None, description="Column of the items shown: 'N1-1 N2-0', 'a|b|c' or a list. null: there is none."
    )
