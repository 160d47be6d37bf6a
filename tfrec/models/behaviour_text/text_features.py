"""Behaviour texts of queries, and what a model reads in many texts: the encoder's vectors, and the items named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.keras import keras
from tfrec.models.behaviour_text.item_mentions import ItemsInText
from tfrec.models.behaviour_text.model import BehaviourTextModel, behaviour_texts
from tfrec.progress import track


def query_texts(model: BehaviourTextModel, histories: Histories, dataset: PreparedDataset) -> list[str]:
    """The behaviour text of each row of `histories`, as `model` reads it."""
    stops = histories.offsets[1:]
    starts = np.maximum(histories.offsets[:-1], stops - model.max_history)
    return behaviour_texts(histories, starts, stops, dataset.texts, dataset.event_kinds, model.max_words)


def read_texts(reader: keras.Model, texts: Sequence[str], size: int, description: str) -> np.ndarray:
    """float32 `[len(texts), dim]`: what `reader` makes of texts; equal ones are read once, like lengths together.

    Args:
        reader: string `[batch]` to float32 `[batch, dim]`.
        texts: Any strings.
        size: int. Texts read at a time.
        description: Of the progress bar.
    """
    number: dict[str, int] = {}
    places = [number.setdefault(text, len(number)) for text in texts]
    texts = list(number)
    vectors = np.zeros((len(texts), reader.output_shape[-1]), np.float32)
    read = tf.function(lambda text: reader(text, training=False), input_signature=[tf.TensorSpec([None], tf.string)])
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in track(range(0, len(texts), size), description):
        part = order[start : start + size]
        vectors[part] = read(tf.constant([texts[i] for i in part], tf.string)).numpy()
    return vectors[places]


def read_names(named: ItemsInText, texts: Sequence[str], size: int = 1024) -> np.ndarray:
    """int32 `[len(texts), events]`: the names of the items in behaviour texts, oldest first; −1 is nothing."""
    parts = [named(tf.constant(texts[i : i + size], tf.string)).numpy() for i in range(0, len(texts), size)]
    width = max((part.shape[1] for part in parts), default=1)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts]
    return np.concatenate([np.empty((0, width), np.int32), *padded])
