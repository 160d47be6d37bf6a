"""PrivateTrainer: trains a model on clipped gradients with noise (DP-SGD)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrec.keras import keras
from tfrec.privacy.clipped_gradients import clipped_sum
from tfrec.privacy.noise_source import NoiseSource, with_noise
from tfrec.privacy.person_gradients import PersonGradients

LABELS = "labels"

Tensors = dict[str, tf.Tensor]


class GradientsByPerson(Protocol):
    """The gradients of the loss of each person of a chunk, on their own."""

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """The variables that are trained; what is public stays as it is."""

    def shared_values(self) -> Tensors:
        """What a step computes once for all people."""

    def of_chunk(self, shared: Tensors, chunk: Tensors) -> list[PersonGradients]:
        """The gradients of each person, for each of `variables`.

        Args:
            shared: The result of `shared_values`.
            chunk: Inputs of the model and `labels`, `[people, length, ...]` each.
        """


class PrivateTrainer(keras.Model):
    """Trains a model so that no step shows much about one person (DP-SGD, Abadi et al. 2016).

    A step sums the gradients of the people in its batch, each clipped to a norm, adds Gaussian noise, and divides by
    the size that a batch has on average: the size that it has would itself tell who was in it. No loss is reported; it
    would be computed from the events, without noise.

    Args:
        backbone: The model to train.
        people: The gradients of each person by its variables.
        clip: float. Norm to which the gradient of one person is clipped.
        multiplier: float. Standard deviation of the noise over `clip`.
        batch: int. People in a batch, on average.
        source: Draws the noise, by the number of the step.
        name: str. Name of the Keras model.

    `fit` takes batches of inputs and labels, of people drawn by a `PoissonSample`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        people: GradientsByPerson,
        clip: float,
        multiplier: float,
        batch: int,
        source: NoiseSource,
        name: str = "private_trainer",
    ) -> None:
        super().__init__(name=name)
        # === Layers ===
        self.backbone = backbone
        self.built = True

        # === Config ===
        self.clip, self.batch = clip, batch
        self._deviation, self._source = clip * multiplier, source
        self._people = people

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The variables that are trained; what is public stays as it is."""
        return list(self._people.variables)

    def call(self, inputs: Tensors, training: bool | None = None) -> tf.Tensor:
        return self.backbone(inputs, training=training)

    def clipped_sums(self, inputs: Tensors, labels: tf.Tensor) -> list[tf.Tensor]:
        """The sum over people of their clipped gradients, one tensor for each of `trainable_variables`.

        Args:
            inputs: Inputs of the backbone, `[people, length, ...]` each; the number of people is a multiple of 16.
            labels: int32 `[people, length]`, what followed each event or text; −1 at positions without a label.
        """
        shared = self._people.shared_values()
        return clipped_sum(
            lambda chunk: self._people.of_chunk(shared, chunk),
            {**inputs, LABELS: labels},
            [variable.shape for variable in self.trainable_variables],
            self.clip,
        )

    def train_step(self, data: tuple[Tensors, tf.Tensor]) -> Tensors:
        """One optimizer step on (inputs, labels), as `fit` calls it."""
        variables = self.trainable_variables
        sums = self.clipped_sums(*data)
        flat = tf.concat([tf.reshape(one, [-1]) for one in sums], axis=0)
        noisy = tf.numpy_function(self._noisy_mean, [flat, self.optimizer.iterations], tf.float32)
        parts = tf.split(tf.ensure_shape(noisy, flat.shape), [variable.shape.num_elements() for variable in variables])
        gradients = [tf.reshape(part, variable.shape) for part, variable in zip(parts, variables, strict=True)]
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {}

    def _noisy_mean(self, sums: np.ndarray, step: np.ndarray) -> np.ndarray:
        noise = self._source.gaussian("gradients", int(step), len(sums))
        return (with_noise(sums, noise, self._deviation) / self.batch).astype(np.float32)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Writes the backbone's weights."""
        self.backbone.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the backbone's weights."""
        return self.backbone.load_weights(*args, **kwargs)
