"""Warm start: the weights of an earlier run, copied into a new model before training."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.model import NextItemModel
from tfrec.progress import say

_MAY_DIFFER = (
    *("num_items", "neighbours", "text_neighbours", "neighbour_window", "memory_history", "popular"),
    *("seed", "dropout", "item_dropout", "id_dropout", "temperature", "dtype_policy", "name"),
)
"""Options that may differ between the two models, because the shape of no copied weight depends on them."""


def copy_earlier_weights(model: NextItemModel, dataset: PreparedDataset, run: TrainedRun) -> None:
    """Copies the weights of an earlier run into `model`; the weights of items are matched by item id.

    Items that are new keep their initial weights, so their vectors depend on their text alone. Text vectors, neighbours
    and popularity remain those of `dataset`. The projection of text vectors is copied, so another encoder may be used
    only if its vectors are close to those of the run's encoder.

    Args:
        model: A model built for `dataset`.
        dataset: The catalogue and the event kinds of the new training.
        run: The earlier run, with a next-item model.

    Raises:
        InvalidInput: The run's model has another shape or other event kinds.
    """
    theirs, ours = run.manifest["model"], model.get_config()
    differ = [name for name in ours if name not in _MAY_DIFFER and theirs.get(name, ours[name]) != ours[name]]
    if differ:
        differences = ", ".join(f"{name} {theirs[name]} there and {ours[name]} here" for name in differ)
        raise InvalidInput(
            f"training.start_from: the model of {run.path} has another shape: {differences}. Use its config.yaml."
        )
    if run.event_kinds != dataset.event_kinds:
        raise InvalidInput(
            f"training.start_from: {run.path} knows the event kinds {run.event_kinds}, the dataset has "
            f"{dataset.event_kinds}. Train without training.start_from."
        )
    _copy(run, model, dataset)


def _copy(run: TrainedRun, model: NextItemModel, dataset: PreparedDataset) -> None:
    old: NextItemModel = run.model
    model.body.set_weights(old.body.get_weights())
    model.log_temperature.assign(old.log_temperature)
    if model.repeats is not None and old.repeats is not None:
        model.repeats.scaled.assign(old.repeats.scaled)
    if model.memory is not None and old.memory is not None:
        for name in ("decay", "discount", "scaled_weight", "scaled_text_weight"):
            if hasattr(model.memory, name) and hasattr(old.memory, name):
                getattr(model.memory, name).assign(getattr(old.memory, name))
    for name in ("mean", "components", "projection"):
        if hasattr(model.items, name):
            getattr(model.items, name).assign(getattr(old.items, name))
    known = dict(zip(run.item_ids, range(len(run.item_ids)), strict=True))
    rows = np.array([known.get(item, -1) for item in dataset.items[schema.ITEM_ID]], np.int64)
    if model.items.use_id:
        ids = model.items.ids.numpy()
        ids[rows >= 0] = old.items.ids.numpy()[rows[rows >= 0]]
        model.items.ids.assign(ids)
    say(f"Starting from {run.path}, which knows {int((rows >= 0).sum())} of {len(rows)} items")
