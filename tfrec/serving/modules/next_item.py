"""The served form of a NextItemModel: ids and texts in, ids and scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import ExportConfig
from tfrec.explanation.served_reasons import SecondStage
from tfrec.models.baselines.segment_popularity import PopularLists
from tfrec.retrieval.approximate.compact_table import CompactTable
from tfrec.serving.modules.approximate_item_index import Search
from tfrec.serving.modules.choose_item_index import item_index
from tfrec.serving.modules.explanation import can_explain, explained
from tfrec.serving.modules.image_queries import ImageQueries
from tfrec.serving.modules.item_index import Catalogue, attribute_codes
from tfrec.serving.modules.signature_inputs import signature_inputs, vector_inputs
from tfrec.serving.modules.string_ops import compact, fingerprint, hash_table, index_table
from tfrec.serving.modules.vector_histories import read_vectors, real_vectors

UNKNOWN_SCORE: Final = float(np.finfo(np.float32).min)
"""Score of an unknown or "" candidate of `rank`: the lowest finite float32, as JSON has no −inf."""

Tensors = dict[str, tf.Tensor]


class NextItemServing(tf.Module):
    """The signatures of a NextItemModel export.

    Unknown and "" entries of a history are dropped, wherever they stand, and the model reads the newest events of the
    rest. A row without any usable event gets popular items (`fallback` is true) with their counts as scores; exclusions
    and allow-lists apply to them too. If fewer than K items are left, `count` says how many, and the rest of the row is
    "" with score 0. Ties go to the item that comes first in the catalogue. Requests carry no times, so the model reads
    every time gap as 0. Items that `catalogue.allow` leaves out are read in histories, scored by `rank`, and
    in no list.

    Args:
        model: A NextItemModel.
        catalogue: The items.
        event_kinds: Event kinds by index; other kinds are read as unknown.
        config: Sizes of the signatures. K is at most the number of items.
        exclude_seen: Whether lists exclude the items of the history.
        encoder: A TextEncoder; None for no signatures that take text.
        seq_length: Tokens a text is cut to.
        chunk_size: Items scored at a time; None as in `TopK`.
        search: An index over the item vectors, or a table of them in small; None for the exact scan.
        unread: Event kind that is not read in histories; None for none.
        image_encoder: An ImageEncoder, for a model of pictures; None for no signatures that take pictures.
        popular: Popular lists of `K + E` items for each segment, for `recommend_popular`; None for no such signature.
    """

    def __init__(  # noqa: PLR0913  all that a served model is made of
        self,
        model: Any,
        catalogue: Catalogue,
        *,
        event_kinds: Sequence[str],
        config: ExportConfig,
        exclude_seen: bool,
        encoder: Any = None,
        seq_length: int = 64,
        chunk_size: int | None = None,
        search: Search | CompactTable | None = None,
        popular: PopularLists | None = None,
        unread: str | None = None,
        image_encoder: Any = None,
    ) -> None:
        super().__init__(name="next_item_serving")
        ids = [str(item) for item in catalogue.item_ids]
        self.config = config
        self.k = min(config.max_k, len(ids) if catalogue.allow is None else int(catalogue.allow.sum()))
        self.exclude_seen = exclude_seen
        self.seq_length = seq_length
        self._unread = unread
        self.reads_text = encoder is not None and bool(getattr(model, "text_dim", True))
        self._ids = tf.constant([*ids, ""])  # the last entry stands for "no item"
        self._id_table = index_table(ids)
        self._event_table = index_table(list(event_kinds))
        self._text_table = hash_table(list(catalogue.texts)) if self.reads_text else None

        vectors = model.item_vectors(), model.history_vectors(), catalogue.counts
        sizes: dict[str, Any] = {"k": self.k, "chunk_size": chunk_size, "diversity": config.diversity}
        sizes["allow"] = catalogue.allow
        self._index = item_index(*vectors, search, sizes)
        self._popular = popular
        self._segment_table = index_table(popular.segments) if popular else None
        self._codes, self._attribute_table, self._attribute_values = attribute_codes(catalogue.attribute)

        # Only captured variables are tracked: the functions of Keras objects would be traced too. Text vectors and id
        # vectors of the catalogue are left out, as the index holds the item vectors.
        spare = {id(weight) for weight in (getattr(model.items, "text", None), getattr(model.items, "ids", None))}
        self._tracked = [weight for weight in model.variables if id(weight) not in spare]
        self._text_objects = _saved_objects(encoder) if self.reads_text else []
        self._images = None if image_encoder is None else ImageQueries(model, image_encoder)
        self._image_objects = [] if self._images is None else self._images.saved_objects
        self._untracked = _Untracked(model, encoder)
        self.functions = self._signatures()

    def _signatures(self) -> dict[str, Callable[..., Tensors]]:
        explains = self.config.explain_length and can_explain(self._untracked.model)
        offered = {
            schema.SIGNATURE_RECOMMEND: (self.recommend, True),
            schema.SIGNATURE_RANK: (self.rank, True),
            schema.SIGNATURE_SIMILAR_ITEMS: (self.similar_items, True),
            schema.SIGNATURE_EXPLAIN: (self.explain, explains),
            schema.SIGNATURE_RECOMMEND_FILTERED: (self.recommend_filtered, self._codes is not None),
            schema.SIGNATURE_RECOMMEND_POPULAR: (self.recommend_popular, self._popular is not None),
            schema.SIGNATURE_RECOMMEND_FROM_TEXT: (self.recommend_from_text, self.reads_text),
            schema.SIGNATURE_RECOMMEND_FROM_VECTORS: (self.recommend_from_vectors, self.reads_text),
            schema.SIGNATURE_EMBED: (self.embed, self.reads_text),
            schema.SIGNATURE_RECOMMEND_FROM_IMAGE: (self.recommend_from_image, self._images is not None),
            schema.SIGNATURE_SIMILAR_BY_IMAGE: (self.similar_by_image, self._images is not None),
        }
        inputs = signature_inputs(self.config)
        if self.reads_text:  # of no more events than the transformer reads, as vectors are large
            length = min(self.config.history_length, self._untracked.model.max_history)
            inputs[schema.SIGNATURE_RECOMMEND_FROM_VECTORS] = vector_inputs(length, self._untracked.encoder.dim)
        functions = {
            name: tf.function(function).get_concrete_function(**inputs[name])
            for name, (function, is_offered) in offered.items()
            if is_offered
        }
        return {schema.SIGNATURE_DEFAULT: functions[schema.SIGNATURE_RECOMMEND], **functions}

    def recommend(self, history_item_ids: tf.Tensor, history_events: tf.Tensor, exclude_item_ids: tf.Tensor) -> Tensors:
        """The best K items for histories.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            exclude_item_ids: string `[B, E]`, items to exclude; "" is padding.

        Returns:
            item_ids string `[B, K]` and scores float32 `[B, K]`, best first; count int32 `[B]`, how many are real;
            fallback bool `[B]`, true where the history has no known item and popular items are returned.
        """
        return self._recommend(history_item_ids, history_events, exclude_item_ids, None)

    def recommend_filtered(
        self,
        history_item_ids: tf.Tensor,
        history_events: tf.Tensor,
        exclude_item_ids: tf.Tensor,
        allow_values: tf.Tensor,
    ) -> Tensors:
        """`recommend` among the items that have one of some values of the attribute chosen at export.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            exclude_item_ids: string `[B, E]`, items to exclude; "" is padding.
            allow_values: string `[B, A]`, the values; "" is padding.

        Returns:
            As `recommend`.
        """
        return self._recommend(history_item_ids, history_events, exclude_item_ids, self._allowed(allow_values))

    def _recommend(
        self, history_item_ids: tf.Tensor, history_events: tf.Tensor, exclude_item_ids: tf.Tensor, allow: Any
    ) -> Tensors:
        seen = self._history(history_item_ids, history_events)
        query, boost, usable = self._read(seen, history_events)
        return self._answer(query, boost, usable, self._excluded(seen, exclude_item_ids), allow)

    def _excluded(self, seen: tf.Tensor, exclude_item_ids: tf.Tensor) -> tf.Tensor:
        """Items to exclude, int32: those of the request, and with `exclude_seen` those of the history."""
        exclude = self._indices(self._id_table, exclude_item_ids)
        return tf.concat([exclude, seen], axis=1) if self.exclude_seen else exclude

    def recommend_popular(self, segment: tf.Tensor, exclude_item_ids: tf.Tensor) -> Tensors:
        """The K most popular items of segments `[B]`, for users without a history.

        For an unknown or "" segment, the items are those popular overall and `fallback` is true.
        """
        assert self._popular is not None
        place = self._indices(self._segment_table, segment)
        row = tf.where(place >= 0, place, len(self._popular.segments))
        items, scores = tf.gather(self._popular.items, row), tf.gather(self._popular.scores, row)
        exclude = self._indices(self._id_table, exclude_item_ids)
        left_out = tf.reduce_any(items[:, :, None] == exclude[:, None, :], axis=2)
        order = tf.argsort(tf.cast(left_out, tf.int32), axis=1, stable=True)[:, : self.k]
        count = tf.minimum(tf.reduce_sum(tf.cast(~left_out, tf.int32), axis=1), self.k)
        indices, values = tf.gather(items, order, batch_dims=1), tf.gather(scores, order, batch_dims=1)
        return {**self._item_outputs(indices, values, count), schema.FALLBACK: place < 0}

    def recommend_from_text(self, history_texts: tf.Tensor) -> Tensors:
        """The best K items for histories of texts `[B, H]`, so that new items and new users need no id.

        For repeats and exclusions, a text that equals the text of an item counts as that item.
        """
        texts = tf.strings.strip(history_texts)
        real = texts != ""
        vectors = self._untracked.model.text_to_vector(self._encode(tf.boolean_mask(texts, real)))
        places = tf.cast(tf.where(real), tf.int32)
        shape = tf.concat([tf.shape(texts), [self._index.dim]], axis=0)
        history = tf.ensure_shape(
            tf.scatter_nd(places, vectors, shape), [None, self.config.history_length, self._index.dim]
        )
        model = self._untracked.model
        history, mask = compact(real, history, real, length=model.max_history, pads=(0.0, False))
        query = model.query_from_vectors(history, mask)
        seen = tf.where(real, self._indices(self._text_table, fingerprint(texts)), -1)
        (known,) = compact(seen >= 0, seen, length=model.memory_history, pads=(-1,))
        boost = model.adjustment(known)
        exclude = seen if self.exclude_seen else tf.fill(tf.shape(seen), -1)
        return self._answer(query, boost, tf.reduce_any(real, axis=1), exclude)

    def recommend_from_vectors(
        self,
        history_vectors: tf.Tensor,
        history_mask: tf.Tensor,
        history_item_ids: tf.Tensor,
        history_events: tf.Tensor,
    ) -> Tensors:
        """The best K items for histories of vectors, which the caller has encoded as the run's encoder does.

        Items are read by their vectors alone, as in `recommend_from_text`. An item that is named as well counts for
        neighbours, repeats and exclusions. A vector with NaN or a number beyond ±10⁶ is padding.

        Args:
            history_vectors: float32 `[B, M, text_dim]`, oldest first.
            history_mask: int32 `[B, M]`, 1 at events, 0 at padding.
            history_item_ids: string `[B, M]`, the items that these vectors are of; "" for those of no catalogue.
            history_events: string `[B, M]`, the kinds of these events; "" for an unknown one.

        Returns:
            As `recommend`.
        """
        real = real_vectors(history_vectors, history_mask)
        real = real if self._unread is None else real & (history_events != self._unread)
        seen = tf.where(real, self._indices(self._id_table, history_item_ids), schema.PADDING)
        kinds = self._indices(self._event_table, history_events)
        read = read_vectors(self._untracked.model, history_vectors, real, seen, kinds)
        exclude = seen if self.exclude_seen else tf.fill(tf.shape(seen), schema.PADDING)
        return self._answer(read.query, read.boost, read.usable, exclude)

    def recommend_from_image(self, history_images: tf.Tensor) -> Tensors:
        """The best K items for histories of pictures `[B, H]`, the contents of image files; "" is padding.

        What cannot be decoded is ignored. A picture is no item of the catalogue, so nothing is excluded.
        """
        assert self._images is not None
        query, usable = self._images.query(history_images)
        none = tf.fill(tf.stack([tf.shape(history_images)[0], 1]), -1)
        return self._answer(query, self._untracked.model.adjustment(none), usable, none)

    def rank(self, history_item_ids: tf.Tensor, history_events: tf.Tensor, candidate_item_ids: tf.Tensor) -> Tensors:
        """Scores of candidates.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            candidate_item_ids: string `[B, C]`; "" is padding.

        Returns:
            scores float32 `[B, C]`: popularity without a usable history, `UNKNOWN_SCORE` for unknown ids.
        """
        seen = self._history(history_item_ids, history_events)
        query, boost, usable = self._read(seen, history_events)
        candidates = self._indices(self._id_table, candidate_item_ids)
        at = tf.maximum(candidates, 0)
        scores = tf.where(usable[:, None], self._scores(query, boost, at), self._index.popularity(at))
        return {schema.SCORES: tf.where(candidates >= 0, scores, UNKNOWN_SCORE)}

    def explain(self, history_item_ids: tf.Tensor, history_events: tf.Tensor, explain_item_ids: tf.Tensor) -> Tensors:
        """Why items have their scores: the parts of the scores, and the events that decide them.

        Args:
            history_item_ids: string `[B, H]`, oldest first; "" is padding, unknown ids are ignored.
            history_events: string `[B, H]`, the kinds of these events.
            explain_item_ids: string `[B, C]`, the items, such as those of a list; "" is padding.

        Returns:
            scores float32 `[B, C]` as in lists, and the parts that they are the sums of, `part_NAME` float32 `[B, C]`;
            of two stages also `first_stage_NAME`, the parts of the first stage's own score;
            event_item_ids string, event_positions int32 (in the request) and event_effects float32 `[B, C, 4]`: the
            three events that raise the score most, and last the one that lowers it most, with what the score loses
            without them; "", −1 and 0 where there is none; removal_size int32 `[B, C]`: without how many of the events,
            the one that raises the item most first, it falls below the lowest of the other items of the request, about;
            0 for none up to 5. All are 0 or empty for unknown ids and without a usable history, except the scores.
        """
        seen, asked = self._history(history_item_ids, history_events), self._indices(self._id_table, explain_item_ids)
        usable = tf.reduce_any(seen >= 0, axis=1)
        kinds = self._indices(self._event_table, history_events)
        known = tf.where(usable[:, None], asked, schema.PADDING)
        second = self._second_stage(seen, history_events)
        found = explained(self._untracked.model, self._index, seen, kinds, known, history_item_ids, second)
        scores = tf.where(usable[:, None], found[schema.SCORES], self._index.popularity(tf.maximum(asked, 0)))
        return {**found, schema.SCORES: tf.where(asked >= 0, scores, UNKNOWN_SCORE)}

    def _second_stage(self, seen: tf.Tensor, history_events: tf.Tensor) -> Callable[[tf.Tensor], SecondStage] | None:
        """From where the events of variants stand in the request to what makes scores of two stages; None for one."""
        return None

    def similar_items(self, item_ids: tf.Tensor) -> Tensors:
        """The K items with the highest cosine to each item `[B]`, without the item itself; none for unknown ids."""
        index = self._indices(self._id_table, item_ids)
        result = self._index.similar(index)
        return self._item_outputs(result.indices, result.scores, result.count)

    def similar_by_image(self, images: tf.Tensor) -> Tensors:
        """The K items with the highest cosine to items known by a picture `[B]` alone, the contents of image files.

        There are none for what cannot be decoded.
        """
        assert self._images is not None
        vectors, known = self._images.item_vectors(images)
        result = self._index.similar_to(tf.math.l2_normalize(vectors, axis=1), known)
        return self._item_outputs(result.indices, result.scores, result.count)

    def embed(self, texts: tf.Tensor) -> Tensors:
        """Vectors `[B, dim]` of texts `[B]`."""
        return {schema.EMBEDDINGS: self._encode(texts)}

    def _indices(self, table: tf.lookup.StaticHashTable, keys: tf.Tensor) -> tf.Tensor:
        return tf.cast(table.lookup(keys), tf.int32)

    def _history(self, item_ids: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
        """Indices of the items of histories; −1 for unknown ids and for events of the kind that is not read."""
        seen = self._indices(self._id_table, item_ids)
        return seen if self._unread is None else tf.where(events == self._unread, -1, seen)

    def _read(self, seen: tf.Tensor, events: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The query, the boost of repeats and neighbours (indices and values), and whether the row is usable."""
        model = self._untracked.model
        kinds = self._indices(self._event_table, events)
        items, events = compact(seen >= 0, seen, kinds, length=model.memory_history, pads=(-1, -1))
        read, kinds = compact(items >= 0, items, events, length=model.max_history, pads=(-1, -1))
        # Columns that are padding in every row are cut off: the cost of the transformer grows with the length.
        longest = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(read >= 0, tf.int32), axis=1)), 1)
        read, kinds = read[:, :longest], kinds[:, :longest]
        query = model.query_from_vectors(self._index.read(read), read >= 0, kinds)
        return query, model.adjustment(items, events), tf.reduce_any(items >= 0, axis=1)

    def _scores(self, query: tf.Tensor, boost: tuple[tf.Tensor, tf.Tensor], items: tf.Tensor) -> tf.Tensor:
        """Scores float32 `[B, n]` of items int32 `[B, n]`, without padding."""
        places, values = boost
        same = tf.cast(places[:, None, :] == items[:, :, None], tf.float32)
        return tf.einsum("bd,bcd->bc", query, self._index.scored(items)) + tf.einsum("bch,bh->bc", same, values)

    def _answer(
        self,
        query: tf.Tensor,
        boost: tuple[tf.Tensor, tf.Tensor],
        usable: tf.Tensor,
        exclude: tf.Tensor,
        allow: tf.Tensor | None = None,
    ) -> Tensors:
        result = self._index.top(query, usable, exclude=exclude, allow=allow, boost=boost)
        return {**self._item_outputs(result.indices, result.scores, result.count), schema.FALLBACK: ~usable}

    def _item_outputs(self, indices: tf.Tensor, scores: tf.Tensor, count: tf.Tensor) -> Tensors:
        real = tf.range(self.k)[None, :] < count[:, None]
        names = tf.gather(self._ids, tf.where(real, indices, tf.size(self._ids) - 1))
        return {schema.ITEM_IDS: names, schema.SCORES: tf.where(real, scores, 0.0), schema.COUNT: count}

    def _allowed(self, values: tf.Tensor) -> tf.Tensor:
        """bool `[B, items]`: items that have one of the values. Without a known value, no item is allowed."""
        assert self._codes is not None
        codes = self._indices(self._attribute_table, values)
        table = tf.reduce_any(tf.one_hot(codes, self._attribute_values + 1, on_value=True, off_value=False), axis=1)
        allowed = tf.gather(table, self._codes[:, 0], axis=1)
        for column in range(1, self._codes.shape[1]):
            allowed |= tf.gather(table, self._codes[:, column], axis=1)
        return allowed

    def _encode(self, texts: tf.Tensor) -> tf.Tensor:
        """Vectors float32 `[n, dim]`. Tokenisers do not accept n = 0: a text is added then, and its vector dropped."""
        encoder = self._untracked.encoder
        count = tf.size(texts)
        texts = tf.cond(count > 0, lambda: texts, lambda: tf.constant([""]))
        inputs = encoder.inputs(texts, min(self.seq_length, encoder.max_seq_length))
        longest = tf.reduce_max(tf.reduce_sum(inputs[schema.INPUT_MASK], axis=1))
        short = {name: value[:, :longest] for name, value in inputs.items()}
        return encoder.encoder(short)[schema.POOLED_OUTPUT][:count]


class _Untracked:
    """Hides Keras objects from the object graph of the SavedModel; their variables are tracked one by one."""

    def __init__(self, model: Any, encoder: Any) -> None:
        self.model, self.encoder = model, encoder


def _saved_objects(encoder: Any) -> list[Any]:
    """The SavedModels that an encoder was loaded from, which hold its tables and variables."""
    return [getattr(part, "resolved_object", part) for part in (encoder.preprocessor, encoder.encoder)]
