"""Trained baselines: EASE, fitted by one matrix inversion, and ALS from `implicit`. Both ignore order and text."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, concatenate_ranges, row_numbers
from tfrec.data.impressions import without_kind
from tfrec.data.pair_set import PairSet
from tfrec.errors import InvalidInput, Unavailable

MOST_ITEMS = 20_000
"""Largest catalogue that EASE is fitted on; its item-by-item matrix then takes 1.6 GB."""


class Ease:
    """A linear item-to-item model with a closed form (Steck 2019, https://arxiv.org/abs/1905.03375).

    With X the users' distinct items as a 0/1 matrix and P = (XᵀX + λI)⁻¹, the score of j is the sum over the history's
    distinct items i of B[i, j] = −P[i, j] / P[j, j], and B[j, j] = 0. Without a history all scores are 0.

    Args:
        regularisation: float. λ, greater than 0.
    """

    name = "ease"
    num_items: int

    def __init__(self, regularisation: float = 200.0) -> None:
        if regularisation <= 0:
            raise InvalidInput(f"Expected a regularisation above 0, received {regularisation}.")
        self.regularisation = regularisation

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Fits the weights; `text_vectors` is not used.

        Raises:
            InvalidInput: The catalogue has more than 20,000 items.
        """
        self.num_items = dataset.num_items
        if self.num_items > MOST_ITEMS:
            raise InvalidInput(
                f"EASE takes up to {MOST_ITEMS} items, this catalogue has {self.num_items}. Leave it out."
            )
        training = _taken(dataset)
        gram = np.zeros((self.num_items, self.num_items), np.float32)
        for start in range(0, len(training), 4096):
            block = seen_matrix(training, np.arange(start, min(start + 4096, len(training))), self.num_items)
            gram += block.T @ block
        gram[np.diag_indices_from(gram)] += self.regularisation
        inverse = np.linalg.inv(gram)
        self.weights = inverse / -np.diag(inverse)
        self.weights[np.diag_indices_from(self.weights)] = 0
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        scores: np.ndarray = seen_matrix(histories, rows, self.num_items) @ self.weights
        return scores


class Als:
    """Matrix factorisation for implicit feedback by alternating least squares (Hu, Koren & Volinsky 2008,
    https://doi.org/10.1109/ICDM.2008.22), implemented by `implicit` (extra `baselines`).

    The user vector is computed from the history rather than looked up, so new users have one too. Without a history all
    scores are 0.

    Args:
        factors: int. Width of the user and item vectors.
        alpha: float. An observed pair has confidence 1 + alpha.
        iterations: int. Number of alternating updates.
        seed: int. Seed of the initial vectors.
    """

    name = "als"
    num_items: int

    def __init__(self, factors: int = 128, alpha: float = 40.0, iterations: int = 15, seed: int = 0) -> None:
        self.options: dict[str, Any] = {
            "factors": factors,
            "alpha": alpha,
            "iterations": iterations,
            "random_state": seed,
        }

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Fits on the training sequences; `text_vectors` is not used.

        Raises:
            Unavailable: `implicit` is not installed.
        """
        try:
            from implicit.als import AlternatingLeastSquares
        except ImportError:
            raise Unavailable("ALS needs the extra `baselines`: pip install -e '.[baselines]'.") from None
        self.num_items = dataset.num_items
        training = _taken(dataset)
        self.model = AlternatingLeastSquares(**self.options)
        self.model.fit(self._sparse(training, np.arange(len(training))), show_progress=False)
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        rows = np.asarray(rows)
        known = self._sparse(histories, rows)
        users = self.model.recalculate_user(np.arange(len(rows)), known)
        scores: np.ndarray = np.asarray(users, np.float32) @ np.asarray(self.model.item_factors, np.float32).T
        return np.where((known.getnnz(axis=1) > 0)[:, None], scores, np.float32(0))

    def _sparse(self, histories: Histories, rows: np.ndarray) -> Any:
        """The `seen_matrix` as a SciPy CSR matrix."""
        from scipy.sparse import csr_matrix

        starts, lengths = histories.offsets[rows], histories.lengths[rows]
        places = concatenate_ranges(starts, lengths)
        cells = PairSet(row_numbers(lengths), histories.items[places], self.num_items).pairs()
        return csr_matrix((np.ones(len(cells[0]), np.float32), cells), shape=(len(rows), self.num_items))


def _taken(dataset: PreparedDataset) -> Histories:
    """The training histories without impressions and dislikes."""
    training = dataset.training()
    for kind in (schema.IMPRESSION, schema.DISLIKE):
        if kind in dataset.event_kinds:
            training, _ = without_kind(training, dataset.event_kinds.index(kind))
    return training


def seen_matrix(histories: Histories, rows: np.ndarray, num_items: int) -> np.ndarray:
    """float32 `[len(rows), num_items]`: 1 if the item is in the history.

    Example:
        >>> zero = np.zeros(3, np.int64)
        >>> histories = Histories(np.array(["u"]), np.array([0, 3]), np.array([2, 0, 2]), zero, zero, zero, zero == 0)
        >>> seen_matrix(histories, np.array([0]), num_items=4).tolist()
        [[1.0, 0.0, 1.0, 0.0]]
    """
    seen = np.zeros((len(rows), num_items), np.float32)
    for place, row in enumerate(rows):
        seen[place, histories.items[histories.offsets[row] : histories.offsets[row + 1]]] = 1
    return seen
