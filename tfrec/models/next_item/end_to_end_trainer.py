"""NextItemModel and the encoder that reads its items, trained together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.keras import keras
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler, step_candidates
from tfrec.models.next_item.losses.contrastive import contrastive_term
from tfrec.models.next_item.losses.next_item_loss import next_item_loss
from tfrec.models.next_item.model import NextItemModel


class EndToEndTrainer(keras.Model):
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
        contrastive: Weight of the loss that tells two views of a sequence from those of others.

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
        contrastive: float = 0.0,
    ) -> None:
        super().__init__(name="end_to_end")
        # === Layers ===
        self.recommender, self.text_encoder = recommender, passes.model
        self.built = True

        # === Config ===
        self.passes, self.sampler, self.frozen, self.words = passes, sampler, frozen, words
        self.contrastive = contrastive
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
        model, candidates = self.recommender, Candidates(items, log_weights)
        with tf.GradientTape() as tape:
            tape.watch(texts)
            vectors = model.items.vectors(items, texts, training=True)
            loss = next_item_loss(model, inputs, labels, vectors, candidates)
            if self.contrastive:
                loss += self.contrastive * contrastive_term(model, inputs, vectors, candidates)
        *gradients, upstream = tape.gradient(
            loss, [*model.trainable_variables, texts], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return loss, gradients, upstream
