"""What pydantic found wrong with a configuration, as one `InvalidInput` that says what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from tfrec.errors import InvalidInput

_MOST = 3  # suggestions for a key


def invalid_values(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    """The error to raise: one line for each value that `model` did not take, with what came."""
    lines = [line for found in error.errors() for line in _lines(model, dict(found))]
    what = "configuration" if model.__name__ == "RunConfig" else model.__name__
    return InvalidInput(f"The {what} is not valid:\n  " + "\n  ".join(lines))


def option_names(model: type[BaseModel], section: str = "") -> Iterator[str]:
    """Every option below `model` as section.key, in order; a section within a section is followed."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_names(field.annotation, f"{section}{name}.")
        else:
            yield f"{section}{name}"


def _lines(model: type[BaseModel], found: dict[str, Any]) -> Iterator[str]:
    place = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        for name, value in _options_within(place, found["input"]):
            yield f"{name}: there is no such option (received {value!r}).{_suggestion(model, name)}"
    elif found["type"] == "value_error":  # a rule of ours over several values, which it names
        yield f"{place or model.__name__}: {found['msg'].removeprefix('Value error, ')}"
    else:
        yield f"{place or model.__name__}: {found['msg']} (received {found['input']!r})"


def _options_within(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The option itself; of a section that there is not, everything in it."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _options_within(f"{place}.{key}", below)
    else:
        yield place, value


def _suggestion(model: type[BaseModel], place: str) -> str:
    """What may have been meant: another section's option of that name, or initials (lr), or the nearest in spelling."""
    known = list(option_names(model))
    section, _, key = place.rpartition(".")
    same = [name for name in known if _key(name) == key]
    near = [name for name in known if name.rpartition(".")[0] == section] or known
    initials = [name for name in near if "".join(word[0] for word in _key(name).split("_")) == key]
    spelt = get_close_matches(key, map(_key, near), n=1, cutoff=0.7)
    meant = same or initials or [name for name in near if _key(name) in spelt]
    return f" Did you mean {' or '.join(meant[:_MOST])}?" if meant else ""


def _key(name: str) -> str:
    return name.rpartition(".")[2]
