"""The configuration of a training on several datasets, whose model reads items by their text alone."""

from __future__ import annotations

from typing import Any

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput

_NEEDED: dict[str, tuple[Any, str]] = {
    "model.use_text": (True, "ids mean nothing in another catalogue"),
    "encoder.trainable": (False, "another catalogue must be encoded by the same encoder"),
    "encoder.image": (None, "several datasets have their texts alone in common"),
    "training.loss": ("softmax", "the other losses know no domains"),
    "training.jit_compile": (False, "the number of candidates depends on the domain"),
    "privacy.epsilon": (None, "private training is for one dataset"),
    "retrieval.segment": (None, "the columns of users differ between datasets"),
}
"""Option to the only value that it may have with several datasets, and why."""


def domain_free_settings(config: RunConfig) -> RunConfig:
    """The configuration, without id vectors.

    Args:
        config: The configuration.

    Raises:
        InvalidInput: An option has a value that does not work with several datasets.
    """
    given = config.model_dump()
    for option, (needed, why) in _NEEDED.items():
        section, key = option.split(".")
        if given[section][key] != needed:
            shown = {None: "null", False: "false", True: "true"}.get(needed, needed)
            raise InvalidInput(
                f"{option}={given[section][key]} does not go with several datasets: {why}. Set {option}={shown}, or "
                "train on one."
            )
    return config.with_values({"model.use_id": False})
