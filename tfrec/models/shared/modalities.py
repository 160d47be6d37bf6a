"""Modalities of an item (text, picture, sound …): their vectors side by side, each on its own scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfrec.errors import InvalidInput
from tfrec.models.shared.neighbours import softly_whitened
from tfrec.retrieval.unit_vectors import unit_vectors

_LEAST_LENGTH = 1e-3
"""Shorter vectors, relative to the others, are those of items without the modality."""


class Modality(NamedTuple):
    """One block of the columns of fused vectors.

    Attributes:
        name: "text", "image", or the name of an `*_embedding` column.
        width: Number of its columns.
        weight: How much it counts at first beside the first modality, which has 1.
        scale: Factor from the given vectors to those of the block.
    """

    name: str
    width: int
    weight: float
    scale: float


@dataclass(frozen=True)
class FusedVectors:
    """The vectors of several modalities of each item, side by side.

    Attributes:
        vectors: float32 `[num_items, total width]`. An item without a modality has the mean of the others there, so
            that after centring it is 0.
        modalities: The blocks of columns, in order.
    """

    vectors: np.ndarray
    modalities: tuple[Modality, ...]


def fuse(given: Sequence[tuple[str, np.ndarray]], weights: Sequence[float]) -> FusedVectors:
    """Puts the vectors of modalities side by side.

    The first modality stays as it is. Each other one is scaled so that its centred vectors are, in the root mean
    square, `weight` times as long as those of the first. A modality of weight 0 is left out.

    Args:
        given: Name and float `[num_items, width]` of each; a row of zeros stands for an item without it.
        weights: The weight of each after the first.

    Example:
        >>> text, image = np.array([[1.0], [3.0]]), np.array([[10.0], [30.0]])
        >>> fuse([("text", text), ("image", image)], [2.0]).vectors.astype(float).round(2).tolist()
        [[1.0, 2.0], [3.0, 6.0]]
    """
    (name, first), *others = given
    length = _deviation(first)
    blocks, modalities = [_without_gaps(first)], [Modality(name, first.shape[1], 1.0, 1.0)]
    for (name, vectors), weight in zip(others, weights, strict=True):
        spread = _deviation(vectors)
        if weight and spread:
            scale = weight * length / spread
            blocks.append(_without_gaps(vectors * scale))
            modalities.append(Modality(name, vectors.shape[1], weight, scale))
    return FusedVectors(np.concatenate(blocks, axis=1), tuple(modalities))


def fuse_like(given: Sequence[tuple[str, np.ndarray]], modalities: Sequence[Modality]) -> FusedVectors:
    """Puts the vectors of modalities side by side with the scales that they had in an earlier run.

    Args:
        given: As for `fuse`.
        modalities: Those of the earlier run; what it did not read is left out.

    Raises:
        InvalidInput: A modality is missing, or its vectors have another width.
    """
    vectors, blocks = dict(given), []
    for each in modalities:
        if each.name not in vectors or vectors[each.name].shape[1] != each.width:
            raise InvalidInput(
                f"training.start_from: the run reads {each.name} of width {each.width}, which the items do not have. "
                "Give it to them, or train without training.start_from."
            )
        blocks.append(_without_gaps(vectors[each.name] * each.scale))
    return FusedVectors(np.concatenate(blocks, axis=1), tuple(modalities))


def new_item_vectors(given: Mapping[str, np.ndarray], modalities: Sequence[Modality], mean: np.ndarray) -> np.ndarray:
    """Vectors of items that come to a trained model.

    Args:
        given: Name of a modality to float `[n, width]`; a row of zeros stands for an item without it.
        modalities: Those of the model.
        mean: float32 `[total width]`, means of the model's own items, which stand for what is not given.

    Returns:
        float32 `[n, total width]`.
    """
    vectors = np.tile(mean, (len(next(iter(given.values()))), 1)).astype(np.float32)
    for each, columns in blocks_of(modalities):
        if each.name in given:
            known = _present(given[each.name])
            vectors[known, columns] = each.scale * given[each.name][known]
    return vectors


def neighbour_vectors(vectors: np.ndarray, modalities: Sequence[Modality], by: np.ndarray | None = None) -> np.ndarray:
    """Vectors whose cosines say how alike items are: softly whitened, each modality with its weight.

    Args:
        vectors: float `[n, total width]`, of `fuse`, or vectors of a single modality.
        modalities: The blocks of columns; none for a single modality.
        by: float `[num_items, total width]`. Vectors that give means and components; None for `vectors`.

    Returns:
        float32 `[n, total width]`. Between two items the cosine is the mean of those of their modalities, weighted by
        the squares of the weights; what an item lacks agrees with nothing.
    """
    if not modalities:
        return softly_whitened(vectors, by)
    by = vectors if by is None else by
    blocks = []
    for each, columns in blocks_of(modalities):
        block = softly_whitened(vectors[:, columns], by[:, columns])
        lengths = np.linalg.norm(block, axis=1)
        block[lengths < _LEAST_LENGTH * np.sqrt(np.square(lengths).mean())] = 0  # means, up to rounding errors
        blocks.append(each.weight * unit_vectors(block))
    return np.concatenate(blocks, axis=1)


def blocks_of(modalities: Sequence[Modality]) -> list[tuple[Modality, slice]]:
    """Each modality with the columns that it has."""
    stops = np.cumsum([each.width for each in modalities]).tolist()
    return [(each, slice(stop - each.width, stop)) for each, stop in zip(modalities, stops, strict=True)]


def _present(vectors: np.ndarray) -> np.ndarray:
    present: np.ndarray = np.any(vectors != 0, axis=1)
    return present


def _deviation(vectors: np.ndarray) -> float:
    """Root mean square distance of the items that have the modality to their mean; 0 where none differ."""
    known = vectors[_present(vectors)]
    if not len(known):
        return 0.0
    distances = np.square(known - known.mean(axis=0)).sum(axis=1)
    least = 1e-9 * float(np.square(known).sum(axis=1).mean())  # differences that are rounding errors
    return float(np.sqrt(distances.mean())) if distances.mean() > least else 0.0


def _without_gaps(vectors: np.ndarray) -> np.ndarray:
    present, filled = _present(vectors), np.array(vectors, np.float32)
    if present.any():
        filled[~present] = filled[present].mean(axis=0)
    return filled
