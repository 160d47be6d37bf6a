"""The starts of a private training of the softmax head: what anybody may know, and what is known with noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.impressions import taken
from tfrec.keras import keras
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.models.behaviour_text.transitions import Transitions
from tfrec.models.shared.history_statistics import NEVER
from tfrec.privacy.budget import COUNTS, NEIGHBOURS
from tfrec.privacy.mechanism import Mechanism
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_neighbours import noisy_neighbours

Weights = list[np.ndarray]
"""The weights of a head, as `get_weights` gives them. A start is no model of its own: all would have the encoder."""

_POPULARITY = 1.0
"""Weight of the logarithm of the noisy counts in the logits."""
_SHARE, _UNIT = 0.75, 3.0
"""Share of what followed the named items, and its unit in standard deviations of the noise.

All three were found on validation of MovieLens-100K at ε = 8, where NDCG@10 is .077 with them and minilm-l6, and at
least .070 for weights of .3 to 1, shares of .75 to .97 and units of 1 and 3. Without neighbours, it is .052."""


def public_start(model: BehaviourTextModel, item_vectors: np.ndarray, *, never_repeats: bool) -> Weights:
    """The untrained head, which depends on the texts of the catalogue alone.

    It scores items by the cosine of their texts with the behaviour text: with random weights it would say nothing, and
    a private training is too short to learn from that.

    Args:
        model: The model, whose head is set.
        item_vectors: float32 `[num_items, dim]`, the encoder's vectors of the items' texts.
        never_repeats: bool. Whether the model never lists what a text names.
    """
    model.start_softmax(np.zeros(model.num_items), item_vectors, NEVER if never_repeats else 0.0)
    _pass_through(model.mlp, item_vectors)
    if model.transitions is not None:
        model.transitions.share.assign(0.0)
    weights: Weights = model.mlp.get_weights()
    return weights


def start_with_counts(
    model: BehaviourTextModel,
    start: Weights,
    dataset: PreparedDataset,
    counts: np.ndarray | None,
    planned: Mapping[str, Mechanism],
    source: NoiseSource,
) -> Weights | None:
    """The public start with noisy popularity, and noisy neighbours as what followed; None where neither is planned.

    What noise hides does not count: there are no neighbours that may well be noise, and items of which no more is known
    than what noise alone would give are all equally popular.

    Args:
        model: The model, whose head is set.
        start: The result of `public_start`.
        dataset: The training sequences.
        counts: float `[num_items]`, the noisy counts; None without.
        planned: The mechanisms of the training.
        source: Draws the noise.
    """
    model.mlp.set_weights(start)
    informed = False
    if counts is not None:
        known = np.maximum(counts, planned[COUNTS].multiplier)
        model.mlp.get_layer("logits").bias.assign(_POPULARITY * np.log(known / known.sum()))
        informed = True
    if NEIGHBOURS in planned and model.transitions is not None:
        _remember_neighbours(model.transitions, dataset, planned[NEIGHBOURS].multiplier, source)
        informed = True
    weights: Weights = model.mlp.get_weights()
    return weights if informed else None


def _remember_neighbours(layer: Transitions, dataset: PreparedDataset, multiplier: float, source: NoiseSource) -> None:
    """Noisy neighbours in the place of what followed each name."""
    training = dataset.training()
    named = layer.names[training.items]
    counted = (named >= 0) & taken(training, dataset.event_kinds)
    sequences = replace(training, items=np.maximum(named, 0))
    near, sums = noisy_neighbours(sequences, layer.num_names, layer.k, multiplier, source, counted)
    layer.near.assign(near)
    layer.counts.assign(sums / (_UNIT * multiplier))
    layer.share.assign(_SHARE)


def _pass_through(mlp: keras.Model, item_vectors: np.ndarray) -> None:
    """Sets the network so that its query is the text's vector, in the directions in which items' texts differ most.

    As gelu(x) − gelu(−x) = x, two units pass on a number. What a layer has no units for is left out; units that are
    left over keep their random weights, and nothing reads them yet.
    """
    norm, query = mlp.get_layer("behaviour_norm"), mlp.get_layer("query")
    unit = norm(item_vectors).numpy() - norm.beta.numpy()
    norm.beta.assign(-unit.mean(axis=0))
    _, _, directions = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    recover = np.eye(unit.shape[1], dtype=np.float32)
    for layer in (layer for layer in mlp.layers if layer.name.startswith("hidden_")):
        kept = directions[: layer.units // 2]
        kernel = layer.kernel.numpy()
        kernel[:, : 2 * len(kept)] = recover @ np.concatenate([kept, -kept]).T
        layer.kernel.assign(kernel)
        recover = np.zeros((layer.units, unit.shape[1]), np.float32)
        recover[: 2 * len(kept)] = np.concatenate([kept, -kept])
    query.kernel.assign(recover)
