"""Types of options, and what a text typed for one of them means."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from tfrec.config.base import Section
from tfrec.config.yaml_documents import load_yaml


def type_of(section: type[Section], keys: Sequence[str]) -> Any:
    """The type of an option; None for an option that there is not.

    Args:
        section: The configuration.
        keys: The option, from the outermost section on.
    """
    place: Any = section
    for key in keys:
        inner = next((k for k in _alternatives(place) if isinstance(k, type) and issubclass(k, Section)), None)
        mapping = next((k for k in _alternatives(place) if get_origin(k) is dict), None)
        if inner is not None and key in inner.model_fields:
            place = inner.model_fields[key].annotation
        elif mapping is not None:
            place = get_args(mapping)[1]
        else:
            return None
    return place


def read_value(text: str, option: Any) -> Any:
    """The value that a text means for an option of this type.

    Where the option is text, the text is taken as it is typed, so `{title} by {author}`, `196` and `|` need no further
    quotes, and the entries of a list or a mapping of text are text. Anything else is read as YAML.

    Example:
        >>> read_value("{title}", str | None), read_value("[1, 2]", list[str]), read_value("1e-3", float)
        ('{title}', ['1', '2'], 0.001)
    """
    kinds, plain = _alternatives(option), text.strip()
    if type(None) in kinds and plain.lower() in ("null", "none", "~"):
        return None
    of_text = any(get_origin(k) in (list, dict) and str in _alternatives(get_args(k)[-1]) for k in kinds)
    if str not in kinds or (of_text and plain.startswith("[")):
        return _yaml(text, yaml.BaseLoader) if of_text else _number_if_it_is_one(_yaml(text, yaml.SafeLoader))
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "'\"":
        return plain[1:-1]
    return text


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _yaml(text: str, loader: Any) -> Any:
    """A value as YAML reads it; the base loader takes every entry for text."""
    return load_yaml(text, repr(text), loader)


def _number_if_it_is_one(value: Any) -> Any:
    """1e-3 is a number: YAML takes it for a string, people do not."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
