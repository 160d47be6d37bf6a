"""The weights of an earlier run as the first ones of a new training."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.model import NextItemModel
from tfrec.progress import say

_FREE = (
    *("num_items", "neighbours", "text_neighbours", "neighbour_window", "memory_history", "popular"),
    *("seed", "dropout", "item_dropout", "id_dropout", "temperature", "dtype_policy", "name"),
)
"""What may differ between the two models: no weight that is taken over depends on it."""


def start_from(model: NextItemModel, dataset: PreparedDataset, run: TrainedRun) -> None:
    """Gives `model` the weights of a run: those of items by their ids, all others as they are.

    Items that the run does not know keep their start, at their text alone. Text vectors, neighbours and popularity stay
    those of `dataset`. Items are read with the run's projection: another encoder may be used as long as its vectors lie
    close to those of the run's.

    Args:
        model: Built for `dataset`.
        dataset: The catalogue and the event kinds of the new training.
        run: The earlier run, of a next-item model.

    Raises:
        InvalidInput: Its model has another shape or other event kinds.
    """
    theirs, ours = run.manifest["model"], model.get_config()
    differ = [name for name in ours if name not in _FREE and theirs.get(name, ours[name]) != ours[name]]
    if differ:
        told = ", ".join(f"{name} {theirs[name]} there and {ours[name]} here" for name in differ)
        raise InvalidInput(
            f"training.start_from: the model of {run.path} has another shape: {told}. Use its config.yaml."
        )
    if run.event_kinds != dataset.event_kinds:
        raise InvalidInput(
            f"training.start_from: {run.path} knows the event kinds {run.event_kinds}, the dataset has "
            f"{dataset.event_kinds}. Train anew."
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
    say(f"Starting from {run.path}: {int((rows >= 0).sum())} of {len(rows)} items are known there")
