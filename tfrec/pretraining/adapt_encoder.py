"""`adapt_encoder`: contrastive adaptation of an encoder to the texts that users choose one after the other."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrec.config import AdaptationConfig, ConfigSource, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Histories
from tfrec.data.pair_set import PairSet
from tfrec.encoders import load_encoder
from tfrec.encoders.checkpoints.save_fine_tuned import save_tuned, trainable_model
from tfrec.encoders.folder_layout import ENCODER_OUTPUT
from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import check_output_folder
from tfrec.keras import keras
from tfrec.progress import say, track
from tfrec.training.callbacks import finite
from tfrec.training.layerwise_adamw import LayerwiseOptimizer
from tfrec.training.schedules import warm_cosine
from tfrec.version import __version__

CARD_FILE = "adaptation.json"


def adapt_encoder(
    data: PreparedDataset | str | Path,
    out: str | Path,
    config: ConfigSource = None,
    *,
    source: str = "minilm-l6",
    force: bool = False,
) -> Path:
    """Trains an encoder so that texts of items chosen one after the other by the same users get similar vectors.

    A pair consists of two items of one training history, at most `adaptation.window` events apart and, if
    `adaptation.sitting` is set and events have a clock, at most that many minutes. In a batch of pairs, each first text
    has to find its second text among those of all pairs (in-batch softmax over cosines, as in SimCSE,
    https://arxiv.org/abs/2104.08821, and CLIP). Texts that are a pair with it elsewhere in the data are not used as
    negatives. Popularity is not corrected for, so the encoder learns how much likelier two texts occur together than
    by chance.

    Args:
        data: Prepared data, or its folder; its item texts and training histories are used.
        out: Encoder folder to write. Its card, `adaptation.json`, records the data, source, steps, losses and versions,
            and the loss and accuracy on pairs of held-out users before and after.
        config: A RunConfig, a mapping of options or a YAML file; only its section `adaptation` is used. None for the
            defaults.
        source: The encoder to adapt: a preset, or a folder that `tfrec encoder` wrote.
        force: Whether to replace an existing `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists; there is no pair of items with different texts; or the layers of the encoder are not
            known.
        TfrecError: The loss or a weight is no longer finite. Nothing is written.
    """
    out, options = Path(out), as_run_config(config).adaptation
    check_output_folder(out, ENCODER_OUTPUT, force)
    dataset = load_dataset(data)
    text_encoder = load_encoder(source)
    keras.utils.set_random_seed(options.seed)
    model, shape = trainable_model(text_encoder, "mixed_bfloat16" if options.mixed_bfloat16 else "float32")
    tokens = TokenTable(text_encoder, dataset.texts, options.seq_length)
    encoder = MicrobatchedEncoder(model, shape, tokens, memory=int(options.memory * 2**30))
    pairs = Pairs(dataset.training(), dataset.texts, options.window, options.held_out, options.sitting)
    before = held_out_metrics(encoder, pairs, options)
    losses = _train(encoder, pairs, options)
    if not finite(model):
        raise TfrecError("A weight is no longer finite; nothing was written. Lower adaptation.learning_rate.")
    after = held_out_metrics(encoder, pairs, options)
    say(f"Held out: {before} before, {after} after")
    card = {
        "source": Path(source).name,
        "data": dataset.manifest["fingerprint"],
        "pairs": len(pairs.learnt),
        "steps": options.steps,
        "losses": losses,
        "before": before,
        "after": after,
        "adaptation": options.model_dump(),
        "versions": {"tfrec": __version__, **{name: version(name) for name in ("tensorflow", "tf_keras")}},
    }
    plain, _ = trainable_model(text_encoder)
    plain.set_weights(model.get_weights())
    about = f"{Path(source).name}, adapted"
    save_tuned(out, text_encoder, plain, source=about, extra={CARD_FILE: card}, force=force)
    return out


class Pairs:
    """Pairs of items that the same user chose close to one another.

    Args:
        histories: The training histories.
        texts: Texts of the catalogue. Items without text and pairs of equal texts are left out.
        window: int. Maximum distance of the two items, in events.
        held_out: float. Share of the users whose pairs are held out: every 1 / `held_out`-th user.
        max_minutes: float. Maximum time between the two events, if events have a clock; None for no limit.

    Attributes:
        learnt: int32 `[n, 2]`, item indices of the training pairs, in both directions, as often as they occur.
        held_out: int32 `[n, 2]`, the pairs of the held-out users.

    Raises:
        InvalidInput: There is no training pair.
    """

    def __init__(
        self, histories: Histories, texts: list[str], window: int, held_out: float, max_minutes: float | None = None
    ) -> None:
        number: dict[str, int] = {}
        text_of = np.array([number.setdefault(text.strip(), len(number)) for text in texts], np.int64)
        rows = histories.rows
        parts, users = [], []
        for distance in range(1, window + 1):
            first, second = histories.items[:-distance], histories.items[distance:]
            empty = number.get("", -1)
            kept = (rows[:-distance] == rows[distance:]) & (text_of[first] != text_of[second])
            kept &= (text_of[first] != empty) & (text_of[second] != empty)
            if max_minutes is not None and histories.clock:
                kept &= histories.timestamps[distance:] - histories.timestamps[:-distance] <= max_minutes * 60e6
            both = np.stack([first[kept], second[kept]], axis=1)
            parts += [both, both[:, ::-1]]
            users += [rows[:-distance][kept]] * 2
        pairs, user = np.concatenate(parts).astype(np.int32), np.concatenate(users)
        is_held_out = user % max(2, round(1 / held_out)) == 0
        self.learnt, self.held_out = pairs[~is_held_out], pairs[is_held_out]
        if not len(self.learnt):
            raise InvalidInput(
                "No two items with different texts are close to one another in a history. Add events or texts, or "
                "increase adaptation.window or adaptation.sitting."
            )
        self._text_of = text_of
        self._text_pairs = PairSet(text_of[pairs[:, 0]], text_of[pairs[:, 1]], len(number))

    def hidden(self, batch: np.ndarray) -> np.ndarray:
        """Which second items of a batch are not negatives for each first item.

        They are those that are a pair with it anywhere in the data, and those with the same text.

        Args:
            batch: int32 `[n, 2]`, pairs.

        Returns:
            bool `[n, n]`; the diagonal is False.
        """
        first, second = self._text_of[batch[:, :1]], self._text_of[batch[None, :, 1]]
        hidden = self._text_pairs.contains(first, second) | (first == second)
        np.fill_diagonal(hidden, False)
        return hidden


def contrastive_loss(
    first: tf.Tensor, second: tf.Tensor, hidden: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The in-batch softmax loss over cosines.

    Args:
        first: float32 `[n, width]`, vectors of the first texts.
        second: float32 `[n, width]`, vectors of the second texts, in the same order.
        hidden: bool `[n, n]`, second texts that are neither positives nor negatives for a first text.
        temperature: float. Divisor of the cosines.

    Returns:
        Mean loss and accuracy, float32 scalars.

    Example:
        >>> vectors = tf.constant([[1.0, 0.0], [0.0, 1.0]])
        >>> loss, accuracy = contrastive_loss(vectors, vectors, tf.zeros([2, 2], tf.bool), temperature=1.0)
        >>> round(float(loss), 4), float(accuracy)
        (0.3133, 1.0)
    """
    cosines = tf.matmul(tf.nn.l2_normalize(first, -1), tf.nn.l2_normalize(second, -1), transpose_b=True)
    logits = tf.where(hidden, -math.inf, cosines / temperature)
    own = tf.range(tf.shape(logits)[0])
    correct = tf.cast(tf.argmax(logits, 1, tf.int32) == own, tf.float32)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)), tf.reduce_mean(correct)


def held_out_metrics(encoder: MicrobatchedEncoder, pairs: Pairs, options: AdaptationConfig) -> dict[str, float]:
    """Loss and accuracy on up to eight batches of held-out pairs, always the same; empty if there are none.

    Args:
        encoder: The encoder.
        pairs: The pairs.
        options: The section `adaptation` of the configuration.
    """
    chosen = np.random.default_rng([options.seed, 1]).permutation(len(pairs.held_out))[: 8 * options.batch_size]
    batches = []
    for start in range(0, len(chosen), options.batch_size):
        batch = pairs.held_out[chosen[start : start + options.batch_size]]
        items, places = np.unique(batch, return_inverse=True)
        vectors, places = encoder.forward(items), places.reshape(batch.shape)
        first, second = (tf.gather(vectors, places[:, side]) for side in (0, 1))
        loss_and_accuracy = contrastive_loss(first, second, pairs.hidden(batch), options.temperature)
        batches.append([float(value) for value in loss_and_accuracy])
    if not batches:
        return {}
    loss, accuracy = np.mean(batches, axis=0)
    return {"loss": float(loss), "accuracy": float(accuracy)}


def _train(encoder: MicrobatchedEncoder, pairs: Pairs, options: AdaptationConfig) -> list[float]:
    """Trains the encoder in place; returns the loss of each step."""
    rate = warm_cosine(options.learning_rate, int(options.warmup * options.steps), options.steps)
    variables = encoder.variables()
    optimizer = LayerwiseOptimizer([variables], lambda step: float(rate(step)), weight_decay=options.weight_decay)
    losses: list[float] = []
    for step in track(range(options.steps), "Adapting", options.steps):
        rng = np.random.default_rng([options.seed, 0, step])
        batch = pairs.learnt[rng.choice(len(pairs.learnt), min(options.batch_size, len(pairs.learnt)), replace=False)]
        items, places = np.unique(batch, return_inverse=True)
        vectors, places = encoder.forward(items), places.reshape(batch.shape)
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            first, second = (tf.gather(vectors, places[:, side]) for side in (0, 1))
            loss, _ = contrastive_loss(first, second, tf.constant(pairs.hidden(batch)), options.temperature)
        upstream = tf.convert_to_tensor(tape.gradient(loss, vectors))
        gradients = encoder.backward(upstream, variables)
        if not np.isfinite(float(loss + tf.linalg.global_norm(gradients))):
            raise TfrecError(
                f"The loss became {float(loss)} at step {step + 1}; nothing was written. Lower "
                "adaptation.learning_rate."
            )
        optimizer.apply(gradients, variables, step)
        losses.append(round(float(loss), 5))
    return losses
