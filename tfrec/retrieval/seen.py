"""Whether to leave out what people have already."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset

REPEAT_SHARE = 0.01


def should_exclude_seen(dataset: PreparedDataset) -> bool:
    """True unless at least 1% of the validation targets are already in the user's history.

    Without validation queries the answer is True.
    """
    queries = dataset.queries(schema.VALID)
    if not len(queries):
        return True
    history = queries.history
    target_row = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    history_row = np.repeat(np.arange(len(queries)), np.diff(history.offsets))
    seen = history_row * dataset.num_items + history.items
    wanted = target_row * dataset.num_items + queries.target_items
    return bool(np.isin(wanted, seen).mean() < REPEAT_SHARE)
