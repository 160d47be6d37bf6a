"""Targets for compressed encoders that also say what users take together."""

from __future__ import annotations

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.models.baselines.counting import WINDOW
from tfrec.models.shared.pair_counts import count_pairs
from tfrec.retrieval.unit_vectors import unit_vectors


def with_cooccurrence(dataset: PreparedDataset, vectors: np.ndarray, weight: float) -> np.ndarray:
    """Moves the vector of each item towards those of the items that training sequences have near it.

    Args:
        dataset: Provides the training sequences.
        vectors: float32 `[num_items, dim]`, of unit length.
        weight: float. Weight of the mean vector of the items nearby, by how often they are; 0 changes nothing. Both are
            brought to unit length first.

    Returns:
        float32 `[num_items, dim]`, of unit length. Items that are near no other keep their vectors.
    """
    keys, counts = count_pairs(dataset.training(), dataset.num_items, WINDOW)
    item, other = np.divmod(keys, dataset.num_items)
    apart = item != other
    item, other, counts = item[apart], other[apart], counts[apart]
    nearby = np.zeros_like(vectors)
    starts = np.flatnonzero(np.diff(item, prepend=-1))
    if len(starts):
        nearby[item[starts]] = np.add.reduceat(counts[:, None].astype(np.float32) * vectors[other], starts)
    return unit_vectors(vectors + weight * unit_vectors(nearby))
