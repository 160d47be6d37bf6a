"""The exponential moving average of a model's weights, put in their place while it is validated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tfrec.keras import keras
from tfrec.training.temporary_weights import restored


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within it the model has its averaged weights, after it those that training goes on from.

    Does nothing when the optimizer keeps no average (`use_ema`). The average is kept by the optimizer, so that it is in
    its checkpoint.
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
