"""Builds a NextItemModel for a dataset, initialised with the text vectors and statistics of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.impressions import taken
from tfrec.errors import InvalidInput
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.warm_start import copy_earlier_weights
from tfrec.models.shared.history_statistics import NEVER, memory_length, repeat_log_odds
from tfrec.models.shared.hosted_item_table import HostedItemTable, RowSource
from tfrec.models.shared.modalities import Modality, neighbour_vectors
from tfrec.models.shared.neighbours import history_neighbours, text_neighbours
from tfrec.retrieval.approximate.kmeans import neighbourhoods

MAX_EXACT_ITEMS = 100_000
"""Up to this catalogue size, text neighbours are exact, which takes three minutes. In larger ones each text is only
compared with those in the nearest clusters."""


def build_next_item_model(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    earlier: TrainedRun | None = None,
    modalities: Sequence[Modality] = (),
    host: Callable[[HostedItemTable], RowSource] | None = None,
) -> NextItemModel:
    """An untrained NextItemModel for the dataset, as `build_from_catalogue` makes it, with the statistics of the log.

    Neighbours, popularity and the repeat bias are computed from the training sequences.

    Args:
        dataset: The catalogue, the event kinds and the training sequences.
        text_vectors: float32 `[num_items, text_dim]`; None for a model of ids alone.
        config: Sections `model` and `training`. A `model.dim` above the width of the text vectors is reduced to it.
        earlier: The run of `training.start_from`, whose weights are copied; None for new weights.
        modalities: The modalities that the text vectors consist of (`fuse`); none for text alone.
        host: Makes what holds the id vectors outside of the model, whose text vectors then stay where they are, too.
            None for weights of the model.

    Raises:
        InvalidInput: `model.heads` does not divide the width, or the earlier run's model does not fit.
    """
    training = dataset.training()
    options = config.model
    if options.memory_history is None:
        length = memory_length(training.lengths, options.max_history)
        config = config.with_values({"model.memory_history": length})
    model = build_from_catalogue(dataset, text_vectors, config, modalities, host)
    counts = np.bincount(training.items, minlength=dataset.num_items)
    model.unseen.assign(np.where(counts > 0, 0, -1e9).astype(np.float32))
    if model.repeats is not None:
        repeats = min(0.0, repeat_log_odds(training, dataset.num_items))
        model.repeats.start_at(repeats)
    if model.popularity is not None:
        targets = training.items[training.is_target]
        model.popularity.remember(np.bincount(targets, minlength=dataset.num_items))
    if model.memory is not None and model.memory.k:
        counted = taken(training, dataset.event_kinds)
        near = history_neighbours(training, dataset.num_items, model.memory.k, model.memory.window, counted)
        model.memory.remember(near, None, np.bincount(training.items[counted], minlength=dataset.num_items))
    if earlier is not None:
        copy_earlier_weights(model, dataset, earlier)
        # Training cannot undo a mask on repeats, so the data decide about it, not the earlier run.
        if model.repeats is not None and (float(model.repeats.coefficients[1]) < NEVER / 2) != (repeats == NEVER):
            model.repeats.start_at(repeats)
    return model


def build_from_catalogue(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    modalities: Sequence[Modality] = (),
    host: Callable[[HostedItemTable], RowSource] | None = None,
) -> NextItemModel:
    """An untrained NextItemModel, made of the catalogue, the texts and the event kinds alone.

    Its item vectors start from the principal components of the text vectors. Text neighbours are there, co-occurrence
    neighbours, popularity and repeats are not yet.

    Args:
        dataset, text_vectors, config, modalities, host: As for `build_next_item_model`, with `model.memory_history`
            given.

    Raises:
        InvalidInput: `model.heads` does not divide the width.
    """
    options = config.model
    text_dim = 0 if text_vectors is None else text_vectors.shape[1]
    dim = min(options.dim, text_dim) if text_dim else options.dim
    if dim % options.heads:
        raise InvalidInput(
            f"model.heads must divide the width; received {options.heads} heads and width {dim}. Set model.heads=1?"
        )
    model = NextItemModel(
        num_items=dataset.num_items,
        num_event_kinds=len(dataset.event_kinds),
        text_dim=text_dim,
        dim=dim,
        layers=options.layers,
        block=options.block,
        heads=options.heads,
        max_history=options.max_history,
        memory_history=options.memory_history or options.max_history,
        dropout=options.dropout,
        temperature=options.temperature,
        use_id=options.use_id or not text_dim,
        id_rate=options.id_rate,
        id_dropout=options.id_dropout,
        item_dropout=options.item_dropout,
        repeat_bias=options.repeat_bias,
        repeat_kinds=options.repeat_kinds,
        neighbours=min(options.neighbours, dataset.num_items - 1),
        text_neighbours=min(options.text_neighbours, dataset.num_items - 1) if text_dim else 0,
        neighbour_window=options.neighbour_window,
        popular=min(options.popular, dataset.num_items),
        disliked=dataset.event_kinds.index(schema.DISLIKE) if schema.DISLIKE in dataset.event_kinds else -1,
        modalities=[list(each) for each in modalities],
        modality_dropout=options.modality_dropout if modalities else 0.0,
        seed=config.training.seed,
        dtype_policy="mixed_bfloat16" if config.training.mixed_bfloat16 else "float32",
        domains=list(dataset.domains.values()),
        hosted=host is not None,
    )
    if host is not None:
        model.items.attach(host(model.items))
    if text_vectors is not None:
        model.items.start_from(text_vectors)
    if model.memory is not None and model.memory.text_k and text_vectors is not None:
        model.memory.remember(
            None, _text_neighbours(text_vectors, modalities, model.memory.text_k, [*dataset.domains.values()])
        )
    return model


def _text_neighbours(
    text_vectors: np.ndarray, modalities: Sequence[Modality], k: int, domains: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """`text_neighbours` of each item, within its domain if there are several (sizes in catalogue order)."""
    first, parts = 0, []
    for vectors in np.split(text_vectors, np.cumsum(domains)[:-1]) if domains else [text_vectors]:
        texts = neighbour_vectors(vectors, modalities)
        clusters = neighbourhoods(texts) if len(texts) > MAX_EXACT_ITEMS else None
        indices, values = text_neighbours(texts, k, clusters)
        parts.append((np.where(indices >= 0, indices + first, indices), values))
        first += len(vectors)
    return np.concatenate([indices for indices, _ in parts]), np.concatenate([values for _, values in parts])
