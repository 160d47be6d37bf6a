"""Behaviour texts of queries, and the encoder's vectors of many texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.data.dataset import Histories, PreparedDataset
from tfrec.keras import keras
from tfrec.models.behaviour_text import BehaviourTextModel, behaviour_texts
from tfrec.progress import track


def query_texts(model: BehaviourTextModel, histories: Histories, dataset: PreparedDataset) -> list[str]:
    """The behaviour text of each row of `histories`, as `model` reads it."""
    stops = histories.offsets[1:]
    starts = np.maximum(histories.offsets[:-1], stops - model.max_history)
    return behaviour_texts(histories, starts, stops, dataset.texts, dataset.event_kinds, model.max_words)


def read_texts(reader: keras.Model, texts: Sequence[str], size: int, description: str) -> np.ndarray:
    """float32 `[len(texts), dim]`: what `reader` makes of texts, `size` of like length together."""
    vectors = np.zeros((len(texts), reader.output_shape[-1]), np.float32)
    read = tf.function(lambda text: reader(text, training=False), input_signature=[tf.TensorSpec([None], tf.string)])
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in track(range(0, len(texts), size), description):
        part = order[start : start + size]
        vectors[part] = read(tf.constant([texts[i] for i in part], tf.string)).numpy()
    return vectors
