"""NextItemModel: scores of the next item, from a history of items with texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.next_item.domains import outside_domain
from tfrec.models.next_item.gated_block import GatedBlock
from tfrec.models.next_item.history_ops import newest_item, newest_positions
from tfrec.models.next_item.neighbour_memory import NeighbourMemory
from tfrec.models.next_item.popularity_bias import PopularityBias
from tfrec.models.next_item.repeat_bias import RepeatBias
from tfrec.models.next_item.sparse_ops import scatter_add
from tfrec.models.next_item.transformer import CausalBlock, EventEmbedding
from tfrec.models.shared.hosted_item_table import HostedItemTable
from tfrec.models.shared.item_table import ItemTable, lookup
from tfrec.models.shared.modalities import Modality, blocks_of
from tfrec.models.shared.step_dropout import StepDropout

BLOCKS: dict[str, type[CausalBlock | GatedBlock]] = {"transformer": CausalBlock, "gated": GatedBlock}

ITEMS_AT_ONCE = 2**16
"""Items whose unit vectors are in memory together when the whole catalogue is scored: 64 MB at width 256."""


class NextItemModel(keras.Model):
    """A causal transformer over a user's history, with a cosine softmax over the catalogue.

    An item vector is P · text + id (`ItemTable`). The item vectors of a history, with event kinds and optionally time
    gaps, are encoded by a causal transformer (SASRec, Kang & McAuley 2018, https://arxiv.org/abs/1808.09781). The score
    of an item is the sum of

    - its cosine to the output at the newest position, divided by a learned temperature,
    - the score of the neighbours of the history (`NeighbourMemory`),
    - a learned bias if it is in the history already (`RepeatBias`),
    - a bias if it is among the most popular items, should validation ask for one (`PopularityBias`).

    A call returns the hidden states of the transformer; `predict` returns the scores of the whole catalogue, float32
    `[histories, num_items]`. `NextItemTrainer` trains the model.

    Args:
        num_items: int. Items in the catalogue.
        num_event_kinds: int. Kinds of event in the data.
        text_dim: int. Width of the text vectors; 0 for none.
        dim: int. Width of the model; must be divisible by `heads` and, with text, at most `text_dim`.
        layers: int. Transformer blocks.
        block: str. "transformer" for `CausalBlock`, "gated" for `GatedBlock`.
        heads: int. Attention heads.
        max_history: int. Number of newest events that the transformer encodes.
        memory_history: int. Number of newest events that the repeat bias uses; at least `max_history`. The neighbour
            memory uses as many, but at most 200. In training, both use the events that the transformer encodes.
        dropout: float in [0, 1).
        temperature: float. Initial value of the learned temperature.
        use_id: bool. Whether items have a learned id vector in addition to their text.
        id_rate: float. Learning rate of the id vectors relative to that of the other weights (`ItemTable`).
        id_dropout: float in [0, 1). Share of the items whose id vector is 0 in a training step.
        item_dropout: float in [0, 1). Dropout rate of the item vectors as candidates.
        repeat_bias: bool. Whether to learn a bias on items that are in the history already.
        repeat_kinds: bool. Whether this bias depends on the kind of the newest event on the item.
        neighbours: int. Number of co-occurrence neighbours of an item in the neighbour memory; 0 for none.
        text_neighbours: int. Number of text neighbours of an item in the neighbour memory; 0 for none.
        neighbour_window: int. Maximum distance of two events whose co-occurrence was counted.
        popular: int. Number of most popular items with a popularity bias; 0 for none.
        disliked: int. Event kind whose items the neighbour memory leaves out; −1 for none.
        time_gaps: bool. Whether to use time gaps. Off by default, because the served signatures have no times, so a
            served model would read every gap as 0.
        domains: Number of items of each domain, in catalogue order, of a model that is trained on several: scores stay
            within the domain of the history's newest item. Empty for a single one.
        modalities: The modalities that the text vectors consist of (`fuse`); none for text alone.
        modality_dropout: float in [0, 1). Share of the modalities of items that a training step leaves out.
        seed: int. Seed of the initial weights and the dropout masks.
        dtype_policy: str. "float32" or "mixed_bfloat16"; item vectors and scores are always float32.
        hosted: bool. Whether the rows of the item table are no weights, but read from where they are
            (`HostedItemTable`). Not a part of the config: the weights file is the same.
        name: str. Name of the Keras model.

    Inputs (a dict, padded on the right):
        history_items: int32 `[batch, length]`, oldest first, −1 is padding.
        history_events: int32 `[batch, length]`, −1 is padding or an unknown kind.
        history_gaps: float32 `[batch, length]`, log(1 + seconds since the event before).

    Returns:
        float32 `[batch, length, dim]`, at each position the state after the prefix that ends there. `query` turns
        the newest one into a query. The query of an empty history is 0, so popularity is the only part of its scores.

    Example:
        >>> model = NextItemModel(num_items=5, num_event_kinds=1, dim=8, heads=2, layers=1)
        >>> model.scores({"history_items": [[3, 1, -1]], "history_events": [[0, 0, -1]],
        ...               "history_gaps": [[0.0, 0.0, 0.0]]}).shape
        TensorShape([1, 5])
    """

    def __init__(
        self,
        num_items: int,
        num_event_kinds: int,
        text_dim: int = 0,
        dim: int = 256,
        layers: int = 1,
        heads: int = 4,
        max_history: int = 50,
        memory_history: int = 50,
        dropout: float = 0.3,
        temperature: float = 0.05,
        use_id: bool = True,
        id_rate: float = 0.2,
        id_dropout: float = 0.0,
        item_dropout: float = 0.1,
        repeat_bias: bool = True,
        repeat_kinds: bool = True,
        neighbours: int = 0,
        text_neighbours: int = 0,
        neighbour_window: int = 10,
        popular: int = 0,
        disliked: int = -1,
        time_gaps: bool = False,
        seed: int = 0,
        dtype_policy: str = "float32",
        block: str = "transformer",
        domains: Sequence[int] = (),
        modalities: Sequence[Sequence[Any]] = (),
        modality_dropout: float = 0.0,
        hosted: bool = False,
        name: str = "next_item_model",
    ) -> None:
        config = {key: value for key, value in locals().items() if key not in ("self", "__class__", "hosted")}
        blocks_of_text = tuple(Modality(*each) for each in modalities)

        # === Layers ===
        fused: dict[str, Any] = {
            "modalities": [each.width for each in blocks_of_text],
            "modality_dropout": modality_dropout,
        }
        rates = id_rate, 0.02, id_dropout, seed * 100 + 97
        table = HostedItemTable if hosted else ItemTable
        items = table(num_items, text_dim, dim, use_id, *rates, **fused, name="items")
        embed = EventEmbedding(max_history, num_event_kinds, time_gaps, name="event_embedding")
        drop = StepDropout(dropout, seed * 100 + 99, name="input_dropout")
        kind = BLOCKS[block]
        blocks = [kind(heads, dropout, seed * 100 + i, dtype=dtype_policy, name=f"block_{i}") for i in range(layers)]
        norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype="float32", name="final_norm")

        # === Functional model ===
        vectors = keras.Input((None, dim), dtype="float32", name="vectors")
        kinds = keras.Input((None,), dtype="int32", name=schema.HISTORY_EVENTS)
        gaps = keras.Input((None,), dtype="float32", name=schema.HISTORY_GAPS)
        hidden = drop(embed(vectors, kinds, gaps))
        for each in blocks:
            hidden = each(hidden)
        body = keras.Model([vectors, kinds, gaps], norm(hidden), name="body")

        indices = keras.Input((None,), dtype="int32", name=schema.HISTORY_ITEMS)
        positions = body([items(indices), kinds, gaps])
        super().__init__(
            inputs={schema.HISTORY_ITEMS: indices, schema.HISTORY_EVENTS: kinds, schema.HISTORY_GAPS: gaps},
            outputs=positions,
            name=name,
        )
        self.items, self.body = items, body
        self.drop_items = StepDropout(item_dropout, seed * 100 + 98, name="item_dropout")
        self.drop_items(tf.zeros([1, 1]))
        self.log_temperature = self.add_weight(
            "log_temperature", (), initializer=keras.initializers.Constant(float(np.log(temperature)))
        )

        # The other parts of the score are built here, before weights are loaded or saved.
        no_item = tf.fill([1, 1], -1)
        self.repeats: RepeatBias | None = None
        if repeat_bias:
            self.repeats = RepeatBias(num_event_kinds if repeat_kinds else 0, name="repeat_bias")
        self.memory: NeighbourMemory | None = None
        if neighbours or text_neighbours:
            self.memory = NeighbourMemory(num_items, neighbours, text_neighbours, neighbour_window, name="memory")
        self.popularity = PopularityBias(popular, name="popularity") if popular else None
        if self.repeats is not None:
            self.repeats(no_item)
        if self.memory is not None:
            self.memory(no_item)

        # −1e9 for items without a training event. As negatives they would be pushed away just for being new.
        self.unseen = self.add_weight("unseen", shape=(num_items,), initializer="zeros", trainable=False)

        # === Config ===
        self.num_items, self.num_event_kinds, self.text_dim = num_items, num_event_kinds, text_dim
        self.dim, self.max_history, self.memory_history = dim, max_history, max(memory_history, max_history)
        self.disliked, self.domains, self.modalities = disliked, tuple(domains), blocks_of_text
        self._init_config = config

    def query(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """The query of each history, float32 `[batch, dim]`; its dot product with `item_vectors` is the cosine score.

        Args:
            inputs: As the model's.
        """
        inputs = self._newest_events({name: tf.convert_to_tensor(value) for name, value in inputs.items()})
        return self._newest_query(self(inputs, training=False), inputs[schema.HISTORY_ITEMS] >= 0)

    def query_from_vectors(self, vectors: tf.Tensor, mask: tf.Tensor, kinds: tf.Tensor | None = None) -> tf.Tensor:
        """The query of each history of vectors, such as those of `text_to_vector` for items outside the catalogue.

        Args:
            vectors: float32 `[batch, length, dim]`, oldest first, padded on the right; like rows of `history_vectors`.
            mask: bool `[batch, length]`, true at events, false at padding.
            kinds: int32 `[batch, length]`, event kinds, −1 for an unknown one. None for all unknown.

        Returns:
            float32 `[batch, dim]`; 0 for an empty history.
        """
        vectors = vectors * tf.cast(mask, vectors.dtype)[..., None]
        kinds = tf.fill(tf.shape(mask), -1) if kinds is None else kinds
        return self._newest_query(self.body([vectors, kinds, tf.zeros(tf.shape(mask))], training=False), mask)

    def item_vectors(self) -> tf.Tensor:
        """The vectors of all items as candidates, float32 `[num_items, dim]`, of unit length."""
        return tf.math.l2_normalize(self.items.vectors(), axis=-1)

    def history_vectors(self) -> tf.Tensor:
        """The vectors of all items in a history, float32 `[num_items, dim]`, which are not normalised."""
        return self.items.vectors()

    @property
    def hosted_bytes(self) -> int:
        """Bytes of the weights file that are rows of a hosted item table."""
        return self.items.hosted_bytes if isinstance(self.items, HostedItemTable) else 0

    def text_to_vector(self, text_vectors: tf.Tensor) -> tf.Tensor:
        """The vectors in a history of items given by text alone, float32 `[..., dim]`.

        Args:
            text_vectors: float32 `[..., text_dim]`, vectors of the text encoder.
        """
        return self.items.of_text(text_vectors)

    @property
    def text_width(self) -> int:
        """Width of the vectors of the text encoder; 0 for a model without text."""
        return (
            next((each.width for each in self.modalities if each.name == "text"), 0)
            if self.modalities
            else self.text_dim
        )

    def modality_to_vector(self, name: str, vectors: tf.Tensor) -> tf.Tensor:
        """The vectors in a history of items given by one modality alone, float32 `[..., dim]`.

        Args:
            name: Name of the modality, such as "image".
            vectors: float32 `[..., width]`, vectors of its encoder. Rows of zeros, as for what is no image, give the
                vector of an item of which nothing is known.

        Raises:
            InvalidInput: The model has no such modality.
        """
        for each, columns in blocks_of(self.modalities):
            if each.name == name:
                known = tf.reduce_any(vectors != 0, axis=-1, keepdims=True)
                block = tf.where(known, each.scale * vectors, self.items.mean[columns])
                return self.items.of_modality(block, columns.start)
        names = ", ".join(each.name for each in self.modalities) or "text alone"
        raise InvalidInput(f"The model does not know items by {name!r}: its modalities are {names}. Train with it.")

    def adjustment(
        self, history_items: tf.Tensor, history_events: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The parts of the scores other than the cosine (neighbours, repeats, popularity), as item indices and values.

        Args:
            history_items: int32 `[batch, length]`, −1 is padding.
            history_events: int32 `[batch, length]`, −1 is padding or an unknown kind. None for all unknown.

        Returns:
            indices: int32 `[batch, m]`, 0 at padding. values: float32 `[batch, m]`, to be added to the scores of these
            items, 0 at padding. An item may occur several times, and its values add up. m depends only on the length
            and the model.
        """
        history_items = tf.convert_to_tensor(history_items)
        parts = [] if self.repeats is None else [self.repeats(history_items, history_events)]
        parts += [] if self.memory is None else [self.memory(self.remembered(history_items, history_events))]
        parts += [] if self.popularity is None else [self.popularity(history_items)]
        if not parts:
            return tf.maximum(history_items, 0), tf.zeros(tf.shape(history_items))
        return tf.concat([indices for indices, _ in parts], axis=1), tf.concat([values for _, values in parts], axis=1)

    def remembered(self, history_items: tf.Tensor, history_events: tf.Tensor | None) -> tf.Tensor:
        """The items of histories that the neighbour memory uses, int32 `[batch, length]`; −1 for disliked ones."""
        if self.disliked < 0 or history_events is None:
            return history_items
        return tf.where(tf.equal(history_events, self.disliked), -1, history_items)

    def scores(self, inputs: dict[str, tf.Tensor], vectors: tf.Tensor | None = None) -> tf.Tensor:
        """Scores of the whole catalogue, float32 `[batch, num_items]`.

        Args:
            inputs: As the model's.
            vectors: float32 `[num_items, dim]`, `history_vectors()`, so that a caller with many batches computes them
                once; None computes them here.
        """
        inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        items = inputs[schema.HISTORY_ITEMS]
        scores = self.cosines(inputs, vectors)
        if self.memory is not None:
            scores += self.memory.catalogue_scores(self.remembered(items, inputs[schema.HISTORY_EVENTS]))
        if self.popularity is not None:
            scores += self.popularity.weight * self.popularity.catalogue_log_popularity(self.num_items)
        return (
            scores if self.repeats is None else scatter_add(scores, *self.repeats(items, inputs[schema.HISTORY_EVENTS]))
        )

    def cosines(self, inputs: dict[str, tf.Tensor], vectors: tf.Tensor | None = None) -> tf.Tensor:
        """The network's part of `scores` (cosines over the temperature), float32 `[batch, num_items]`.

        Args:
            inputs, vectors: As for `scores`.
        """
        newest = self._newest_events(inputs)
        vectors = self.history_vectors() if vectors is None else vectors
        query = self._newest_query(self._encode(vectors, newest, training=False), newest[schema.HISTORY_ITEMS] >= 0)
        # in blocks: the unit vectors of a large catalogue would be a copy of it for each batch
        parts = [vectors[start : start + ITEMS_AT_ONCE] for start in range(0, self.num_items, ITEMS_AT_ONCE)]
        cosines = [tf.matmul(query, tf.math.l2_normalize(part, axis=-1), transpose_b=True) for part in parts]
        cosines = cosines[0] if len(cosines) == 1 else tf.concat(cosines, axis=1)
        if not self.domains:
            return cosines
        return cosines + outside_domain(newest_item(inputs[schema.HISTORY_ITEMS]), self.domains)

    def predict_step(self, data: Any) -> tf.Tensor:
        """The scores of a batch for `predict`; targets and sample weights are ignored."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.scores(inputs)

    def get_config(self) -> dict[str, Any]:
        return dict(self._init_config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> NextItemModel:
        return cls(**config)

    def _encode(self, vectors: tf.Tensor, inputs: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """The output of the model, from `history_vectors()`: float32 `[batch, length, dim]`."""
        history = lookup(vectors, inputs[schema.HISTORY_ITEMS])
        return self.body([history, inputs[schema.HISTORY_EVENTS], inputs[schema.HISTORY_GAPS]], training=training)

    def _newest_events(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The inputs, cut to the newest `max_history` events."""
        positions = newest_positions(inputs[schema.HISTORY_ITEMS], self.max_history)
        return {name: tf.gather(value, positions, batch_dims=1) for name, value in inputs.items()}

    def scaled(self, hidden: tf.Tensor) -> tf.Tensor:
        """Queries of hidden states: unit vectors divided by the temperature, float32 of the shape of `hidden`."""
        return tf.math.l2_normalize(hidden, axis=-1) * tf.exp(-self.log_temperature)

    def _newest_query(self, positions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The query at the last position where `mask` is true, float32 `[batch, dim]`; 0 where there is none."""
        length = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        newest = tf.gather(positions, tf.maximum(length - 1, 0), axis=1, batch_dims=1)
        return self.scaled(newest) * tf.cast(length > 0, tf.float32)[:, None]
