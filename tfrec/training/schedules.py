"""Learning-rate schedules."""

from __future__ import annotations

from tfrec.keras import keras


def warm_cosine(rate: float, warmup: int, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rises linearly to `rate` over `warmup` steps, then falls along a cosine to 0 at `steps`.

    Example:
        >>> [round(float(warm_cosine(2.0, 10, 30)(step)), 3) for step in (0, 5, 10, 20, 30)]
        [0.0, 1.0, 2.0, 1.0, 0.0]
    """
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
