"""Trains a NextItemModel for given seconds of the processor, for comparing variants whose steps differ in cost."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

MANY_EPOCHS = 1_000_000


def fit_by_time(data: Any, features: np.ndarray | None, config: Any, seconds: float) -> tuple[Any, dict[str, Any]]:
    """The model after `seconds` of the processor, the newest weights, and the steps and epochs that this was.

    As `fit_next_item` without validation, but the learning rate rises and falls with the time, not with the steps. So
    each variant ends with its rate at 0 when its time is up, however many steps it could do.

    Args:
        data: The prepared dataset.
        features: float32 `[num_items, text_dim]`; None for a model of ids alone.
        config: Sections `model` and `training`; `epochs` and `patience` are unused.
        seconds: float. All threads of this process count.
    """
    import tensorflow as tf

    from tfrec.models.next_item.build import build_next_item_model
    from tfrec.models.next_item.fit import negative_sampler
    from tfrec.models.next_item.input_pipeline import batches
    from tfrec.models.next_item.trainer import NextItemTrainer
    from tfrec.models.next_item.windows import Windows
    from tfrec.training.lazy_adam import LazyAdam

    options = config.training
    tf.keras.utils.set_random_seed(options.seed)
    windows = Windows.cut(data.training(), config.model.max_history)
    size = options.batch_size_for(len(windows))
    model = build_next_item_model(data, features, config)
    sampler = negative_sampler(windows, data, options)
    trainer = NextItemTrainer(model, sampler, options.loss, memory_in_loss=options.memory_in_loss)
    trainer.compile(LazyAdam(options.learning_rate, beta_2=0.98, clipnorm=5.0))
    trainer.optimizer.build(trainer.trainable_variables)
    examples = batches(windows, config, size, 0, MANY_EPOCHS)
    step = tf.function(lambda *batch: trainer.train_step(batch), input_signature=examples.element_spec)
    step.get_concrete_function()  # tracing is no part of the time
    started, steps = time.process_time(), 0
    for batch in examples:
        spent = (time.process_time() - started) / seconds
        if spent >= 1:
            break
        rise = min(spent / options.warmup, 1.0) if options.warmup else 1.0
        trainer.optimizer.learning_rate = options.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * spent))
        step(*batch)
        steps += 1
    return model, {"steps": steps, "epochs": round(steps / windows.steps(size), 2)}
