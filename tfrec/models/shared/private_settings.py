"""The configuration of a private training: whatever else reads events is off, and what cannot be private is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfrec.config import RunConfig
from tfrec.config.base import Section
from tfrec.errors import InvalidInput

NEEDED: dict[str, tuple[Any, str]] = {
    "encoder.trainable": (False, "the encoder would learn from events without noise"),
    "training.start_from": (None, "the earlier run read the same people, and its ε is not counted"),
    "training.teachers": ([], "they read the same people, and their ε is not counted"),
    "training.mixed_bfloat16": (False, "norms need float32"),
    "training.jit_compile": (False, "the number of people in a step varies"),
    "training.strategy": ("none", "each replica would add noise of its own"),
    "retrieval.segment": (None, "what is popular in a segment is counted without noise"),
}
"""Option to the only value that a private training of any family can have, and why."""

ALWAYS_OFF = (
    "early stopping and the best epoch",
    "the loss and metrics of training",
    "event counts of items without noise",
)
"""What a run without privacy computes from events, and a private one of any family does not."""


def refuse_other_values(config: RunConfig, needed: Mapping[str, tuple[Any, str]]) -> None:
    """Raises InvalidInput where an option has a value that cannot be private.

    Args:
        config: The configuration.
        needed: Option to the only value that it can have, and why.
    """
    for option, (only, why) in needed.items():
        value = _value(config, option)
        if value != only:
            shown = only if isinstance(only, str) else json.dumps(only, default=str)
            told = "Leave it out" if isinstance(only, Section) else f"Set {option}={shown}"
            raise InvalidInput(f"{option}={value} does not go with privacy.epsilon: {why}. {told}.")


def with_events_off(config: RunConfig, off: Mapping[str, Any]) -> RunConfig:
    """The configuration without what reads events: the options of a family, and what no budget is for.

    Args:
        config: The configuration, with `privacy` on.
        off: Option to the value that it has in a private training.
    """
    given = config.model_dump()
    for option, value in off.items():
        section, key = option.split(".")
        given[section][key] = value
    if not config.privacy.neighbours:
        given["model"]["neighbours"] = 0
    if config.retrieval.exclude_seen == "auto":  # it would be read off the log
        given["retrieval"]["exclude_seen"] = "true"
    return RunConfig.from_dict(given)


def _value(config: RunConfig, option: str) -> Any:
    section, key = option.split(".")
    return getattr(getattr(config, section), key)
