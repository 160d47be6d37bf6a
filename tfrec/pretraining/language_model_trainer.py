"""LanguageTrainer: the training loop of a language model, with held-out metrics and exact resumption."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.config import PretrainingConfig
from tfrec.encoders.tokenization.whole_word_masking import WholeWordMasking
from tfrec.encoders.transformers.language_model import LanguageModel
from tfrec.errors import TfrecError
from tfrec.keras import keras
from tfrec.progress import track
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS
from tfrec.training.callbacks import finite
from tfrec.training.checkpoint_folder import CheckpointFolder

_MEASURING = 1 << 30  # replaces the step in the seeds of held-out masks


class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly to `peak` in `warmup` steps and then falls linearly to 0 at `steps`.

    Args:
        peak: float. Highest learning rate.
        warmup: int. Number of rising steps.
        steps: int. Number of all steps.


    Example:
        >>> rate = LinearWarmup(1.0, warmup=2, steps=4)
        >>> [float(rate(step)) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """

    def __init__(self, peak: float, warmup: int, steps: int) -> None:
        super().__init__()
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, float32 scalar."""
        step = tf.cast(step, tf.float32)
        rising = (step + 1.0) / max(self.warmup, 1)
        falling = (self.steps - step) / max(self.steps - self.warmup, 1)
        return self.peak * tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for `from_config`."""
        return {"peak": self.peak, "warmup": self.warmup, "steps": self.steps}


class LanguageTrainer:
    """Trains a LanguageModel on raw texts.

    Every random choice depends only on the seed and the step, so a training run that is killed and resumed ends with
    the same weights as an uninterrupted one.

    Args:
        model: The model to train.
        preprocessor: Preprocessor that turns strings into the model's tokens.
        masking: Masking of words; None to predict the next token.
        options: The section `pretraining` of the configuration.
        folder: Folder of the checkpoints.
        head_steps: int. Steps before the regular ones in which only the new head is trained, as its first gradients
            would damage the encoder (Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
    """

    def __init__(
        self,
        model: LanguageModel,
        preprocessor: Any,
        masking: WholeWordMasking | None,
        options: PretrainingConfig,
        folder: Path,
        head_steps: int = 0,
    ) -> None:
        self.model, self._preprocessor, self._masking = model, preprocessor, masking
        self._options, self._head_steps = options, head_steps
        self.rows: list[dict[str, float]] = []
        self.done = 0
        rate = LinearWarmup(options.learning_rate, int(options.warmup * options.steps), options.steps)
        self._optimizer = keras.optimizers.AdamW(rate, weight_decay=options.weight_decay, global_clipnorm=1.0)
        self._optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        self._sums(tf.constant(["a text"]), tf.constant([0, 0]), training=False)  # creates the variables
        pooler = {id(variable) for variable in model.encoder.get_layer("pooling").trainable_variables}
        self._variables = [each for each in model.trainable_variables if id(each) not in pooler]
        self._optimizer.build(self._variables)
        inside = {id(variable) for variable in model.encoder.trainable_variables}
        self._head = [each for each in self._variables if id(each) not in inside]
        self._head_optimizer = keras.optimizers.Adam(options.learning_rate, global_clipnorm=1.0)
        self._head_optimizer.build(self._head)
        self._checkpoint = CheckpointFolder(folder, model=model, optimizer=self._optimizer, head=self._head_optimizer)

    def fit_head(self, texts: Iterator[str]) -> None:
        """Trains only the head, for the steps that are left of `head_steps`. Arguments and errors as in `fit`."""
        self._fit(texts, self._head_steps)

    def fit(self, texts: Iterator[str]) -> None:
        """Trains for the remaining steps.

        Args:
            texts: An endless iterator from its beginning; texts used before the checkpoint are skipped.

        Raises:
            TfrecError: The loss, a gradient or a weight is no longer finite. The last checkpoint is kept.
        """
        self._fit(texts, self._head_steps + self._options.steps)

    def _fit(self, texts: Iterator[str], steps: int) -> None:
        options = self._options
        per_step = options.batch_size * options.accumulate
        next(islice(texts, self.done * per_step, self.done * per_step), None)
        losses: list[float] = []
        for step in track(range(self.done, steps), "Pre-training", steps - self.done):
            losses.append(self._step(step, list(islice(texts, per_step))))
            if (step + 1) % options.checkpoint_every == 0 or step + 1 in (self._head_steps, steps):
                self._save(step + 1, {"step": step + 1, "loss": float(np.mean(losses))})
                losses = []

    def measure(self, texts: Iterable[str]) -> dict[str, float]:
        """Perplexity and accuracy on held-out texts, of the masked pieces or of the next tokens.

        The same words are masked each time.

        Args:
            texts: Held-out texts.

        Returns:
            perplexity, accuracy, and tokens (number of predictions); empty if there is nothing to predict.
        """
        total = np.zeros(3)
        remaining, batch = iter(texts), 0
        while block := list(islice(remaining, self._options.batch_size)):
            seed = tf.constant([self._options.seed, _MEASURING + batch])
            total += np.array([float(value) for value in self._losses(tf.constant(block), seed)])
            batch += 1
        loss, correct, count = total
        if not count:
            return {}
        return {
            "perplexity": math.exp(min(loss / count, 700)),
            "accuracy": float(correct / count),
            "tokens": int(count),
        }

    def restore(self) -> None:
        """Restores the last complete checkpoint, if there is one."""
        if state := self._checkpoint.read():
            self.done, self.rows = state["step"], state["rows"]

    def _save(self, step: int, row: dict[str, float]) -> None:
        if not finite(self.model):
            raise self._diverged("A weight is no longer finite", step)
        self.rows.append(row)
        self._checkpoint.write(f"step-{step}", {"step": step, "rows": self.rows})
        self.done = step

    def _diverged(self, what: str, step: int) -> TfrecError:
        kept = f"the checkpoint of step {self.rows[-1]['step']} is kept" if self.rows else "there is no checkpoint yet"
        return TfrecError(f"{what} at step {step}; {kept}. Lower pretraining.learning_rate and start again.")

    def _step(self, step: int, texts: list[str]) -> float:
        size, total, count, sums = self._options.batch_size, 0.0, 0.0, None
        head = step < self._head_steps
        for part in range(self._options.accumulate):
            block = tf.constant(texts[part * size : (part + 1) * size])
            seed = tf.constant([self._options.seed, step * self._options.accumulate + part])
            gradients, loss, tokens = self._gradients(block, seed, head)
            total, count = total + float(loss), count + float(tokens)
            sums = gradients if sums is None else [one + more for one, more in zip(sums, gradients)]
        if not math.isfinite(total):
            raise self._diverged(f"The loss became {total}", step + 1)
        if sums is not None and not math.isfinite(float(tf.linalg.global_norm(sums))):
            raise self._diverged("A gradient is no longer finite", step + 1)
        if sums is not None and count:
            optimizer = self._head_optimizer if head else self._optimizer
            optimizer.apply_gradients(zip([each / count for each in sums], self._head if head else self._variables))
        return total / max(count, 1.0)

    @tf.function(reduce_retracing=True)
    def _gradients(self, texts: tf.Tensor, seed: tf.Tensor, head: bool) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        variables = self._head if head else self._variables
        with tf.GradientTape() as tape:
            loss, _, count = self._sums(texts, seed, training=True)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(each) for each in gradients], loss, count

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([2], tf.int32)])
    def _losses(self, texts: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return self._sums(texts, seed, training=False)

    def _sums(self, texts: tf.Tensor, seed: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Sums over the predicted tokens: the loss, the number of correct predictions, and the number of tokens."""
        length = tf.constant(self._options.seq_length)
        packed = self._preprocessor.bert_pack_inputs([self._preprocessor.tokenize(texts)], seq_length=length)
        lengths = tf.reduce_sum(packed[INPUT_MASK], 1)
        tokens = tf.RaggedTensor.from_tensor(packed[INPUT_WORD_IDS], lengths)
        if self._masking is not None:
            visible, positions, labels = self._masking(tokens, seed)
        else:
            visible, labels = tokens, tokens[:, 1:]
            positions = tf.ragged.range(labels.row_lengths())
        longest = tf.reduce_max(lengths)
        inputs = {
            INPUT_WORD_IDS: visible.to_tensor(shape=[None, None]),
            INPUT_MASK: packed[INPUT_MASK][:, :longest],
            INPUT_TYPE_IDS: packed[INPUT_TYPE_IDS][:, :longest],
        }
        rows = tf.cast(positions.value_rowids(), tf.int32)
        places = tf.stack([rows, tf.cast(positions.flat_values, tf.int32)], 1)
        logits = tf.cast(self.model(inputs, places, training=training), tf.float32)
        true_ids = labels.flat_values
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(true_ids, logits))
        correct = tf.argmax(logits, 1, tf.int32) == true_ids
        return loss, tf.reduce_sum(tf.cast(correct, tf.float32)), tf.cast(tf.size(true_ids), tf.float32)
