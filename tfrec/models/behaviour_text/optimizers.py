"""The optimisers of BehaviourTextModel: one for the MLP alone, one at two speeds for MLP and encoder together."""

from __future__ import annotations

import tensorflow_recommenders as tfrs

from tfrec.config import TrainingConfig
from tfrec.keras import keras
from tfrec.models.behaviour_text.model import BehaviourTextModel


def adamw(knobs: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """For the MLP alone: AdamW over `steps`, the rate warmed up and falling along a cosine."""
    rate = _schedule(knobs.learning_rate, knobs.warmup, steps)
    return keras.optimizers.AdamW(rate, weight_decay=knobs.weight_decay, clipnorm=5.0)


def two_speeds(model: BehaviourTextModel, knobs: TrainingConfig, steps: int) -> keras.optimizers.legacy.Optimizer:
    """The encoder at its own rate; the MLP, where it is fitted already, at most ten times faster."""
    slow = knobs.encoder_learning_rate
    fast = min(knobs.learning_rate, 10 * slow) if model.reads_apart else knobs.learning_rate
    rates = [_schedule(rate, knobs.warmup, steps) for rate in (fast, slow)]
    head, encoder = (keras.optimizers.legacy.Adam(rate, global_clipnorm=1.0) for rate in rates)
    # a frozen encoder has no variables for its optimiser to own
    parts = [(head, lambda: model.mlp.trainable_variables), (encoder, lambda: model.bert.trainable_variables)]
    return tfrs.experimental.optimizers.CompositeOptimizer(parts)


def _schedule(rate: float, warmup: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    first = int(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if first else rate,
        decay_steps=max(1, steps - first),
        warmup_target=rate if first else None,
        warmup_steps=first,
    )
