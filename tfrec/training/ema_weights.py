"""Uses the exponential moving average of a model's weights while the model is validated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tfrec.keras import keras
from tfrec.training.temporary_weights import restored


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within this context the model has its averaged weights; on exit, training weights are restored.

    Does nothing if the optimizer keeps no average (`use_ema`). The optimizer stores the average, so checkpoints of the
    optimizer include it.

    Args:
        model: A compiled model.
    """
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False) or not optimizer.iterations.numpy():
        yield
        return
    variables = model.trainable_variables
    with restored(variables):
        for variable, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
            variable.assign(average)
        yield
