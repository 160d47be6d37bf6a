"""EndToEndTrainer: trains a NextItemModel together with its text encoder."""

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
    """Trains a NextItemModel on text vectors that its encoder computes in every step, and the encoder with it.

    A step encodes the text of each distinct item of its batch once: items of the histories, labels and sampled
    negatives. The gradients of their vectors are backpropagated through the encoder in parts (`MicrobatchedEncoder`),
    so neither the batch nor the catalogue has to fit into memory at once.

    Args:
        recommender: The model to train. Its table of text vectors is not used in training; `refresh` updates it.
        microbatched_encoder: The encoder with the texts of the catalogue.
        sampler: Draws the negatives.
        frozen_groups: From the step to the number of the encoder's lowest groups (the embeddings, then layer by layer)
            that are not trained in it.
        token_dropout: float in [0, 1). Share of the tokens that half of the texts lack, drawn in every step; [CLS] and
            [SEP] are always kept. 0 encodes the whole texts.
        contrastive: float. Weight of the contrastive loss (`contrastive_term`); 0 leaves it out.
        memory_in_loss: bool. Whether the neighbour memory takes part in the loss.

    `compile` takes the `optimizer` of the recommender, and `encoder_optimizer`, whose `apply(gradients, variables,
    step)` is called with the variables that are not frozen. `fit` takes batches of (inputs, labels), like
    `NextItemTrainer`.
    """

    def __init__(
        self,
        recommender: NextItemModel,
        microbatched_encoder: MicrobatchedEncoder,
        sampler: CandidateSampler,
        frozen_groups: Callable[[int], int] = lambda step: 0,
        token_dropout: float = 0.0,
        contrastive: float = 0.0,
        memory_in_loss: bool = True,
    ) -> None:
        super().__init__(name="end_to_end")
        # === Layers ===
        self.recommender, self.text_encoder = recommender, microbatched_encoder.model
        self.built = True

        # === Config ===
        self.microbatched_encoder, self.sampler = microbatched_encoder, sampler
        self.frozen_groups, self.token_dropout, self.contrastive = frozen_groups, token_dropout, contrastive
        self.memory_in_loss = memory_in_loss
        self.loss_mean = keras.metrics.Mean(name="loss")
        self._head = tf.function(self._head_gradients, reduce_retracing=True)

    def compile(self, optimizer: keras.optimizers.Optimizer, encoder_optimizer: Any) -> None:
        """Sets the optimizers; see the class."""
        super().compile(
            optimizer=optimizer, run_eagerly=True
        )  # the texts, and the parts they are encoded in, differ by step
        optimizer.build(self.recommender.trainable_variables)
        self.encoder_optimizer = encoder_optimizer

    def train_step(self, data: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on (inputs, labels). If loss or gradients are not finite, it returns NaN and changes no weight."""
        inputs, labels = data
        encoder, step = self.microbatched_encoder, int(self.optimizer.iterations)
        candidates = step_candidates(self.sampler, inputs, labels, step)
        frozen = self.frozen_groups(step)
        rows = candidates.items.numpy()
        if self.token_dropout:
            chances = np.random.default_rng([self.sampler.seed, step, 2])
            tokens = encoder.tokens.shortened(rows, self.token_dropout, chances)
            texts = encoder.forward(np.arange(len(rows)), frozen, tokens)
        else:
            texts = encoder.forward(rows, frozen)
        loss, gradients, upstream = self._head(inputs, labels, *candidates, texts)
        variables = encoder.variables(frozen)
        encoder_gradients = encoder.backward(upstream, variables)
        if not np.isfinite(float(loss + tf.linalg.global_norm([*gradients, *encoder_gradients]))):
            return {"loss": tf.constant(float("nan"))}
        self.optimizer.apply_gradients(zip(gradients, self.recommender.trainable_variables, strict=True))
        self.encoder_optimizer.apply(encoder_gradients, variables, step)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running mean of the loss, which Keras resets at the start of an epoch."""
        return [self.loss_mean]

    def refresh(self, precision: str = "float32") -> None:
        """Encodes the whole catalogue with the current encoder, and updates the recommender's table of text vectors.

        Args:
            precision: str. "float32" or "bfloat16", of the encoder's arithmetic.
        """
        self.recommender.items.text.assign(self.microbatched_encoder.encode_all(precision))

    def _head_gradients(
        self,
        inputs: dict[str, tf.Tensor],
        labels: tf.Tensor,
        items: tf.Tensor,
        log_weights: tf.Tensor,
        texts: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """The loss, its gradients for the recommender's variables, and for the text vectors.

        Args:
            inputs: Inputs of the recommender.
            labels: int32 `[batch, length]`.
            items: int32 `[m]`, `Candidates.items`.
            log_weights: float32 `[m]`, `Candidates.log_weights`.
            texts: float32 `[m, text_dim]`, text vectors of `items`.
        """
        model, candidates = self.recommender, Candidates(items, log_weights)
        with tf.GradientTape() as tape:
            tape.watch(texts)
            vectors = model.items.vectors(items, texts, training=True)
            loss = next_item_loss(model, inputs, labels, vectors, candidates, memory_in_loss=self.memory_in_loss)
            if self.contrastive:
                loss += self.contrastive * contrastive_term(model, inputs, vectors, candidates)
        *gradients, upstream = tape.gradient(
            loss, [*model.trainable_variables, texts], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return loss, gradients, upstream
