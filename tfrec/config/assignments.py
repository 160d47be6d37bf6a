"""Applies `section.key=value` strings and mappings to the values of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tfrec.config.base import Section
from tfrec.config.option_types import read_value, type_of
from tfrec.errors import InvalidInput

Values = Mapping[str, Any] | Iterable[str]
"""A mapping of `section.key` to value, or `section.key=value` strings."""


def with_assignments(
    current: dict[str, Any], values: Values, options: Collection[str], section: type[Section]
) -> dict[str, Any]:
    """Applies values to a configuration.

    Args:
        current: Nested values of the configuration; changed in place.
        values: The values to apply.
        options: Names of all options, as section.key. A mapping given for an option is its value; any other mapping is
            a section.
        section: The configuration that has these options.

    Returns:
        `current`.
    """
    for keys, value in _assignments(values, options, section):
        node = current
        for key in keys[:-1]:
            child = node.setdefault(key, {})
            if not isinstance(child, dict):
                raise InvalidInput(f"{'.'.join(keys)}: {key!r} is a value, not a section.")
            node = child
        node[keys[-1]] = _keep_string_option(value, node.get(keys[-1]))
    return current


def _assignments(values: Values, options: Collection[str], section: type[Section]) -> Iterator[tuple[list[str], Any]]:
    """Yields the keys, outermost section first, and the value of every change."""
    if isinstance(values, Mapping):
        yield from _flatten(values, options, "")
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
        yield keys, read_value(text, type_of(section, keys))


def _flatten(values: Mapping[str, Any], options: Collection[str], section: str) -> Iterator[tuple[list[str], Any]]:
    for name, value in values.items():
        place = f"{section}{name}"
        if isinstance(value, Mapping) and place not in options:
            yield from _flatten(value, options, f"{place}.")
        else:
            yield place.split("."), value


def _keep_string_option(value: Any, current: Any) -> Any:
    """Turns `true` and `false` into strings for an option that is a string (retrieval.exclude_seen)."""
    return str(value).lower() if isinstance(current, str) and isinstance(value, bool) else value
