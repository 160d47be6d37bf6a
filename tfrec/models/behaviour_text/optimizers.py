"""The optimizer that trains the MLP and the encoder of a BehaviourTextModel jointly, each at its own learning rate."""

from __future__ import annotations

import tensorflow_recommenders as tfrs

from tfrec.config import TrainingConfig
from tfrec.keras import keras
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.training.schedules import warm_cosine


def joint_optimizer(
    model: BehaviourTextModel, options: TrainingConfig, steps: int
) -> keras.optimizers.legacy.Optimizer:
    """Adam with separate learning rates for the MLP and the encoder, both with warm-up and cosine decay.

    The MLP's rate is at most ten times the encoder's if stage one has already fitted the MLP.

    Args:
        model: The model to train.
        options: Both learning rates and the share of warm-up steps.
        steps: int. Length of the schedule.
    """
    encoder_rate, mlp_rate = options.encoder_learning_rate, options.learning_rate
    if model.encodes_separately:
        mlp_rate = min(mlp_rate, 10 * encoder_rate)
    rates = [warm_cosine(rate, int(options.warmup * steps), steps) for rate in (mlp_rate, encoder_rate)]
    head, encoder = (keras.optimizers.legacy.Adam(rate, global_clipnorm=1.0) for rate in rates)
    # The variables come from functions, because a frozen encoder has none.
    parts = [(head, lambda: model.mlp.trainable_variables), (encoder, lambda: model.bert.trainable_variables)]
    return tfrs.experimental.optimizers.CompositeOptimizer(parts)
