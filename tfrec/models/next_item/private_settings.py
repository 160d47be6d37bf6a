"""The configuration of a private training of a NextItemModel."""

from __future__ import annotations

from typing import Any

from tfrec.config import AugmentationConfig, RunConfig
from tfrec.errors import InvalidInput
from tfrec.models.shared.private_settings import ALWAYS_OFF, NEEDED, refuse_other_values, with_events_off

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
    **NEEDED,
    "training.loss": ("softmax", "other losses have no gradient for each person yet"),
    "training.contrastive": (0.0, "the contrastive loss compares people with each other"),
    "training.augmentation": (AugmentationConfig(), "substitutes come from co-occurrences"),
    "training.behaviour_weights": ({}, "they have no gradient for each person yet"),
}
"""Option to the only value that private training can have, and why."""

OFF = (
    *(what for _, what in _OFF.values()),
    "popularity and co-occurrence neighbours without noise (text neighbours are public, and stay)",
    "the start of the repeat bias by the log, and the mask on items without events",
    *ALWAYS_OFF,
)
"""What a run without privacy computes from events, and a private one does not."""


def private_settings(config: RunConfig) -> RunConfig:
    """The configuration, with everything off that reads events without noise.

    Args:
        config: The configuration, with `privacy` on.

    Raises:
        InvalidInput: An option has a value that cannot be private.
    """
    refuse_other_values(config, _NEEDED)
    if not config.model.use_text and not config.privacy.ids:
        raise InvalidInput(
            "model.use_text=false leaves ids alone to tell items apart. Set privacy.ids=true, or model.use_text=true."
        )
    off = {option: value for option, (value, _) in _OFF.items()} | {"model.use_id": config.privacy.ids}
    if not config.privacy.counts:
        off["model.popular"] = 0
    # it would be read off the log
    off["model.memory_history"] = config.model.memory_history or config.model.max_history
    return with_events_off(config, off)
