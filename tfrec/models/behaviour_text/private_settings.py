"""The configuration of a private training of a BehaviourTextModel."""

from __future__ import annotations

from typing import Any

from tfrec.config import RunConfig
from tfrec.models.shared.private_settings import ALWAYS_OFF, NEEDED, refuse_other_values, with_events_off

_NEEDED: dict[str, tuple[Any, str]] = {
    **NEEDED,
    "model.head": ("softmax", "the sigmoid head has no gradient for each person yet"),
    "privacy.ids": (False, "class vectors are those of the items' texts, which are public"),
}
"""Option to the only value that private training can have, and why."""

_OFF: dict[str, Any] = {"model.dropout": 0.0}
"""With the noise on gradients, dropout would only add to it."""

OFF = (
    "dropout",
    "popularity and what followed the named items, without noise",
    "the share of what followed, by validation",
    "the start of the bias on named items by the log",
    "learned vectors of items: class vectors stay those of their texts",
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
    return with_events_off(config, _OFF)
