"""ShardedTrainer: trains a NextItemModel whose id vectors are held by other processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler, step_candidates
from tfrec.models.next_item.losses.domain_sampler import DomainSampler
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.training.sharded_rows import ShardedRows


class ShardedTrainer(NextItemTrainer):
    """A `NextItemTrainer` with negatives whose steps get the id vectors of their candidates, and send gradients back.

    What is in a step is what is in one of `NextItemTrainer`; only the optimizer of the id vectors is another.

    Args:
        backbone: Its item table is hosted, with id vectors in `ShardedRows`.
        *arguments, **options: As for `NextItemTrainer`, with a sampler.
    """

    def __init__(self, backbone: NextItemModel, *arguments: Any, **options: Any) -> None:
        super().__init__(backbone, *arguments, **options)
        self.rows: ShardedRows = backbone.items.id_source

    def train_step(self, data: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """As for `NextItemTrainer`."""
        inputs, labels = data
        assert self.sampler is not None  # `refuse_unsharded`
        candidates = step_candidates(self.sampler, inputs, labels, self.step)
        ids = self.backbone.items.id_rows(candidates.items)
        with tf.GradientTape() as tape:
            tape.watch(ids)
            vectors = self.item_vectors(candidates.items, True, ids)
            loss = self.loss_of(inputs, labels, vectors, candidates, training=True)
        none = tf.UnconnectedGradients.NONE if self.memory_in_loss else tf.UnconnectedGradients.ZERO
        of_ids, *gradients = tape.gradient(loss, [ids, *self.trainable_variables], unconnected_gradients=none)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        of_ids = tf.clip_by_norm(of_ids, self.optimizer.clipnorm)
        tf.numpy_function(self._update, [candidates.items, of_ids, self.optimizer.learning_rate], [])
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    def _update(self, rows: np.ndarray, gradients: np.ndarray, rate: np.ndarray) -> None:
        self.rows.update(rows, gradients, float(rate))


def refuse_unsharded(config: RunConfig, sampler: CandidateSampler | DomainSampler | None) -> None:
    """Raises `InvalidInput` for options of which `cluster.table_shards` would make something else, or nothing."""
    options = config.training
    cures = {
        "training.negatives=mixed": sampler is None,
        "model.use_id=true": not config.model.use_id and config.model.use_text,
        "training.strategy=none": options.strategy != "none",
        "training.jit_compile=false": options.jit_compile,
        "training.ema=0": options.ema > 0,
        "training.weight_decay=0": options.weight_decay > 0,
    }
    needed = [cure for cure, wrong in cures.items() if wrong]
    if config.cluster.table_shards and needed:
        raise InvalidInput(f"cluster.table_shards needs {' and '.join(needed)}. Set that, or leave it out.")
