"""BehaviourTextModel: describes a user's events as one text, encodes it with a TF-Hub BERT, and predicts.

At its core, with the softmax head, is a functional graph, short enough to copy:

    import tfrec  # chooses Keras 2, before TensorFlow is imported
    import tensorflow as tf, tensorflow_hub as hub
    from tfrec.keras import keras
    from tfrec.models.behaviour_text.item_mentions import ItemsInText
    from tfrec.models.behaviour_text.transitions import Transitions

    encoder = tfrec.load_encoder("minilm-l6")  # or any two handles that hub.KerasLayer takes
    preprocess = hub.KerasLayer(encoder.preprocessor_handle)
    bert = hub.KerasLayer(encoder.encoder_handle, trainable=True)
    named = ItemsInText(item_texts)  # which items a text names
    followed = Transitions(named.names, named.count).count(histories)  # and what followed them in training

    behaviour = keras.Input((), dtype=tf.string, name="behaviour_text")  # "viewed: Tea pot; bought: Green tea"
    vector = bert(preprocess(behaviour))["pooled_output"]
    hidden = keras.layers.Dropout(0.2)(vector)
    hidden = keras.layers.Dense(256, "gelu")(hidden)
    logits = keras.layers.Dense(num_items)(hidden)
    logits = followed([logits, named(behaviour)])  # in training, the logits as they are
    model = keras.Model(behaviour, keras.layers.Softmax()(logits))

    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(behaviour_texts, next_items)

The class below adds what such a model needs in practice: texts are truncated at their oldest end, encoded once per
batch and padded only to the longest; class vectors are initialised with the vectors of the items' texts; items that the
user already took get a bias of their own; and validation chooses how much the counts and the network count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.behaviour_text import behaviour_text
from tfrec.data.histories import Histories
from tfrec.encoders.hub_handles import resolve_handle
from tfrec.encoders.saved_model_layer import SavedModelLayer
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.behaviour_text.heads import BEHAVIOUR, CANDIDATE, NAMED, sigmoid_head, softmax_head
from tfrec.models.behaviour_text.item_mentions import ItemsInText
from tfrec.models.behaviour_text.text_layers import CutTokens, Distinct, Prompted, Restore, TrimPadding
from tfrec.models.behaviour_text.transitions import Transitions

if TYPE_CHECKING:
    from tfrec.encoders import TextEncoder

UNLIMITED_WORDS = 2**31 - 1


class BehaviourTextModel(keras.Model):
    """Behaviour text → hub preprocessor → hub BERT → dropout → MLP → sigmoid or softmax.

    The model maps raw strings to probabilities and trains with `model.fit`, with the encoder trainable or frozen. The
    encoder sees the newest tokens of the behaviour text, after its prompt of queries; candidates are texts of items. A
    text that occurs in several rows of a batch is encoded once.

    With the softmax head, an item's logit is the sum of the scaled cosine between the MLP's output and the item's class
    vector (initialised with the encoder's vector of the item's text), a learned popularity bias, and a learned bias on
    items named anywhere in the behaviour text, because users seldom want what they already have. With `neighbours`,
    what followed the named items in training is blended in (`Transitions`): titles alone say less than who took what.

    With the sigmoid head, the candidate's text is either encoded by itself with the same encoder ("tower": each text is
    encoded once and the vectors are combined in the MLP) or as the second segment after the behaviour text ("segment":
    every pair is encoded anew, and the encoder can attend from one text to the other).

    Args:
        encoder: Text encoder; any TF-Hub pair that `load_encoder` accepts.
        head: "sigmoid" or "softmax".
        item_texts: Item texts in catalogue order; the sigmoid head needs none.
        tokens: int. Maximum tokens per text, special tokens included; reduced to the encoder's own limit.
        candidate: "tower" or "segment".
        trainable_encoder: bool. Whether `fit` trains the encoder.
        neighbours: int. Softmax head: items kept of those that followed each item in training; 0 for none.
        mlp_units: Widths of the hidden layers.
        dropout: float in [0, 1).
        max_history: int. Behaviour texts are rendered from this many of the newest events.
        seed: int. Seed of the initial weights and the dropout masks.
        dtype_policy: "float32" or "mixed_bfloat16" for the MLP; the encoder keeps its own precision.

    Call arguments:
        inputs: dict of string `[batch]` tensors: `behaviour_text`, and `candidate_text` for the sigmoid head. An empty
            behaviour text stands for a user without history.

    Returns:
        float32 `[batch]`, the probability that the user acts on the candidate (sigmoid head); or float32
        `[batch, num_items]`, the probability that each item is next (softmax head).
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
        neighbours: int = 0,
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
        mlp_options = (mlp_units, dropout, seed, dtype_policy)
        # === Layers ===
        tokenize = SavedModelLayer(encoder.preprocessor.tokenize, name="tokenize")
        pack = SavedModelLayer(encoder.preprocessor.bert_pack_inputs, arguments={"seq_length": tokens}, name="pack")
        saved = tf.saved_model.load(str(resolve_handle(encoder.encoder_handle)))  # its own: it may be trained
        bert = SavedModelLayer(saved, trainable_encoder, name="encoder")

        def encoded(*segments: Any) -> Any:
            return bert(TrimPadding()(pack(list(segments))))[schema.POOLED_OUTPUT]

        def tokens_of(text: Any, kind: str, length: int) -> Any:
            keep, prompt = ("newest" if kind == "query" else "first"), 0
            if kind in encoder.prompts:
                prompt = encoder.prompt_tokens(kind, length + 2, "model.text_tokens")
                text = Prompted(encoder.prompts[kind])(text)
            return CutTokens(length, keep, prompt)(tokenize(text))

        def encoded_once(text: Any, kind: str) -> Any:
            distinct, places = Distinct()(text)
            return Restore()([encoded(tokens_of(distinct, kind, tokens - 2)), places])

        # === Functional model ===
        behaviour = keras.Input((), dtype=tf.string, name=schema.BEHAVIOUR_TEXT)
        item = keras.Input((), dtype=tf.string, name=schema.CANDIDATE_TEXT)
        texts = {schema.BEHAVIOUR_TEXT: behaviour, schema.CANDIDATE_TEXT: item}
        vectors = {BEHAVIOUR: encoded_once(behaviour, "query"), CANDIDATE: encoded_once(item, "item")}
        behaviour_encoder = keras.Model(behaviour, vectors[BEHAVIOUR], name="reader")
        item_encoder = keras.Model(item, vectors[CANDIDATE], name="item_reader")
        named = None
        if head == "softmax":
            named = ItemsInText(item_texts, name="named_items")
            texts = {schema.BEHAVIOUR_TEXT: behaviour}
            vectors = {BEHAVIOUR: vectors[BEHAVIOUR], NAMED: named(behaviour)}
            mlp = softmax_head(encoder.dim, named.names, named.count, neighbours, *mlp_options)
        elif segments:
            room = (
                tokens // 3
            )  # for the candidate; the 3 below are the special tokens before, between and after the texts
            newest = tokens_of(behaviour, "query", tokens - 3 - room)
            vectors = {BEHAVIOUR: encoded(newest, tokens_of(item, "item", room))}
            mlp = sigmoid_head(encoder.dim, False, *mlp_options)
        else:
            mlp = sigmoid_head(encoder.dim, True, *mlp_options)
        super().__init__(inputs=texts, outputs=mlp(vectors), name="behaviour_text_model")

        # === Config ===
        self.head_kind, self.num_items, self.dim = head, len(item_texts), encoder.dim
        self.tokens, self.max_history, self.encodes_separately = tokens, max_history, not segments
        self.neighbours = neighbours if head == "softmax" else 0
        self.behaviour_encoder, self.item_encoder = behaviour_encoder, item_encoder
        self.mlp, self.bert, self.named = mlp, bert, named
        self.preprocessor = encoder.preprocessor  # keeps the vocabulary reachable for export

    @property
    def max_words(self) -> int:
        """Word limit of rendered behaviour texts: none for the softmax head, else about what fits into `tokens`."""
        return UNLIMITED_WORDS if self.head_kind == "softmax" else max(1, self.tokens * 3 // 4)

    def encode(self, behaviour_text: tf.Tensor) -> tf.Tensor:
        """float32 `[batch, dim]`: the encoder's pooled output for behaviour texts, string `[batch]`."""
        return self.behaviour_encoder(behaviour_text, training=False)

    @property
    def transitions(self) -> Transitions | None:
        """The layer of what followed the named items in training; None without `neighbours`."""
        return self.mlp.get_layer("transitions") if self.neighbours else None

    def start_softmax(self, counts: np.ndarray, item_vectors: np.ndarray, repeats: float) -> None:
        """Initialises the softmax head with item popularity, the items' text vectors and the rate of repeats.

        Args:
            counts: int `[num_items]`, training events per item.
            item_vectors: float32 `[num_items, dim]`, the encoder's vectors of the items' texts.
            repeats: float. Initial bias on items named in the behaviour text.
        """
        logits = self.mlp.get_layer("logits")
        logits.bias.assign(np.log((np.asarray(counts, np.float64) + 1) / (np.sum(counts) + len(counts))))
        centred = item_vectors - item_vectors.mean(axis=0)
        # Items whose text does not set them apart (a single item, equal texts) keep their random vectors.
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        logits.kernel.assign(np.where(length > 1e-6, centred / np.maximum(length, 1e-6), logits.kernel.numpy()))
        self.mlp.get_layer("named_bias").bias.assign([repeats, repeats])

    def start_sigmoid(self, negatives: int) -> None:
        """Initialises the sigmoid head to predict one positive per `negatives` negatives, the same for every pair."""
        self.mlp.get_layer("logits").bias.assign([-np.log(negatives)])


def build_behaviour_text_model(
    encoder: TextEncoder, head: str, item_texts: Sequence[str], config: RunConfig, neighbours: int | None = None
) -> BehaviourTextModel:
    """A BehaviourTextModel with the options of `config.model`, trainable encoder or not as in `config.encoder`.

    Args:
        encoder: The text encoder.
        head: "sigmoid" or "softmax".
        item_texts: Item texts in catalogue order.
        config: Sections `encoder`, `model` and `training`.
        neighbours: int. In place of `model.neighbours`; None for the latter.
    """
    options = config.model
    return BehaviourTextModel(
        encoder,
        head,
        item_texts,
        tokens=options.text_tokens,
        candidate=options.candidate,
        trainable_encoder=config.encoder.trainable,
        neighbours=options.neighbours if neighbours is None else neighbours,
        mlp_units=options.mlp_units,
        dropout=options.dropout,
        max_history=options.text_history,
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
        histories: The events.
        starts: int `[n]`, flat position of the first event of each text.
        stops: int `[n]`, flat position just after the last event of each text.
        texts: Item texts in catalogue order.
        event_kinds: Names of the event kinds.
        max_words: int. See `behaviour_text`.

    Returns:
        `n` texts.
    """
    items, events = histories.items, histories.events
    rendered = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        kinds = [event_kinds[event] for event in events[start:stop]]
        rendered.append(behaviour_text(kinds, [texts[item] for item in items[start:stop]], max_words))
    return rendered
