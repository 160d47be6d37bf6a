"""Behaviour texts of queries, their encoded vectors, and the items named in them."""

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
    """The behaviour text of each row of `histories`, as `model` expects it."""
    stops = histories.offsets[1:]
    starts = np.maximum(histories.offsets[:-1], stops - model.max_history)
    return behaviour_texts(histories, starts, stops, dataset.texts, dataset.event_kinds, model.max_words)


def encode_texts(encoder: keras.Model, texts: Sequence[str], size: int, description: str) -> np.ndarray:
    """Encodes texts in batches of similar length; repeated texts are encoded once.

    Args:
        encoder: Maps string `[batch]` to float32 `[batch, dim]`.
        texts: Any strings.
        size: int. Texts per batch.
        description: Label of the progress bar.

    Returns:
        float32 `[len(texts), dim]`.
    """
    index_of: dict[str, int] = {}
    indices = [index_of.setdefault(text, len(index_of)) for text in texts]
    texts = list(index_of)
    vectors = np.zeros((len(texts), encoder.output_shape[-1]), np.float32)
    encode = tf.function(lambda text: encoder(text, training=False), input_signature=[tf.TensorSpec([None], tf.string)])
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in track(range(0, len(texts), size), description):
        batch = order[start : start + size]
        vectors[batch] = encode(tf.constant([texts[i] for i in batch], tf.string)).numpy()
    return vectors[indices]


def named_items(named: ItemsInText, texts: Sequence[str], size: int = 1024) -> np.ndarray:
    """int32 `[len(texts), events]`: names of the items in behaviour texts, oldest first, padded with −1."""
    parts = [named(tf.constant(texts[i : i + size], tf.string)).numpy() for i in range(0, len(texts), size)]
    width = max((part.shape[1] for part in parts), default=1)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts]
    return np.concatenate([np.empty((0, width), np.int32), *padded])
