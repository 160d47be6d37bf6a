"""`adapt_encoder`: an encoder learns which texts the same people take one after the other."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrec.config import AdaptationConfig, ConfigSource, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Histories
from tfrec.encoders import load_encoder
from tfrec.encoders.checkpoints.save_fine_tuned import save_tuned, trainable_model
from tfrec.encoders.microbatched_encoder import PartwiseEncoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import refuse_existing
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
    """Trains an encoder so that texts taken by the same people one after the other come to lie close together.

    A pair is two items of one training history, at most `adaptation.window` events apart and, where events have a
    clock, at most `adaptation.sitting` minutes, if that is set. In a batch of pairs each
    first text has to find its second among those of all (in-batch softmax over cosines, as in SimCSE and CLIP,
    https://arxiv.org/abs/2104.08821); others that are pairs with it somewhere in the data are no negatives. There is no
    correction for popularity: what is learnt is how much likelier two texts are together than apart.

    Args:
        data: Prepared data, or its folder: the catalogue's texts and the training histories are read.
        out: The encoder folder to write, with `adaptation.json`, its card: data, source, steps, losses, and the loss
            and accuracy on pairs of people who were held out, before and after.
        config: A RunConfig, a mapping of options or a YAML file, of which the section `adaptation` is used; None for
            the defaults.
        source: What is adapted: a preset, or a folder that `tfrec encoder` wrote.
        force: Replace `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists; there is no pair of items with text; the encoder's layers are not known.
        TfrecError: The loss or a weight is not a number any more. Nothing is written.
    """
    out, knobs = Path(out), as_run_config(config).adaptation
    refuse_existing(out, force)
    dataset = load_dataset(data)
    encoder = load_encoder(source)
    keras.utils.set_random_seed(knobs.seed)
    model, shape = trainable_model(encoder, "mixed_bfloat16" if knobs.mixed_bfloat16 else "float32")
    tokens = TokenTable(encoder, dataset.texts, knobs.seq_length)
    passes = PartwiseEncoder(model, shape, tokens, memory=int(knobs.memory * 2**30))
    pairs = Pairs(dataset.training(), dataset.texts, knobs.window, knobs.held_out, knobs.sitting)
    before = measure(passes, pairs, knobs)
    losses = _train(passes, pairs, knobs)
    if not finite(model):
        raise TfrecError("A weight became no number; nothing was written. Lower adaptation.learning_rate.")
    after = measure(passes, pairs, knobs)
    say(f"Held out: {before} before, {after} after")
    card = {
        "source": Path(source).name,
        "data": dataset.manifest["fingerprint"],
        "pairs": len(pairs.learnt),
        "steps": knobs.steps,
        "losses": losses,
        "before": before,
        "after": after,
        "adaptation": knobs.model_dump(),
        "versions": {"tfrec": __version__, **{name: version(name) for name in ("tensorflow", "tf_keras")}},
    }
    plain, _ = trainable_model(encoder)
    plain.set_weights(model.get_weights())
    save_tuned(out, encoder, plain, source=f"{Path(source).name}, adapted", extra={CARD_FILE: card})
    return out


class Pairs:
    """Items that the same people take close to one another.

    Args:
        histories: Of training.
        texts: Of the catalogue. Items without text, and pairs of equal texts, teach nothing and are left out.
        window: Events apart.
        held_out: Share of the people whose pairs are not learnt from; every 1 / `held_out`-th.
        sitting: Minutes between the events of a pair, at most, where events have a clock; None for any.

    Attributes:
        learnt: int32 `[n, 2]`, in both directions, as often as they occur. held_out: the same, of the others.

    Raises:
        InvalidInput: No pair is left to learn from.
    """

    def __init__(
        self, histories: Histories, texts: list[str], window: int, held_out: float, sitting: float | None = None
    ) -> None:
        number: dict[str, int] = {}
        text_of = np.array([number.setdefault(text.strip(), len(number)) for text in texts], np.int64)
        rows = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
        found, people = [], []
        for apart in range(1, window + 1):
            one, other = histories.items[:-apart], histories.items[apart:]
            empty = number.get("", -1)
            kept = (rows[:-apart] == rows[apart:]) & (text_of[one] != text_of[other])
            kept &= (text_of[one] != empty) & (text_of[other] != empty)
            if sitting is not None and histories.clock:
                kept &= histories.timestamps[apart:] - histories.timestamps[:-apart] <= sitting * 60e6
            both = np.stack([one[kept], other[kept]], axis=1)
            found += [both, both[:, ::-1]]
            people += [rows[:-apart][kept]] * 2
        pairs, person = np.concatenate(found).astype(np.int32), np.concatenate(people)
        out = person % max(2, round(1 / held_out)) == 0
        self.learnt, self.held_out = pairs[~out], pairs[out]
        if not len(self.learnt):
            raise InvalidInput(
                "No two items with different texts stand together in a history. Add events or texts, or allow "
                "a larger adaptation.window or adaptation.sitting."
            )
        self._text_of, self._texts = text_of, len(number)
        self._together = np.unique(self._key(pairs[:, 0], pairs[:, 1]))

    def _key(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self._text_of[one] * self._texts + self._text_of[other]

    def hidden(self, batch: np.ndarray) -> np.ndarray:
        """bool `[n, n]`: second items that are no negatives for a first one: pairs of it, and texts equal to it or to
        its own second. The diagonal is False."""
        one, other = batch[:, :1], batch[None, :, 1]
        key = self._key(np.broadcast_to(one, (len(batch), len(batch))), np.broadcast_to(other, (len(batch),) * 2))
        place = np.minimum(np.searchsorted(self._together, key), len(self._together) - 1)
        hidden = self._together[place] == key
        hidden |= self._text_of[one] == self._text_of[other]
        np.fill_diagonal(hidden, False)
        return hidden


def contrast(first: tf.Tensor, second: tf.Tensor, hidden: tf.Tensor, temperature: float) -> tuple[tf.Tensor, tf.Tensor]:
    """In-batch softmax over cosines.

    Args:
        first, second: float32 `[n, width]`; row i of one belongs to row i of the other.
        hidden: bool `[n, n]`, columns that count neither for nor against a row.
        temperature: float.

    Returns:
        Mean loss and accuracy, float32 scalars.

    Example:
        >>> vectors = tf.constant([[1.0, 0.0], [0.0, 1.0]])
        >>> loss, accuracy = contrast(vectors, vectors, tf.zeros([2, 2], tf.bool), temperature=1.0)
        >>> round(float(loss), 4), float(accuracy)
        (0.3133, 1.0)
    """
    cosines = tf.matmul(tf.nn.l2_normalize(first, -1), tf.nn.l2_normalize(second, -1), transpose_b=True)
    logits = tf.where(hidden, -math.inf, cosines / temperature)
    own = tf.range(tf.shape(logits)[0])
    right = tf.cast(tf.argmax(logits, 1, tf.int32) == own, tf.float32)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)), tf.reduce_mean(right)


def measure(passes: PartwiseEncoder, pairs: Pairs, knobs: AdaptationConfig) -> dict[str, float]:
    """Loss and accuracy on up to eight batches of held-out pairs, the same each time; nothing where there are none."""
    chosen = np.random.default_rng([knobs.seed, 1]).permutation(len(pairs.held_out))[: 8 * knobs.batch_size]
    found = []
    for start in range(0, len(chosen), knobs.batch_size):
        batch = pairs.held_out[chosen[start : start + knobs.batch_size]]
        items, places = np.unique(batch, return_inverse=True)
        vectors, places = passes.forward(items), places.reshape(batch.shape)
        one, other = (tf.gather(vectors, places[:, side]) for side in (0, 1))
        found.append([float(each) for each in contrast(one, other, pairs.hidden(batch), knobs.temperature)])
    if not found:
        return {}
    loss, accuracy = np.mean(found, axis=0)
    return {"loss": float(loss), "accuracy": float(accuracy)}


def _train(passes: PartwiseEncoder, pairs: Pairs, knobs: AdaptationConfig) -> list[float]:
    """Takes the steps; returns the losses."""
    rate = warm_cosine(knobs.learning_rate, int(knobs.warmup * knobs.steps), knobs.steps)
    variables = passes.variables()
    optimizer = LayerwiseOptimizer([variables], lambda step: float(rate(step)), weight_decay=knobs.weight_decay)
    losses: list[float] = []
    for step in track(range(knobs.steps), "Adapting", knobs.steps):
        rng = np.random.default_rng([knobs.seed, 0, step])
        batch = pairs.learnt[rng.choice(len(pairs.learnt), min(knobs.batch_size, len(pairs.learnt)), replace=False)]
        items, places = np.unique(batch, return_inverse=True)
        vectors, places = passes.forward(items), places.reshape(batch.shape)
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            one, other = (tf.gather(vectors, places[:, side]) for side in (0, 1))
            loss, _ = contrast(one, other, tf.constant(pairs.hidden(batch)), knobs.temperature)
        upstream = tf.convert_to_tensor(tape.gradient(loss, vectors))
        gradients = passes.backward(upstream, variables)
        if not np.isfinite(float(loss + tf.linalg.global_norm(gradients))):
            raise TfrecError(
                f"The loss became {float(loss)} at step {step + 1}; nothing was written. Lower "
                "adaptation.learning_rate."
            )
        optimizer.apply(gradients, variables, step)
        losses.append(round(float(loss), 5))
    return losses
