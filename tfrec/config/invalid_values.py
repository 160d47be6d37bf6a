"""Turns a pydantic error about a configuration into an `InvalidInput` that suggests what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from tfrec.errors import InvalidInput

_MAX_SUGGESTIONS = 3  # for a key


def invalid_values(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    """The error to raise for a pydantic error about `model`, with a line for each invalid value."""
    lines = [line for problem in error.errors() for line in _lines(model, dict(problem))]
    what = "configuration" if model.__name__ == "RunConfig" else model.__name__
    return InvalidInput(f"The {what} is not valid:\n  " + "\n  ".join(lines))


def option_names(model: type[BaseModel], section: str = "") -> Iterator[str]:
    """Yields the names of all options of `model` and its nested sections, as section.key, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_names(field.annotation, f"{section}{name}.")
        else:
            yield f"{section}{name}"


def _lines(model: type[BaseModel], problem: dict[str, Any]) -> Iterator[str]:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        for name, value in _options_within(place, problem["input"]):
            yield f"{name}: there is no such option (received {value!r}).{_suggestion(model, name)}"
    elif problem["type"] == "value_error":  # a check of our own, whose message names the values
        yield f"{place or model.__name__}: {problem['msg'].removeprefix('Value error, ')}"
    else:
        yield f"{place or model.__name__}: {problem['msg']} (received {problem['input']!r})"


def _options_within(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the option itself, or for a section that does not exist everything in it."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _options_within(f"{place}.{key}", below)
    else:
        yield place, value


def _suggestion(model: type[BaseModel], place: str) -> str:
    """Suggests an option of the same name in another section, with these initials (lr), or of similar spelling."""
    known = list(option_names(model))
    section, _, key = place.rpartition(".")
    same = [name for name in known if _key(name) == key]
    near = [name for name in known if name.rpartition(".")[0] == section] or known
    initials = [name for name in near if "".join(word[0] for word in _key(name).split("_")) == key]
    spelt = get_close_matches(key, map(_key, near), n=1, cutoff=0.7)
    meant = same or initials or [name for name in near if _key(name) in spelt]
    return f" Did you mean {' or '.join(meant[:_MAX_SUGGESTIONS])}?" if meant else ""


def _key(name: str) -> str:
    return name.rpartition(".")[2]
