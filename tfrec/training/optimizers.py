"""The optimizer of models without a trainable encoder."""

from __future__ import annotations

from tfrec.config import TrainingConfig
from tfrec.keras import keras
from tfrec.training.schedules import warm_cosine


def adamw(options: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """AdamW with linear warm-up and cosine decay over `steps`."""
    rate = warm_cosine(options.learning_rate, int(options.warmup * steps), steps)
    return keras.optimizers.AdamW(rate, weight_decay=options.weight_decay, clipnorm=5.0)
