"""Optimizers and their schedules."""

from __future__ import annotations

from tfrec.config import TrainingConfig
from tfrec.keras import keras
from tfrec.training.schedules import warm_cosine


def adamw(knobs: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """For the MLP alone: AdamW over `steps`, the rate warmed up and falling along a cosine."""
    rate = warm_cosine(knobs.learning_rate, int(knobs.warmup * steps), steps)
    return keras.optimizers.AdamW(rate, weight_decay=knobs.weight_decay, clipnorm=5.0)
