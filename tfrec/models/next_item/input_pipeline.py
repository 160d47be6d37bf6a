"""The training batches of NextItemModel, with augmentation and contrastive views where they are configured."""

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
from tfrec.models.shared.modalities import neighbour_vectors
from tfrec.models.shared.neighbours import history_neighbours, text_neighbours
from tfrec.progress import say

PADDED_LENGTHS = 8
"""Number of different batch lengths with XLA, which takes half a minute to compile the training step for each."""


def batches(
    windows: Windows,
    config: RunConfig,
    batch_size: int,
    first_epoch: int,
    epochs: int,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """The training batches of some epochs, as (inputs, labels).

    A batch depends only on the seed, its epoch and its number in it, so a resumed training gets the same ones. With
    `training.jit_compile`, batches are padded to at most `PADDED_LENGTHS` different shapes.

    Args:
        windows: The training sequences.
        config: Sections `model` and `training`.
        batch_size: int. Windows a batch.
        first_epoch: int. The first epoch.
        epochs: int. The epoch after the last.
        augmentation: Changes the sequences; None leaves them as they are.

    Returns:
        A dataset of the inputs of the model, with those of `Augmentation.augment_inputs` and `contrastive_term` if they
        are in use, and labels, int32 `[batch, length]`, −1 at positions without a label.
    """
    options = config.training
    views = Augmentation(VIEWS.model_copy(update={"sitting": options.augmentation.sitting}))

    def generate() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for epoch in range(first_epoch, epochs):
            rng = np.random.default_rng([options.seed, epoch, 1])  # not the random numbers of the order
            for number, rows in enumerate(windows.epoch(batch_size, options.seed, epoch)):
                chances = np.random.default_rng([options.seed, epoch, 2, number])
                inputs, labels = windows.batch(rows, rng, augmentation, chances)
                if options.contrastive:
                    inputs = {**inputs, **_views(windows, rows, views, chances)}
                if options.jit_compile:
                    length = padded_length(labels.shape[1], config.model.max_history)
                    inputs, labels = pad_batch(inputs, labels, batch_size, length)
                yield inputs, labels

    rows = batch_size if options.jit_compile else None
    integers, floats = tf.TensorSpec([rows, None], tf.int32), tf.TensorSpec([rows, None], tf.float32)
    history = {schema.HISTORY_ITEMS: integers, schema.HISTORY_EVENTS: integers, schema.HISTORY_GAPS: floats}
    inputs = dict(history)
    if augmentation is not None and augmentation.changes_inputs:
        inputs |= {name: integers for name in (schema.RECORDED_ITEMS, schema.RECORDED_EVENTS, schema.READ_POSITIONS)}
    if options.contrastive:
        inputs[schema.VIEW_USERS] = tf.TensorSpec([rows], tf.int32)
        for number in range(NUMBER_OF_VIEWS):
            inputs |= {view_name(number, name): spec for name, spec in history.items()}
    return tf.data.Dataset.from_generator(generate, output_signature=(inputs, integers)).prefetch(4)


def padded_length(length: int, longest: int) -> int:
    """The smallest of `PADDED_LENGTHS` evenly spaced lengths up to `longest` that is not below `length`.

    Example:
        >>> [padded_length(length, 50) for length in (1, 7, 8, 49, 50)]
        [7, 7, 14, 49, 50]
    """
    step = -(-longest // PADDED_LENGTHS)
    return min(-(-length // step) * step, longest)


def pad_batch(
    inputs: dict[str, np.ndarray], labels: np.ndarray, rows: int, length: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The batch, padded to `rows` rows and `length` positions.

    Added rows have no event, no label and user −1, so they do not count in any loss.

    Args:
        inputs: Arrays `[batch, length before]`, or `[batch]` (users).
        labels: int32 `[batch, length before]`.
        rows: int. Rows of the padded arrays.
        length: int. Positions of the padded arrays.
    """

    def padded(name: str, values: np.ndarray) -> np.ndarray:
        missing = [(0, rows - len(values)), *[(0, length - width) for width in values.shape[1:]]]
        fill = 0 if values.dtype.kind == "f" or name == schema.READ_POSITIONS else schema.PADDING
        return np.pad(values, missing, constant_values=fill)

    return {name: padded(name, values) for name, values in inputs.items()}, padded("labels", labels)


def _views(windows: Windows, rows: np.ndarray, views: Augmentation, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The inputs of `contrastive_term`: the user of each window, int32 `[batch]`, and its two views."""
    users = windows.people[rows]
    inputs: dict[str, np.ndarray] = {schema.VIEW_USERS: users.astype(np.int32)}
    for number in range(NUMBER_OF_VIEWS):
        view, _ = windows.batch(rows, None, views, rng)
        for name in (schema.HISTORY_ITEMS, schema.HISTORY_EVENTS, schema.HISTORY_GAPS):
            inputs[view_name(number, name)] = view[name]
    return inputs


def build_augmentation(config: RunConfig, model: NextItemModel, training: Histories) -> Augmentation | None:
    """The augmentation that `training.augmentation` describes; None if all of its changes are off.

    Args:
        config: Section `training`.
        model: Its neighbour memory or its text vectors give the substitutes of items.
        training: The training sequences.
    """
    options = config.training.augmentation
    if options.reorder and not training.clock:
        say("Events have no clock, so there are no sessions, and training.augmentation.reorder has no effect.")
    if not (options.crop or options.drop or options.mask or options.substitute or options.reorder):
        return None
    return Augmentation(options, substitute_items(model, training) if options.substitute else None)


def substitute_items(model: NextItemModel, training: Histories) -> np.ndarray:
    """The items that may replace each item: up to eight co-occurrence neighbours and up to eight text neighbours.

    Args:
        model: Its neighbour memory is used if it has one.
        training: The training sequences, in which co-occurrences are counted otherwise.

    Returns:
        int32 `[num_items, n]`, distinct within a row; −1 is padding.
    """
    memory, count = model.memory, min(NEIGHBOURS, model.num_items - 1)
    tables = [np.full((model.num_items, 1), -1, np.int32)]
    if memory is not None and memory.k:
        tables.append(memory.near.numpy()[:, :count])
    else:
        tables.append(history_neighbours(training, model.num_items, count, 10)[0])
    if memory is not None and memory.text_k:
        tables.append(memory.alike.numpy()[:, :count])
    elif model.text_dim:
        tables.append(text_neighbours(neighbour_vectors(model.items.text.numpy(), model.modalities), count)[0])
    neighbours = np.concatenate(tables, axis=1)
    neighbours.sort(axis=1)
    neighbours[:, 1:][neighbours[:, 1:] == neighbours[:, :-1]] = -1
    return neighbours
