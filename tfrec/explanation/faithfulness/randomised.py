"""A model whose learned weights are shuffled: explanations that do not change with it explain nothing of the model."""

from __future__ import annotations

import numpy as np

from tfrec.models.next_item.model import NextItemModel

_PER_ITEM = ("near", "counts", "rarity", "alike", "kernel", "unseen")


def randomised(model: NextItemModel, seed: int = 0) -> NextItemModel:
    """A copy in which every tensor is shuffled: what is kept for each item by item, everything else value by value.

    Neighbours of an item stay together with their counts, but become those of another item (the sanity check of Adebayo
    et al. 2018, https://arxiv.org/abs/1810.03292, for models that also count).

    Args:
        model: The model, which is not changed.
        seed: int.
    """
    copy = NextItemModel.from_config(model.get_config())
    rng = np.random.default_rng(seed)
    items = rng.permutation(model.num_items)
    for ours, theirs in zip(copy.variables, model.variables, strict=True):
        values = theirs.numpy()
        name = theirs.name.rsplit("/", 1)[-1].split(":")[0]
        if name in _PER_ITEM and values.ndim and len(values) == model.num_items:
            ours.assign(values[items])
        elif values.ndim and np.issubdtype(values.dtype, np.floating):
            ours.assign(rng.permutation(values.ravel()).reshape(values.shape))
        else:
            ours.assign(values)
    return copy
