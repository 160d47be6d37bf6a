"""NextItemTrainer: trains a NextItemModel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.keras import keras
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler, step_candidates
from tfrec.models.next_item.losses.contrastive import contrastive_term
from tfrec.models.next_item.losses.domain_sampler import DomainSampler
from tfrec.models.next_item.losses.next_item_loss import next_item_loss
from tfrec.models.next_item.losses.teachers import Teachers
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.shared.text_dropout import TextVersions
from tfrec.training.distribution import share_of_batch
from tfrec.training.sharded_rows import ShardedRows


class NextItemTrainer(keras.Model):
    """Trains a NextItemModel to predict, after each event of a history, the item of the next.

    Its weights are those of `backbone`, in the same order, and its `save_weights` writes a file for
    `backbone.load_weights`.

    Args:
        backbone: The model to train.
        sampler: Draws the candidates that a step scores; None scores the whole catalogue.
        kind: str. The loss: "softmax", or with a sampler also "gbce" or "bpr".
        contrastive: float. Weight of the contrastive loss (`contrastive_term`); 0 leaves it out.
        versions: Vectors of shortened texts, which alternate with those of the full texts; None for none.
        memory_in_loss: bool. Whether the neighbour memory takes part in the loss. If not, its weights stay as they are.
        teachers: Trained models that it also learns from, without a sampler; None for none.
        name: str. Name of the Keras model.

    `compile` takes the optimizer; with `jit_compile=True`, XLA compiles the training step. `fit` takes batches of
    (inputs, labels): the inputs of `backbone`, and int32 `[batch, length]`, the item that followed each event, −1 at
    positions without a label.

    Attributes:
        rows: The id vectors, where other processes hold them (`ShardedTrainer`); None for weights of the backbone.

    Example:
        >>> model = NextItemModel(num_items=5, num_event_kinds=1, dim=8, heads=2, layers=1)
        >>> trainer = NextItemTrainer(model)
        >>> trainer.compile(keras.optimizers.Adam(0.01))
        >>> inputs = {"history_items": tf.constant([[3, 1, -1]]), "history_events": tf.constant([[0, 0, -1]]),
        ...           "history_gaps": tf.zeros([1, 3])}
        >>> history = trainer.fit(inputs, tf.constant([[1, 4, -1]]), epochs=20, verbose=0)
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
    """

    rows: ShardedRows | None = None

    def __init__(
        self,
        backbone: NextItemModel,
        sampler: CandidateSampler | DomainSampler | None = None,
        kind: str = "softmax",
        contrastive: float = 0.0,
        versions: TextVersions | None = None,
        memory_in_loss: bool = True,
        teachers: Teachers | None = None,
        name: str = "next_item_trainer",
    ) -> None:
        super().__init__(name=name)
        if sampler is not None and teachers is not None:
            raise ValueError("Expected no sampler beside teachers, whose probabilities are of the whole catalogue.")
        if sampler is None and kind != "softmax":
            raise ValueError(f"Expected a sampler for the loss {kind!r}; received None.")
        # === Layers ===
        self.backbone = backbone
        self.built = True

        # === Config ===
        self.sampler, self.kind, self.contrastive, self.versions = sampler, kind, contrastive, versions
        self.memory_in_loss, self.teachers = memory_in_loss, teachers
        self.loss_mean = keras.metrics.Mean(name="loss")

    def call(self, inputs: dict[str, tf.Tensor], training: bool | None = None) -> tf.Tensor:
        return self.backbone(inputs, training=training)

    def batch_loss(self, inputs: dict[str, tf.Tensor], labels: tf.Tensor, training: bool = True) -> tf.Tensor:
        """The mean loss of a batch. Outside training it is the next-item loss over the whole catalogue alone.

        Args:
            inputs: Inputs of the backbone, and for the contrastive loss the two views (`contrastive_term`).
            labels: int32 `[batch, length]`, the item that followed each event; −1 at positions without a label.
            training: bool. Whether dropout, sampling of candidates and the contrastive loss are on.

        Returns:
            float32 scalar; 0 if no position has a label.
        """
        candidates = None
        if training and self.sampler is not None:
            candidates = step_candidates(self.sampler, inputs, labels, self.step, self.static_shapes)
        # projected once, for the histories and for the scores
        vectors = self.item_vectors(None if candidates is None else tf.maximum(candidates.items, 0), training)
        return self.loss_of(inputs, labels, vectors, candidates, training)

    def loss_of(
        self,
        inputs: dict[str, tf.Tensor],
        labels: tf.Tensor,
        vectors: tf.Tensor,
        candidates: Candidates | None,
        training: bool,
    ) -> tf.Tensor:
        """The mean loss of a batch with given candidates and vectors, float32 scalar; `batch_loss` draws both.

        Args:
            inputs, labels, training: As for `batch_loss`.
            vectors: float32 `[m, dim]`, the `item_vectors` of the candidates; of all items without candidates.
            candidates: What is scored; None for the whole catalogue.
        """
        loss = next_item_loss(
            self.backbone,
            inputs,
            labels,
            vectors,
            candidates,
            kind=self.kind,
            training=training,
            static_shapes=self.static_shapes,
            memory_in_loss=self.memory_in_loss,
            teachers=self.teachers if training else None,
        )
        if self.contrastive and training:
            loss += self.contrastive * contrastive_term(self.backbone, inputs, vectors, candidates, training)
        return loss

    def train_step(self, data: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step on (inputs, labels), as `fit` calls it: the mean loss of the epoch so far."""
        inputs, labels = data
        with tf.GradientTape() as tape:
            loss = self.batch_loss(inputs, labels, training=True)
            share = share_of_batch(labels)
            shared = loss * share  # replicas sum their gradients
        none = tf.UnconnectedGradients.NONE if self.memory_in_loss else tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(shared, self.trainable_variables, unconnected_gradients=none)
        if self.static_shapes:  # the number of rows of a sparse gradient depends on the batch
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.loss_mean.update_state(loss * share * replicas)  # whose means it averages
        return {"loss": self.loss_mean.result()}

    def test_step(self, data: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """The loss on (inputs, labels) without dropout, as `evaluate` calls it: the mean so far."""
        inputs, labels = data
        self.loss_mean.update_state(self.batch_loss(inputs, labels, training=False))
        return {"loss": self.loss_mean.result()}

    def predict_step(self, data: Any) -> tf.Tensor:
        """Scores of the whole catalogue, like `backbone.predict`."""
        return self.backbone.predict_step(data)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Writes the backbone's weights."""
        self.backbone.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the backbone's weights."""
        return self.backbone.load_weights(*args, **kwargs)

    @property
    def hosted_bytes(self) -> int:
        """That of the backbone."""
        return self.backbone.hosted_bytes

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running mean of the loss, which Keras resets at the start of an epoch."""
        return [self.loss_mean]

    @property
    def static_shapes(self) -> bool:
        """Whether the shapes of a step must not depend on the values of its batch, because XLA compiles it."""
        return bool(self.jit_compile)

    @property
    def step(self) -> tf.Tensor | int:
        """Training steps that the optimiser has done; 0 without one."""
        return getattr(getattr(self, "optimizer", None), "iterations", 0)

    def item_vectors(self, rows: tf.Tensor | None, training: bool, ids: tf.Tensor | None = None) -> tf.Tensor:
        """The item vectors of a step, float32 `[m, dim]`.

        Args:
            rows: int32 `[m]`, the items; None for all.
            training: bool. Whether dropout is on.
            ids: As for `ItemTable.vectors`.
        """
        table = self.backbone.items
        if self.versions is None or not training:
            return table.vectors(rows, training=training, ids=ids)
        return table.vectors(rows, self.versions.draw(table.text_rows(rows), rows, self.step), training, ids)
