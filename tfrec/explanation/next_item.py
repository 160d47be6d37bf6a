"""Deletions for runs of the next-item family."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.explanation.deletions import DeletionScorer, RescoredDeletions
from tfrec.explanation.next_item_deletions import NextItemDeletions
from tfrec.explanation.variant_queries import can_share
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts


def deletions(run: TrainedRun) -> DeletionScorer:
    """Exact scores after deletions: with shared work where the model allows it, else history by history."""
    return deletions_of_model(run.model)


def deletions_of_model(model: Any) -> DeletionScorer:
    """As `deletions`, for a NextItemModel."""
    if can_share(model):
        return NextItemDeletions(model)
    vectors = tf.convert_to_tensor(model.history_vectors())
    matrix = tf.TensorSpec([None, None], tf.int32)
    spec = {
        schema.HISTORY_ITEMS: matrix,
        schema.HISTORY_EVENTS: matrix,
        schema.HISTORY_GAPS: tf.TensorSpec([None, None], tf.float32),
    }
    graph = tf.function(lambda inputs: catalogue_parts(model, inputs, vectors), input_signature=[spec])

    def score_parts(histories: Histories, rows: np.ndarray) -> dict[str, np.ndarray]:
        found = graph(history_batch(histories, rows, model.memory_history))
        return {name: part.numpy() for name, part in found.items()}

    return RescoredDeletions(score_parts, model.memory_history)
