"""Warm start: the weights of an earlier run, copied into a new model before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.evaluation.standing import UNTRAINED
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.model import NextItemModel
from tfrec.progress import say

_MAY_DIFFER = (
    *("num_items", "neighbours", "text_neighbours", "neighbour_window", "memory_history", "popular", "domains"),
    *("seed", "dropout", "item_dropout", "id_dropout", "temperature", "dtype_policy", "name"),
)
"""Options that may differ between the two models, because the shape of no copied weight depends on them."""

_OF_THE_SHOP = ("use_id", "id_rate", "num_event_kinds", "repeat_bias", "repeat_kinds", "disliked")
"""Options that may differ as well where a run moves to another catalogue, as their weights stay behind."""

_KNOWN = 0.5
"""Share of the items of a catalogue from which it is the run's own, with some items new."""


def moves(run: TrainedRun, dataset: PreparedDataset) -> bool:
    """Whether a run that reads items by text alone comes into another catalogue: one that it knows less than half of.

    An item is known if id and text are the same: two shops may both have an item 17.
    """
    if run.config.model.use_id or not run.config.model.use_text:
        return False
    key = [schema.ITEM_ID, schema.TEXT]
    known = dataset.items.select(key).join(run.items.select(key), on=key, how="semi").height
    return known < _KNOWN * dataset.num_items


def leaves_network_out(run: TrainedRun) -> bool:
    """Whether the run kept counts and texts alone (`choose_score_weights`)."""
    return (run.manifest.get("score_weights") or {}).get("chosen") == UNTRAINED


def copy_earlier_weights(model: NextItemModel, dataset: PreparedDataset, run: TrainedRun) -> None:
    """Copies the weights of an earlier run into `model`; the weights of items are matched by item id.

    Items that are new keep their initial weights, so their vectors depend on their text alone. Text vectors, neighbours
    and popularity remain those of `dataset`. The projection of text vectors is copied, so another encoder may be used
    only if its vectors are close to those of the run's encoder.

    Where the run `moves` to another catalogue, ids may grow beside the text, the bias on repeats is that of `dataset`
    as well, and event kinds are matched by name; new ones keep their initial weights.

    Args:
        model: A model built for `dataset`.
        dataset: The catalogue and the event kinds of the new training.
        run: The earlier run, with a next-item model.

    Raises:
        InvalidInput: The run's model has another shape or, unless it moves, other event kinds.
    """
    moved = moves(run, dataset)
    _refuse_other_shape(model, run, (*_MAY_DIFFER, *(_OF_THE_SHOP if moved else ())))
    if not moved and run.event_kinds != dataset.event_kinds:
        raise InvalidInput(
            f"training.start_from: {run.path} knows the event kinds {run.event_kinds}, the dataset has "
            f"{dataset.event_kinds}. Train without training.start_from."
        )
    copy_network(model, run.model, dataset.event_kinds, run.event_kinds, score_weights=not leaves_network_out(run))
    if moved:
        say(f"{run.path} comes into another catalogue: it reads the {dataset.num_items} items by their text")
    else:
        _copy_repeats_and_ids(model, dataset, run)


def _refuse_other_shape(model: NextItemModel, run: TrainedRun, may_differ: tuple[str, ...]) -> None:
    theirs, ours = run.manifest["model"], model.get_config()
    differ = [name for name in ours if name not in may_differ and theirs.get(name, ours[name]) != ours[name]]
    if differ:
        differences = ", ".join(f"{name} {theirs[name]} there and {ours[name]} here" for name in differ)
        raise InvalidInput(
            f"training.start_from: the model of {run.path} has another shape: {differences}. Use its config.yaml."
        )


def copy_network(
    model: NextItemModel,
    old: NextItemModel,
    event_kinds: Sequence[str],
    old_kinds: Sequence[str],
    score_weights: bool = True,
) -> None:
    """Copies transformer, projection of the text and score weights of the memory; event kinds are matched by name.

    Args:
        model: The model that gets the weights.
        old: A model of the same shape, of any catalogue.
        event_kinds, old_kinds: The event kinds of the two.
        score_weights: Whether the score weights are copied. Where a run left its network out they stay behind: beside
            them it could not be trained.
    """
    kinds = {id(each.body.get_layer("event_embedding").kinds) for each in (model, old)}
    for new_weight, weight in zip(model.body.weights, old.body.weights, strict=True):
        if id(new_weight) in kinds:
            new_weight.assign(_by_name(new_weight.numpy(), weight.numpy(), event_kinds, old_kinds))
        else:
            new_weight.assign(weight)
    if score_weights:
        _copy_score_weights(model, old)
    for name in ("mean", "components", "projection"):
        if hasattr(model.items, name):
            getattr(model.items, name).assign(getattr(old.items, name))
    if model.items.modalities:
        model.items.gates.set_weights(old.items.gates.get_weights())


def _copy_score_weights(model: NextItemModel, old: NextItemModel) -> None:
    model.log_temperature.assign(old.log_temperature)
    if model.memory is not None and old.memory is not None:
        for name in ("decay", "discount", "scaled_weight", "scaled_text_weight"):
            if hasattr(model.memory, name) and hasattr(old.memory, name):
                getattr(model.memory, name).assign(getattr(old.memory, name))


def _by_name(ours: np.ndarray, theirs: np.ndarray, our_kinds: Sequence[str], their_kinds: Sequence[str]) -> np.ndarray:
    """`ours`, with the rows of the event kinds of both from `theirs`; the last row is that of unknown kinds."""
    known = {kind: row for row, kind in enumerate(their_kinds)}
    rows = ours.copy()
    for row, kind in enumerate(our_kinds):
        if kind in known:
            rows[row] = theirs[known[kind]]
    rows[-1] = theirs[-1]
    return rows


def _copy_repeats_and_ids(model: NextItemModel, dataset: PreparedDataset, run: TrainedRun) -> None:
    old: NextItemModel = run.model
    if model.repeats is not None and old.repeats is not None:
        model.repeats.scaled.assign(old.repeats.scaled)
    known = dict(zip(run.item_ids, range(len(run.item_ids)), strict=True))
    rows = np.array([known.get(item, -1) for item in dataset.items[schema.ITEM_ID]], np.int64)
    if model.items.use_id:
        model.items.set_ids(np.flatnonzero(rows >= 0), old.items.ids.numpy()[rows[rows >= 0]])
    say(f"Starting from {run.path}, which knows {int((rows >= 0).sum())} of {len(rows)} items")
