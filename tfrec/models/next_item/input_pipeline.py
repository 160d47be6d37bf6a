"""The batches that a fit of NextItemModel learns from, changed and in two views where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.histories import Histories
from tfrec.models.next_item.augmentation import NEIGHBOURS, VIEWS, Augmentation
from tfrec.models.next_item.losses.contrastive import VIEWS as NUMBER_OF_VIEWS
from tfrec.models.next_item.losses.contrastive import view_name
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.neighbours import history_neighbours, softly_whitened, text_neighbours
from tfrec.progress import say

LENGTHS = 8
"""Different lengths of batches for XLA, which compiles the training step anew for each: half a minute a time."""


def batches(
    windows: Windows,
    config: RunConfig,
    batch_size: int,
    first_epoch: int,
    epochs: int,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """The batches of the epochs from `first_epoch` to `epochs`, which depend on the seed, the epoch and their number in
    it alone. With `training.jit_compile` they have at most `LENGTHS` different shapes (`filled_up`)."""
    options = config.training
    views = Augmentation(VIEWS.model_copy(update={"sitting": options.augmentation.sitting}))

    def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for epoch in range(first_epoch, epochs):
            rng = np.random.default_rng([options.seed, epoch, 1])  # another stream than that of the order
            for number, rows in enumerate(windows.epoch(batch_size, options.seed, epoch)):
                chances = np.random.default_rng([options.seed, epoch, 2, number])
                inputs, labels = windows.batch(rows, rng, augmentation, chances)
                if options.contrastive:
                    inputs = {**inputs, **_views(windows, rows, views, chances)}
                if options.jit_compile:
                    length = fixed_length(labels.shape[1], config.model.max_history)
                    inputs, labels = filled_up(inputs, labels, batch_size, length)
                yield inputs, labels

    rows = batch_size if options.jit_compile else None
    whole, real = tf.TensorSpec([rows, None], tf.int32), tf.TensorSpec([rows, None], tf.float32)
    history = {schema.HISTORY_ITEMS: whole, schema.HISTORY_EVENTS: whole, schema.HISTORY_GAPS: real}
    inputs = dict(history)
    if augmentation is not None and augmentation.reads:
        inputs |= {schema.RECORDED_ITEMS: whole, schema.RECORDED_EVENTS: whole, schema.READ_PLACES: whole}
    if options.contrastive:
        inputs[schema.VIEW_USERS] = tf.TensorSpec([rows], tf.int32)
        for number in range(NUMBER_OF_VIEWS):
            inputs |= {view_name(number, name): spec for name, spec in history.items()}
    return tf.data.Dataset.from_generator(generate, output_signature=(inputs, whole)).prefetch(4)


def fixed_length(length: int, longest: int) -> int:
    """The least of `LENGTHS` evenly spaced lengths up to `longest` that holds `length`.

    Example:
        >>> [fixed_length(length, 50) for length in (1, 7, 8, 49, 50)]
        [7, 7, 14, 49, 50]
    """
    step = -(-longest // LENGTHS)
    return min(-(-length // step) * step, longest)


def filled_up(
    inputs: dict[str, np.ndarray], labels: np.ndarray, rows: int, length: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Arrays `[batch, ...]` with padding up to `[rows, length]`, and up to `[rows]` where they have a value a row.

    Rows that are added have no event, no label and the user −1, so that nothing is learnt of them.
    """

    def padded(name: str, values: np.ndarray) -> np.ndarray:
        missing = [(0, rows - len(values)), *[(0, length - width) for width in values.shape[1:]]]
        nothing = 0 if values.dtype.kind == "f" or name == schema.READ_PLACES else schema.PADDING
        return np.pad(values, missing, constant_values=nothing)

    return {name: padded(name, values) for name, values in inputs.items()}, padded("labels", labels)


def _views(windows: Windows, rows: np.ndarray, views: Augmentation, rng: np.random.Generator) -> dict[str, np.ndarray]:
    users = np.searchsorted(windows.histories.offsets, windows.start[rows], side="right") - 1
    found: dict[str, np.ndarray] = {schema.VIEW_USERS: users.astype(np.int32)}
    for number in range(NUMBER_OF_VIEWS):
        inputs, _ = windows.batch(rows, None, views, rng)
        for name in (schema.HISTORY_ITEMS, schema.HISTORY_EVENTS, schema.HISTORY_GAPS):
            found[view_name(number, name)] = inputs[name]
    return found


def augmentation_of(config: RunConfig, model: NextItemModel, training: Histories) -> Augmentation | None:
    """What `training.augmentation` asks for; None where no sequence is changed.

    Args:
        config: Its `training` section.
        model: Its text vectors, and its memory where there is one, give the neighbours that items are substituted by.
        training: The training sequences.
    """
    options = config.training.augmentation
    if options.reorder and not training.clock:
        say("Events have no clock, so there are no sessions: training.augmentation.reorder does nothing.")
    if not (options.crop or options.drop or options.mask or options.substitute or options.reorder):
        return None
    return Augmentation(options, substitutes(model, training) if options.substitute else None)


def substitutes(model: NextItemModel, training: Histories) -> np.ndarray:
    """int32 `[num_items, n]`: up to eight neighbours by shared histories, up to eight by text; −1 where there are fewer
    and for an item that is there twice."""
    memory, most = model.memory, min(NEIGHBOURS, model.num_items - 1)
    tables = [np.full((model.num_items, 1), -1, np.int32)]
    if memory is not None and memory.k:
        tables.append(memory.near.numpy()[:, :most])
    else:
        tables.append(history_neighbours(training, model.num_items, most, 10)[0])
    if memory is not None and memory.text_k:
        tables.append(memory.alike.numpy()[:, :most])
    elif model.text_dim:
        tables.append(text_neighbours(softly_whitened(model.items.text.numpy()), most)[0])
    found = np.concatenate(tables, axis=1)
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    return found
