"""SavedModelLayer: a loaded SavedModel, or one of its functions, as a Keras layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.keras import keras


class SavedModelLayer(keras.layers.Layer):
    """What `hub.KerasLayer` does with a TF2 SavedModel, without tensorflow_hub.

    Weights have the order that `hub.KerasLayer` gives them, so files of weights fit both. As there, the SavedModel is
    called with `training=True` only while the layer is trainable and the model around it is in training.

    Args:
        function: What `tf.saved_model.load` returned, or one of its functions; it must be callable. Its variables are
            the weights of the layer.
        trainable: Whether those weights that the SavedModel lets be trained are trained.
        arguments: Arguments of `function` beside the inputs, the same in every call.
        **kwargs: Arguments of any Keras layer, such as name.

    Call arguments:
        inputs: Whatever `function` takes first.

    Returns:
        What `function` returns.

    Raises:
        TypeError: `function` cannot be called, such as a SavedModel that has signatures only.

    Example:
        >>> double = SavedModelLayer(tf.function(lambda numbers, by: numbers * by), arguments={"by": 2})
        >>> double(tf.constant([1, 2])).numpy().tolist()
        [2, 4]
    """

    def __init__(
        self,
        function: Any,
        trainable: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(function):
            raise TypeError("Expected a SavedModel that can be called; this one has signatures only.")
        super().__init__(trainable=trainable, **kwargs)
        self._func = function  # the name that it has in checkpoints of hub.KerasLayer
        self._arguments = dict(arguments or {})
        self._takes_training = "training" in inspect.signature(function.__call__).parameters
        trained = list(getattr(function, "trainable_variables", ()))
        known = {id(variable) for variable in trained}
        others = [variable for variable in getattr(function, "variables", ()) if id(variable) not in known]
        for variables, is_trained in ((trained, True), (others, False)):
            for variable in variables:
                self._adopt(variable, is_trained)
        for loss in getattr(function, "regularization_losses", ()):
            self.add_loss(self._while_trainable(loss))

    @property
    def resolved_object(self) -> Any:
        """The SavedModel, or its function."""
        return self._func

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not self._takes_training:
            return self._func(inputs, **self._arguments)
        if not self.trainable:
            training = False
        elif training is None:
            training = keras.backend.learning_phase()
        if tf.is_tensor(training):
            return tf.cond(
                tf.cast(training, tf.bool), lambda: self._run(inputs, True), lambda: self._run(inputs, False)
            )
        return self._run(inputs, bool(training))

    def get_config(self) -> dict[str, Any]:
        """Raises NotImplementedError, which Keras understands: a loaded SavedModel cannot be written as JSON."""
        raise NotImplementedError("A SavedModelLayer has no config. Load the SavedModel, and make the layer anew.")

    def _run(self, inputs: Any, training: bool) -> Any:
        return self._func(inputs, training=training, **self._arguments)

    def _while_trainable(self, loss: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor]:
        """A loss without arguments: with a default argument, Keras could not save the model."""
        return lambda: loss() if self.trainable else 0.0

    def _adopt(self, variable: tf.Variable, trainable: bool) -> None:
        """Makes a variable that exists a weight of the layer."""
        options = {"shape": variable.shape, "dtype": variable.dtype, "experimental_autocast": False}
        self.add_weight(variable.name, trainable=trainable, getter=lambda *_, **__: variable, **options)
