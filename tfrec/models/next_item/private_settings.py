"""The configuration of a private training: whatever else reads events is off, and what cannot be private is refused."""

from __future__ import annotations

from typing import Any

from tfrec.config import AugmentationConfig, RunConfig
from tfrec.errors import InvalidInput

_OFF: dict[str, tuple[Any, str]] = {
    "model.dropout": (0.0, "dropout"),
    "model.item_dropout": (0.0, "dropout of candidates"),
    "model.id_dropout": (0.0, "dropout of ids"),
    "training.balance": (False, "score weights chosen on validation"),
    "training.negatives": ("all", "sampled negatives"),
}
"""Option to the value that it has in private training, and what is off with it. With the noise on gradients, dropout
would only add to it."""

_NEEDED: dict[str, tuple[Any, str]] = {
    "encoder.trainable": (False, "the encoder would learn from events without noise"),
    "training.start_from": (None, "the earlier run read the same people, and its ε is not counted"),
    "training.teachers": ([], "they read the same people, and their ε is not counted"),
    "training.loss": ("softmax", "other losses have no gradient for each person yet"),
    "training.contrastive": (0.0, "the contrastive loss compares people with each other"),
    "training.augmentation": (AugmentationConfig(), "substitutes come from co-occurrences"),
    "training.behaviour_weights": ({}, "they have no gradient for each person yet"),
    "training.mixed_bfloat16": (False, "norms need float32"),
    "training.jit_compile": (False, "the number of people in a step varies"),
    "training.strategy": ("none", "each replica would add noise of its own"),
    "retrieval.segment": (None, "what is popular in a segment is counted without noise"),
}
"""Option to the only value that private training can have, and why."""

OFF = (
    *(what for _, what in _OFF.values()),
    "popularity and co-occurrence neighbours without noise (text neighbours are public, and stay)",
    "the start of the repeat bias by the log, and the mask on items without events",
    "early stopping and the best epoch",
    "the loss and metrics of training",
    "event counts of items without noise",
)
"""What a run without privacy computes from events, and a private one does not."""


def private_settings(config: RunConfig) -> RunConfig:
    """The configuration, with everything off that reads events without noise.

    Args:
        config: The configuration, with `privacy` on.

    Raises:
        InvalidInput: An option has a value that cannot be private.
    """
    given = config.model_dump()
    for option, (needed, why) in _NEEDED.items():
        value = _value(config, option)
        if value != needed:
            shown = {None: "null", False: "false"}.get(needed, needed) if not isinstance(needed, dict) else needed
            told = "Leave it out" if option == "training.augmentation" else f"Set {option}={shown}"
            raise InvalidInput(f"{option}={value} does not go with privacy.epsilon: {why}. {told}.")
    if not config.model.use_text and not config.privacy.ids:
        raise InvalidInput(
            "model.use_text=false leaves ids alone to tell items apart. Set privacy.ids=true, or model.use_text=true."
        )
    for option, (value, _) in _OFF.items():
        section, key = option.split(".")
        given[section][key] = value
    given["model"]["use_id"] = config.privacy.ids
    if not config.privacy.neighbours:
        given["model"]["neighbours"] = 0
    if not config.privacy.counts:
        given["model"]["popular"] = 0
    # both would be read off the log
    given["model"]["memory_history"] = config.model.memory_history or config.model.max_history
    if config.retrieval.exclude_seen == "auto":
        given["retrieval"]["exclude_seen"] = "true"
    return RunConfig.from_dict(given)


def _value(config: RunConfig, option: str) -> Any:
    section, key = option.split(".")
    return getattr(getattr(config, section), key)
