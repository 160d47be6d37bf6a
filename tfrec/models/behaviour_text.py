"""BehaviourTextModel: what a person did, as one text, through a TF-Hub BERT to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.behaviour import behaviour_text
from tfrec.data.dataset import Histories
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.history_layers import StepDropout
from tfrec.models.text_layers import CutTokens, Distinct, Restore, TrimPadding

if TYPE_CHECKING:
    from tfrec.encoders import TextEncoder

BEHAVIOUR, CANDIDATE = "behaviour", "candidate"
"""Names of the head's inputs: the pooled outputs of the texts."""


class BehaviourTextModel(keras.Model):
    """Behaviour text → hub preprocessor → hub BERT → dropout → MLP → sigmoid or softmax.

    Raw strings in, probabilities out; trains with `model.fit`, the encoder jointly or frozen. The behaviour text is
    cut from its oldest tokens. Where the same text occurs in several rows of a batch, it is read once.

    With the sigmoid head, the candidate is either a text of its own, read by the same encoder ("tower": texts are read
    once and meet in the MLP), or the second segment of the behaviour text ("segment": every pair is read anew, the
    encoder sees both at once).

    Args:
        encoder: What reads the text; any TF-Hub pair that `load_encoder` takes.
        head: "sigmoid" or "softmax".
        num_items: int. Catalogue size, for the softmax head.
        tokens: int. Tokens of a text, the marks at its ends included; cut to what the encoder can read.
        candidate: "tower" or "segment".
        trainable_encoder: bool. Whether `fit` changes the encoder.
        mlp_units: Widths of the hidden layers.
        dropout: float in [0, 1).
        max_history: int. Newest events that `BehaviourTextScorer` renders.
        seed: int. Of the initial weights and the dropout.
        dtype_policy: "float32" or "mixed_bfloat16"; of the MLP, the encoder computes as it was saved.

    Call arguments:
        inputs: dict of string `[batch]` tensors: `behaviour_text`, and `candidate_text` for the sigmoid head. An empty
            text is read as a person who did nothing yet.

    Returns:
        float32: `[batch]`, the probability that the person acts on the candidate; or `[batch, num_items]`, the
        probability of each item to be next.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        head: str,
        num_items: int,
        *,
        tokens: int = 128,
        candidate: str = "tower",
        trainable_encoder: bool = False,
        mlp_units: Sequence[int] = (256,),
        dropout: float = 0.2,
        max_history: int = 50,
        seed: int = 0,
        dtype_policy: str = "float32",
    ) -> None:
        if head not in ("sigmoid", "softmax") or candidate not in ("tower", "segment"):
            raise InvalidInput(
                f"Expected head sigmoid or softmax and candidate tower or segment, received {head!r}, {candidate!r}."
            )
        tokens = min(tokens, encoder.max_seq_length or tokens)
        # === Layers ===
        tokenize = hub.KerasLayer(encoder.preprocessor.tokenize, name="tokenize")
        pack = hub.KerasLayer(encoder.preprocessor.bert_pack_inputs, arguments={"seq_length": tokens}, name="pack")
        bert = hub.KerasLayer(encoder.encoder_handle, trainable=trainable_encoder, name="encoder")

        def read(*segments: Any) -> Any:
            return bert(TrimPadding()(pack(list(segments))))[schema.POOLED_OUTPUT]

        def read_once(text: Any, keep: str) -> Any:
            distinct, places = Distinct()(text)
            return Restore()([read(CutTokens(tokens - 2, keep)(tokenize(distinct))), places])

        # === Functional model ===
        behaviour = keras.Input((), dtype=tf.string, name=schema.BEHAVIOUR_TEXT)
        item = keras.Input((), dtype=tf.string, name=schema.CANDIDATE_TEXT)
        texts = {schema.BEHAVIOUR_TEXT: behaviour}
        vectors = {BEHAVIOUR: read_once(behaviour, "newest")}
        reader = keras.Model(behaviour, vectors[BEHAVIOUR], name="reader")
        item_reader = None
        if head == "sigmoid":
            texts[schema.CANDIDATE_TEXT] = item
            if candidate == "tower":
                vectors[CANDIDATE] = read_once(item, "first")
                item_reader = keras.Model(item, vectors[CANDIDATE], name="item_reader")
            else:
                room = tokens // 3  # three marks: one before, one between, one after
                segments = [CutTokens(tokens - 3 - room, "newest")(tokenize(behaviour))]
                vectors[BEHAVIOUR] = read(*segments, CutTokens(room, "first")(tokenize(item)))
        mlp = _mlp(encoder.dim, list(vectors), head, num_items, mlp_units, dropout, seed, dtype_policy)
        super().__init__(inputs=texts, outputs=mlp(vectors), name="behaviour_text_model")

        # === Config ===
        self.head_kind, self.num_items, self.dim = head, num_items, encoder.dim
        self.tokens, self.max_history = tokens, max_history
        self.reader, self.item_reader, self.mlp, self.bert = reader, item_reader, mlp, bert
        self.preprocessor = encoder.preprocessor  # holds the vocabulary, which an export has to find

    @property
    def max_words(self) -> int:
        """Words that a behaviour text is rendered to; about what fits into `tokens`."""
        return max(1, self.tokens * 3 // 4)

    @property
    def reads_apart(self) -> bool:
        """Whether every text is read on its own, so that its vector can be kept between steps."""
        return self.head_kind == "softmax" or self.item_reader is not None

    def encode(self, behaviour_text: tf.Tensor) -> tf.Tensor:
        """float32 `[batch, dim]`: the encoder's pooled output of behaviour texts, string `[batch]`."""
        return self.reader(behaviour_text, training=False)

    def start_from(self, counts: np.ndarray, negatives: int) -> None:
        """Starts the output at what is known before any training.

        Softmax: each item's share of the training events; sigmoid: one positive in `1 + negatives`.

        Args:
            counts: int `[num_items]`, training events an item.
            negatives: int. Negatives a positive among the sigmoid head's examples.
        """
        bias = self.mlp.get_layer("logits").bias
        share = (np.asarray(counts, np.float64) + 1) / (np.sum(counts) + len(counts))
        bias.assign(np.log(share) if self.head_kind == "softmax" else [-np.log(negatives)])


def build_behaviour_text_model(
    encoder: TextEncoder, head: str, num_items: int, config: RunConfig
) -> BehaviourTextModel:
    """A BehaviourTextModel of the sizes in `config.model`; its encoder is trainable as `config.encoder` says."""
    knobs = config.model
    return BehaviourTextModel(
        encoder,
        head,
        num_items,
        tokens=knobs.text_tokens,
        candidate=knobs.candidate,
        trainable_encoder=config.encoder.trainable,
        mlp_units=knobs.mlp_units,
        dropout=knobs.dropout,
        max_history=knobs.max_history,
        seed=config.training.seed,
        dtype_policy="mixed_bfloat16" if config.training.mixed_bfloat16 else "float32",
    )


def behaviour_texts(
    histories: Histories,
    starts: np.ndarray,
    stops: np.ndarray,
    texts: Sequence[str],
    event_kinds: Sequence[str],
    max_words: int,
) -> list[str]:
    """Renders flat ranges of histories as behaviour texts.

    Args:
        histories: Where the events are.
        starts: int `[n]`, flat position of the first event of each text. stops: int `[n]`, one after the last.
        texts: Item texts in catalogue order. event_kinds: Names of the kinds.
        max_words: int. See `behaviour_text`.
    """
    items, events = histories.items, histories.events
    rendered = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        kinds = [event_kinds[event] for event in events[start:stop]]
        rendered.append(behaviour_text(kinds, [texts[item] for item in items[start:stop]], max_words))
    return rendered


def _mlp(
    dim: int,
    names: Sequence[str],
    head: str,
    num_items: int,
    units: Sequence[int],
    dropout: float,
    seed: int,
    policy: str,
) -> keras.Model:
    """Pooled outputs to probabilities; its own model, so that it also fits on vectors kept from a frozen encoder."""
    inputs = {name: keras.Input((dim,), name=name) for name in names}
    # encoders differ in scale by a factor of twenty; normalised, one learning rate fits all
    hidden = [keras.layers.LayerNormalization(name=f"{name}_norm")(vector) for name, vector in inputs.items()]
    if len(hidden) > 1:
        hidden = [keras.layers.Concatenate()([*hidden, keras.layers.Multiply()(hidden)])]
    flow = StepDropout(dropout, seed * 100, dtype=policy)(hidden[0])
    for i, width in enumerate(units):
        start = keras.initializers.GlorotUniform(seed=seed + i)
        flow = keras.layers.Dense(width, "gelu", kernel_initializer=start, dtype=policy, name=f"hidden_{i}")(flow)
        flow = StepDropout(dropout, seed * 100 + i + 1, dtype=policy)(flow)
    # from zeros: before training, the output is what `start_from` says, the same for everybody
    width, activation = (num_items, "softmax") if head == "softmax" else (1, "sigmoid")
    output = keras.layers.Dense(width, activation, kernel_initializer="zeros", dtype="float32", name="logits")(flow)
    if head == "sigmoid":
        output = keras.layers.Reshape((), name=schema.PROBABILITY)(output)
    return keras.Model(inputs, output, name="mlp")
