"""Looks up model families by the value of `model.kind`."""

from __future__ import annotations

import importlib
from functools import cache

from tfrec.config.model_families import MODEL_FAMILIES
from tfrec.errors import InvalidInput
from tfrec.models.family import Ability, ModelFamily


def family_of(kind: str) -> ModelFamily:
    """The family named `kind`.

    Raises:
        InvalidInput: There is no such family.
    """
    if kind not in MODEL_FAMILIES:
        raise InvalidInput(f"Expected model.kind to be one of {', '.join(MODEL_FAMILIES)}, received {kind!r}.")
    return _load(MODEL_FAMILIES[kind])


def families_with(ability: Ability) -> str:
    """Names of the families that have an ability, for use in messages.

    Example:
        >>> families_with(Ability.RANK_CANDIDATES)
        'click-ranker'
    """
    return " or ".join(kind for kind in MODEL_FAMILIES if ability in family_of(kind).abilities)


@cache
def _load(target: str) -> ModelFamily:
    module, _, name = target.partition(":")
    family: ModelFamily = getattr(importlib.import_module(module), name)()
    return family
