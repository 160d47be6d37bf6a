"""BehaviourTextModel: what a person did, as one text, through a TF-Hub BERT to probabilities.

The heart of it, with the softmax head, is a functional graph that is yours to copy:

    import tfrec  # chooses Keras 2, before TensorFlow is imported
    import tensorflow as tf, tensorflow_hub as hub
    from tfrec.keras import keras

    encoder = tfrec.load_encoder("minilm-l6")  # or any two handles that hub.KerasLayer takes
    preprocess = hub.KerasLayer(encoder.preprocessor_handle)
    bert = hub.KerasLayer(encoder.encoder_handle, trainable=True)

    behaviour = keras.Input((), dtype=tf.string, name="behaviour_text")  # "viewed: Tea pot; bought: Green tea"
    vector = bert(preprocess(behaviour))["pooled_output"]
    hidden = keras.layers.Dropout(0.2)(vector)
    hidden = keras.layers.Dense(256, "gelu")(hidden)
    probabilities = keras.layers.Dense(num_items, "softmax")(hidden)
    model = keras.Model(behaviour, probabilities)

    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(behaviour_texts, next_items)

The class below adds what such a model needs in practice: texts cut from their oldest end, read once a batch and not
longer than they are, classes that start at the items' own texts, and what the person already has told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.behaviour_text import behaviour_text
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.behaviour_text.heads import BEHAVIOUR, CANDIDATE, NAMED, sigmoid_head, softmax_head
from tfrec.models.behaviour_text.item_mentions import ItemsInText
from tfrec.models.behaviour_text.text_layers import CutTokens, Distinct, Restore, TrimPadding

if TYPE_CHECKING:
    from tfrec.encoders import TextEncoder

EVERY_WORD = 2**31 - 1


class BehaviourTextModel(keras.Model):
    """Behaviour text → hub preprocessor → hub BERT → dropout → MLP → sigmoid or softmax.

    Raw strings in, probabilities out; trains with `model.fit`, the encoder jointly or frozen. The encoder reads the
    newest tokens of the behaviour text. Where the same text occurs in several rows of a batch, it is read once.

    With the softmax head, the logits are cosines of the MLP's output and a vector an item, which starts at the
    encoder's vector of the item's text, plus a learned popularity, plus a learned bias on the items that the behaviour
    text names, however far back: people seldom want what they have.

    With the sigmoid head, the candidate is either a text of its own, read by the same encoder ("tower": texts are read
    once and meet in the MLP), or the second segment of the behaviour text ("segment": every pair is read anew, the
    encoder sees both at once).

    Args:
        encoder: What reads the text; any TF-Hub pair that `load_encoder` takes.
        head: "sigmoid" or "softmax".
        item_texts: Item texts in catalogue order; the sigmoid head needs none.
        tokens: int. Tokens of a text, the marks at its ends included; cut to what the encoder can read.
        candidate: "tower" or "segment".
        trainable_encoder: bool. Whether `fit` changes the encoder.
        mlp_units: Widths of the hidden layers.
        dropout: float in [0, 1).
        max_history: int. Newest events that behaviour texts are rendered from.
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
        item_texts: Sequence[str] = (),
        *,
        tokens: int = 64,
        candidate: str = "tower",
        trainable_encoder: bool = False,
        mlp_units: Sequence[int] = (256,),
        dropout: float = 0.2,
        max_history: int = 500,
        seed: int = 0,
        dtype_policy: str = "float32",
    ) -> None:
        if head not in ("sigmoid", "softmax") or candidate not in ("tower", "segment"):
            raise InvalidInput(
                f"Expected head sigmoid or softmax and candidate tower or segment, received {head!r}, {candidate!r}."
            )
        tokens = min(tokens, encoder.max_seq_length or tokens)
        segments = head == "sigmoid" and candidate == "segment"
        knobs = (mlp_units, dropout, seed, dtype_policy)
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
        texts = {schema.BEHAVIOUR_TEXT: behaviour, schema.CANDIDATE_TEXT: item}
        vectors = {BEHAVIOUR: read_once(behaviour, "newest"), CANDIDATE: read_once(item, "first")}
        reader = keras.Model(behaviour, vectors[BEHAVIOUR], name="reader")
        item_reader = keras.Model(item, vectors[CANDIDATE], name="item_reader")
        named = None
        if head == "softmax":
            named = ItemsInText(item_texts, name="named_items")
            texts = {schema.BEHAVIOUR_TEXT: behaviour}
            vectors = {BEHAVIOUR: vectors[BEHAVIOUR], NAMED: named(behaviour)}
            mlp = softmax_head(encoder.dim, named.names, named.count, *knobs)
        elif segments:
            room = tokens // 3  # three marks: one before, one between, one after
            oldest = CutTokens(tokens - 3 - room, "newest")(tokenize(behaviour))
            vectors = {BEHAVIOUR: read(oldest, CutTokens(room, "first")(tokenize(item)))}
            mlp = sigmoid_head(encoder.dim, False, *knobs)
        else:
            mlp = sigmoid_head(encoder.dim, True, *knobs)
        super().__init__(inputs=texts, outputs=mlp(vectors), name="behaviour_text_model")

        # === Config ===
        self.head_kind, self.num_items, self.dim = head, len(item_texts), encoder.dim
        self.tokens, self.max_history, self.reads_apart = tokens, max_history, not segments
        self.reader, self.item_reader, self.mlp, self.bert, self.named = reader, item_reader, mlp, bert, named
        self.preprocessor = encoder.preprocessor  # holds the vocabulary, which an export has to find

    @property
    def max_words(self) -> int:
        """Words that a behaviour text is rendered to: all for the softmax head, else about what fits into `tokens`."""
        return EVERY_WORD if self.head_kind == "softmax" else max(1, self.tokens * 3 // 4)

    def encode(self, behaviour_text: tf.Tensor) -> tf.Tensor:
        """float32 `[batch, dim]`: the encoder's pooled output of behaviour texts, string `[batch]`."""
        return self.reader(behaviour_text, training=False)

    def start_softmax(self, counts: np.ndarray, item_vectors: np.ndarray, repeats: float) -> None:
        """Starts the softmax head at what is known before any training.

        Args:
            counts: int `[num_items]`, training events an item.
            item_vectors: float32 `[num_items, dim]`: what the encoder makes of the items' texts.
            repeats: float. Bias on the items that a behaviour text names.
        """
        logits = self.mlp.get_layer("logits")
        logits.bias.assign(np.log((np.asarray(counts, np.float64) + 1) / (np.sum(counts) + len(counts))))
        centred = item_vectors - item_vectors.mean(axis=0)
        # items whose text says nothing of its own (a single item, equal texts) keep their random start
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        logits.kernel.assign(np.where(length > 1e-6, centred / np.maximum(length, 1e-6), logits.kernel.numpy()))
        self.mlp.get_layer("named_bias").bias.assign([repeats, repeats])

    def start_sigmoid(self, negatives: int) -> None:
        """Starts the sigmoid head at one positive in `1 + negatives`, the same for everybody."""
        self.mlp.get_layer("logits").bias.assign([-np.log(negatives)])


def build_behaviour_text_model(
    encoder: TextEncoder, head: str, item_texts: Sequence[str], config: RunConfig
) -> BehaviourTextModel:
    """A BehaviourTextModel of the sizes in `config.model`; its encoder is trainable as `config.encoder` says."""
    knobs = config.model
    return BehaviourTextModel(
        encoder,
        head,
        item_texts,
        tokens=knobs.text_tokens,
        candidate=knobs.candidate,
        trainable_encoder=config.encoder.trainable,
        mlp_units=knobs.mlp_units,
        dropout=knobs.dropout,
        max_history=knobs.text_history,
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
