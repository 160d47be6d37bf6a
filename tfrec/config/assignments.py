"""`section.key=value` strings and mappings, put over a configuration's values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import yaml

from tfrec.errors import InvalidInput

Values = Mapping[str, Any] | Iterable[str]
"""A mapping of `section.key` to value, or `section.key=value` strings."""


def with_assignments(current: dict[str, Any], values: Values, options: Collection[str]) -> dict[str, Any]:
    """`current` with `values` put over it.

    Args:
        current: Nested values; it is changed.
        values: What is to be put over them.
        options: Every option as section.key; a mapping given for one of them is its value, any other a section.

    Returns:
        `current`.
    """
    for keys, value in _assignments(values, options):
        node = current
        for key in keys[:-1]:
            child = node.setdefault(key, {})
            if not isinstance(child, dict):
                raise InvalidInput(f"{'.'.join(keys)}: {key!r} is a value, not a section.")
            node = child
        node[keys[-1]] = _as_string_where_it_is_one(value, node.get(keys[-1]))
    return current


def _assignments(values: Values, options: Collection[str]) -> Iterator[tuple[list[str], Any]]:
    """The keys from the outermost section on, and the value, of everything that is to change."""
    if isinstance(values, Mapping):
        yield from _of_mapping(values, options, "")
        return
    if not isinstance(values, Iterable):
        raise InvalidInput(
            f"Expected a mapping of section.key to value, or section.key=value strings, received {values!r}."
        )
    for assignment in [values] if isinstance(values, str) else values:
        name, sign, text = str(assignment).partition("=")
        keys = name.strip().split(".")
        if not sign or len(keys) < 2:
            raise InvalidInput(f"Expected section.key=value, received {assignment!r}.")
        yield keys, _read(text)


def _of_mapping(values: Mapping[str, Any], options: Collection[str], section: str) -> Iterator[tuple[list[str], Any]]:
    for name, value in values.items():
        place = f"{section}{name}"
        if isinstance(value, Mapping) and place not in options:
            yield from _of_mapping(value, options, f"{place}.")
        else:
            yield place.split("."), value


def _read(text: str) -> Any:
    """A value as YAML reads it, but that 1e-3 is a number: YAML takes it for a string, people do not."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{text!r} is not a valid value: {error}") from None
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _as_string_where_it_is_one(value: Any, current: Any) -> Any:
    """`true` and `false` as words for an option that is a string (retrieval.exclude_seen)."""
    return str(value).lower() if isinstance(current, str) and isinstance(value, bool) else value
