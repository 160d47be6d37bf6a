"""NextItemModel and the encoder that reads its items, trained together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.keras import keras
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler
from tfrec.models.next_item.losses.sampled_loss import candidate_loss, step_candidates
from tfrec.models.next_item.model import NextItemModel


class EndToEndModel(keras.Model):
    """Trains a NextItemModel on text vectors that the encoder makes anew in every step.

    A step reads each distinct item of its batch once: those of the histories, the labels, and what the sampler draws.
    The gradients at their vectors then go back through the encoder, part by part (`MicrobatchedEncoder`), so that
    neither the batch nor the catalogue has to fit into memory at once.

    Args:
        recommender: Its table of text vectors is not used in training; `refresh` brings it up to date.
        passes: The encoder over the catalogue's texts.
        sampler: Draws the negatives.
        frozen: Step to how many of the encoder's lowest groups (the embeddings, then layer by layer) are not trained.
        words: Share of the tokens that half of the texts lack, others in each step; [CLS] and [SEP] always stay.

    `compile` takes the recommender's `optimizer`, and `encoder_optimizer`, whose `apply(gradients, variables, step)` is
    called with what is not frozen. `fit` takes batches of (inputs, labels) as NextItemModel's.
    """

    def __init__(
        self,
        recommender: NextItemModel,
        passes: MicrobatchedEncoder,
        sampler: CandidateSampler,
        frozen: Callable[[int], int] = lambda step: 0,
        words: float = 0.0,
    ) -> None:
        super().__init__(name="end_to_end")
        # === Layers ===
        self.recommender, self.text_encoder = recommender, passes.model
        self.built = True

        # === Config ===
        self.passes, self.sampler, self.frozen, self.words = passes, sampler, frozen, words
        self.loss_mean = keras.metrics.Mean(name="loss")
        self._head = tf.function(self._head_gradients, reduce_retracing=True)

    def compile(self, optimizer: keras.optimizers.Optimizer, encoder_optimizer: Any) -> None:
        """See the class."""
        super().compile(optimizer=optimizer, run_eagerly=True)  # what is read, and in what parts, differs by step
        optimizer.build(self.recommender.trainable_variables)
        self.encoder_optimizer = encoder_optimizer

    def train_step(self, data: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on (inputs, labels). A loss or a gradient that is not finite is reported, and changes no weight."""
        inputs, labels = data
        step = int(self.optimizer.iterations)
        candidates = step_candidates(self.sampler, inputs, labels, step)
        frozen = self.frozen(step)
        rows = candidates.items.numpy()
        if self.words:
            chances = np.random.default_rng([self.sampler.seed, step, 2])
            tokens = self.passes.tokens.shortened(rows, self.words, chances)
            texts = self.passes.forward(np.arange(len(rows)), frozen, tokens)
        else:
            texts = self.passes.forward(rows, frozen)
        loss, gradients, upstream = self._head(inputs, labels, *candidates, texts)
        variables = self.passes.variables(frozen)
        below = self.passes.backward(upstream, variables)
        if not np.isfinite(float(loss + tf.linalg.global_norm([*gradients, *below]))):
            return {"loss": tf.constant(float("nan"))}
        self.optimizer.apply_gradients(zip(gradients, self.recommender.trainable_variables, strict=True))
        self.encoder_optimizer.apply(below, variables, step)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running mean of the loss, which Keras resets at the start of an epoch."""
        return [self.loss_mean]

    def refresh(self, precision: str = "float32") -> None:
        """Reads the whole catalogue with the encoder as it is now, into the recommender's table."""
        self.recommender.items.text.assign(self.passes.encode_all(precision))

    def _head_gradients(
        self,
        inputs: dict[str, tf.Tensor],
        labels: tf.Tensor,
        items: tf.Tensor,
        log_weights: tf.Tensor,
        texts: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """The loss, its gradients for the recommender, and for the text vectors `[m, text_dim]`."""
        model, table = self.recommender, self.recommender.items
        with tf.GradientTape() as tape:
            tape.watch(texts)
            vectors = table.of_text(texts)
            if table.use_id:
                vectors += table.id_part(items, training=True)
            loss = candidate_loss(model, inputs, labels, Candidates(items, log_weights), vectors)
        *gradients, upstream = tape.gradient(
            loss, [*model.trainable_variables, texts], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return loss, gradients, upstream
