"""The optimisers of BehaviourTextModel: one for the MLP alone, one at two speeds for MLP and encoder together."""

from __future__ import annotations

import tensorflow_recommenders as tfrs

from tfrec.config import TrainingConfig
from tfrec.keras import keras
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.training.schedules import warm_cosine


def two_speeds(model: BehaviourTextModel, knobs: TrainingConfig, steps: int) -> keras.optimizers.legacy.Optimizer:
    """The encoder at its own rate; the MLP, where it is fitted already, at most ten times faster."""
    slow = knobs.encoder_learning_rate
    fast = min(knobs.learning_rate, 10 * slow) if model.reads_apart else knobs.learning_rate
    rates = [warm_cosine(rate, int(knobs.warmup * steps), steps) for rate in (fast, slow)]
    head, encoder = (keras.optimizers.legacy.Adam(rate, global_clipnorm=1.0) for rate in rates)
    # a frozen encoder has no variables for its optimiser to own
    parts = [(head, lambda: model.mlp.trainable_variables), (encoder, lambda: model.bert.trainable_variables)]
    return tfrs.experimental.optimizers.CompositeOptimizer(parts)
