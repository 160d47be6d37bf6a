"""The groups that items or targets belong to: one each, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfrec.data.histories import row_numbers

NO_GROUP = "(none)"


class Members(NamedTuple):
    """Groups and their members, flat.

    Attributes:
        labels: Names of the groups, sorted, object `[groups]`.
        offsets: int64 `[members + 1]`; the groups of member i are at `offsets[i]` to `offsets[i + 1] − 1` of `codes`.
        codes: int64 `[memberships]`, indices into `labels`.
    """

    labels: np.ndarray
    offsets: np.ndarray
    codes: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The member of each membership, int64 `[memberships]`."""
        return row_numbers(np.diff(self.offsets))


def members(groups: Sequence[Any] | np.ndarray) -> Members:
    """Reads groups as they are written: None or "" is "(none)", and a|b is both a and b.

    Example:
        >>> found = members(["b|a", None, "b"])
        >>> found.labels.tolist(), found.offsets.tolist(), found.codes.tolist()
        (['(none)', 'a', 'b'], [0, 2, 3, 4], [2, 1, 0, 2])
    """
    listed = [_labels(group) for group in groups]
    flat = np.array([label for labels in listed for label in labels], dtype=object)
    labels, codes = np.unique(flat, return_inverse=True)
    return Members(labels, np.concatenate([[0], np.cumsum([len(labels) for labels in listed], dtype=np.int64)]), codes)


def _labels(group: Any) -> list[str]:
    parts = [] if group is None else [part.strip() for part in str(group).split("|")]
    return list(dict.fromkeys(part for part in parts if part)) or [NO_GROUP]
