"""The starts of a private training: what anybody may know, and with it what is known of the events with noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.impressions import taken
from tfrec.models.next_item.build import build_from_catalogue
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.shared.history_statistics import NEVER
from tfrec.privacy.budget import COUNTS, NEIGHBOURS
from tfrec.privacy.mechanism import Mechanism
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_neighbours import noisy_neighbours

_TEXTS, _NEIGHBOURS, _POPULARITY, _DECAY = 1.0, 0.5, 0.15, 0.6
"""Weights of the scores of text neighbours, noisy neighbours and popularity, and the decay of events. Found on
validation of MovieLens-100K and Scientific at ε = 8, 3 and 1: with a weight of popularity of .1 or .2 NDCG@10 is within
.005 of the best, and with none it falls from .071 to .065 on MovieLens-100K at ε = 8."""
_UNTRAINED = 0.01
"""Factor on the scores of the network before it is trained, as it says nothing yet: with .1, the NDCG@10 of texts alone
falls from .031 to .021 on MovieLens-100K and from .072 to .066 on Scientific."""


def public_start(dataset: PreparedDataset, text_vectors: np.ndarray | None, config: RunConfig) -> NextItemModel:
    """The untrained model, which depends on the catalogue, the texts and the event kinds, and on no event.

    Args:
        dataset, text_vectors, config: As for `fit_private`.
    """
    model = build_from_catalogue(dataset, text_vectors, config)
    if model.repeats is not None:
        model.repeats.start_at(NEVER if config.retrieval.exclude_seen == "true" else 0.0)
    if model.memory is not None and model.memory.text_k:
        model.memory.assign(text_weight=_TEXTS, decay=_DECAY)
        scale_network(model, _UNTRAINED)
    return model


def start_with_counts(
    start: NextItemModel,
    dataset: PreparedDataset,
    counts: np.ndarray | None,
    planned: Mapping[str, Mechanism],
    source: NoiseSource,
) -> NextItemModel | None:
    """A copy of the public start with noisy popularity and neighbours; None where neither is in the budget.

    What noise hides does not count: there are no neighbours that may well be noise, and items of which no more is known
    than what noise alone would give are all equally popular.

    Args:
        start: The result of `public_start`.
        dataset: The training sequences.
        counts: float `[num_items]`, the noisy counts; None without.
        planned: The mechanisms of the training.
        source: Draws the noise.
    """
    model, informed = copy_of(start), False
    if counts is not None and model.popularity is not None:
        model.popularity.remember(np.maximum(counts, planned[COUNTS].multiplier))
        model.popularity.weight.assign(_POPULARITY)
        informed = True
    if NEIGHBOURS in planned and model.memory is not None and model.memory.k:
        training, multiplier = dataset.training(), planned[NEIGHBOURS].multiplier
        counted = taken(training, dataset.event_kinds)
        near = noisy_neighbours(training, dataset.num_items, model.memory.k, multiplier, source, counted)
        model.memory.remember(near, None)
        model.memory.assign(weight=_NEIGHBOURS, decay=_DECAY)
        informed = True
    return model if informed else None


def copy_of(model: NextItemModel) -> NextItemModel:
    """A model with the same weights."""
    copy = NextItemModel.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def scale_network(model: NextItemModel, factor: float) -> None:
    """Multiplies the scores of the network."""
    model.log_temperature.assign_sub(np.log(np.float32(factor)))
