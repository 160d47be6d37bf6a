"""Leave-one-out: what the score of an item loses when an event, or a group of events, is deleted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrec.data.histories import Histories
from tfrec.explanation.deletions import DeletionScorer, total
from tfrec.explanation.event_groups import deletion_masks


@dataclass(frozen=True)
class Effects:
    """What parts of a model and groups of events do to scores.

    Effects of groups do not add up to the score: two events may each replace the other.

    Attributes:
        parts: From the name of a part to float32 `[rows, items]`; the sum is the score.
        effects: float32 `[rows, groups, items]`: the score, less the score without the group. Above 0 for what raises
            the score, below 0 for what lowers it; NaN for groups that a row does not have.
    """

    parts: dict[str, np.ndarray]
    effects: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """float32 `[rows, items]`."""
        return total(self.parts)


def leave_one_out(
    deletions: DeletionScorer, histories: Histories, rows: np.ndarray, items: np.ndarray, groups: np.ndarray
) -> Effects:
    """Deletes each group of events in turn and scores the items again, all of a row in one call.

    Args:
        deletions: Scores after deletions.
        histories: The histories.
        rows: int `[n]`, their rows.
        items: int32 `[n, m]`, the items to explain; −1 is padding.
        groups: int32 `[n, events]`, of `event_groups`.
    """
    parts = deletions.parts(histories, rows, deletion_masks(groups), items)
    scores = total(parts)
    effects = scores[:, :1] - scores[:, 1:]
    known = np.arange(effects.shape[1]) <= groups.max(axis=1, initial=-1)[:, None]
    return Effects({name: part[:, 0] for name, part in parts.items()}, np.where(known[..., None], effects, np.nan))


LEAST = 1e-3
"""Effects closer to 0 name no event: processors round scores differently by about a tenth of this."""


def telling_events(effects: np.ndarray, raising: int) -> list[int]:
    """The events to name: those that raise a score most, the first one most, and last the one that lowers it most.

    Args:
        effects: float `[events]`, what the score loses without each.
        raising: int. Most events that raise the score.

    Example:
        >>> telling_events(np.array([0.1, -0.5, 0.0, 0.4]), raising=3)
        [3, 0, 1]
    """
    order = np.argsort(-effects, kind="stable")
    named = [int(at) for at in order[:raising] if effects[at] > LEAST]
    return named + [int(at) for at in order[-1:] if effects[at] < -LEAST]
