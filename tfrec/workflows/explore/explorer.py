"""Explores a trained run: search, recommendations with reasons, similar items, new items. Used by `tfrec explore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import tensorflow as tf

from tfrec import schema
from tfrec.data.item_groups import facets, labels, shown_columns
from tfrec.data.padding import history_batch
from tfrec.errors import InvalidInput
from tfrec.explanation.shapley import Shares
from tfrec.explanation.words import MOST_UNITS, explain_words
from tfrec.models.family import Ability
from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts
from tfrec.models.registry import families_with, family_of
from tfrec.models.shared.unread_impressions import hides_impressions
from tfrec.retrieval import TopKResult, diversify, top_k_numpy
from tfrec.retrieval.items_to_recommend import items_to_recommend
from tfrec.retrieval.unit_vectors import unit_vectors
from tfrec.workflows.explore.answers import Card, Reason, Recommendation
from tfrec.workflows.explore.item_categories import categories
from tfrec.workflows.explore.item_map import ItemMap, item_map
from tfrec.workflows.explore.reasons import Reasons

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset
    from tfrec.runs import Run

_BATCH = 256


class Explorer:
    """Searches, recommends and explains with a next-item run.

    Args:
        run: A next-item run.

    Raises:
        InvalidInput: The run's family cannot be explored.
    """

    def __init__(self, run: Run) -> None:
        if not family_of(run.kind).can(Ability.EXPLORE, run.config):
            families = families_with(Ability.EXPLORE)
            raise InvalidInput(f"tfrec explore supports {families} runs, received {run.kind!r}.")
        self.run = run
        self.ids = [str(item) for item in run.item_ids]
        self.counts = run.item_counts
        self._place = {item: place for place, item in enumerate(self.ids)}
        self._history_vectors = run.model.history_vectors()
        self._unit = run.model.item_vectors().numpy()
        allowed = items_to_recommend(run.config, run.items)
        self._in_lists = np.ones(len(self.ids), bool) if allowed is None else allowed
        names = [name for name in schema.TITLES if name in run.items.columns]
        texts = run.items[schema.TEXT].to_list()
        titles = run.items[names[0]].cast(pl.String).to_list() if names else texts
        self.titles = [title or text or item for title, text, item in zip(titles, texts, self.ids)]
        self._words = [f"{title} {text}".lower() for title, text in zip(self.titles, texts)]
        self.facets = facets(run.items)
        self.categories = categories(self.facets)
        self._shown = [*shown_columns(run.items), schema.TEXT]
        self._reasons = Reasons(run)

    @cached_property
    def map(self) -> ItemMap:
        """Positions of the items on a plane."""
        return item_map(self._unit)

    def place(self, item_id: str) -> int | None:
        """Index of an item in the catalogue; None if it is unknown."""
        return self._place.get(item_id)

    def card(self, item_id: str) -> Card:
        """The item's card; raises `InvalidInput` if the id is unknown."""
        if item_id not in self._place:
            raise InvalidInput(f"The catalogue has no item {item_id!r}. Search for it by its text.")
        place = self._place[item_id]
        row = self.run.items.row(place, named=True)
        shown = {name: ", ".join(labels(row[name])) for name in self._shown}
        text = shown.pop(schema.TEXT)
        facts = {name: value for name, value in shown.items() if value} or ({schema.TEXT: text} if text else {})
        category = -1 if self.categories is None else int(self.categories.of_item[place])
        events = int(self.counts[place])
        return Card(item_id, self.titles[place], facts, events, place, category if category >= 0 else None)

    def text(self, item_id: str) -> str:
        """The text of an item of the catalogue, as the encoder reads it."""
        return self.run.items[schema.TEXT][self._place[item_id]] or ""

    def search(self, text: str, limit: int = 20) -> list[str]:
        """Finds items whose id is `text` or whose title or text contains all its words.

        If there are none and the model uses text, finds the items with the most similar text vectors. An empty text
        finds the most popular items.

        Args:
            text: Words or an item id.
            limit: int. Maximum number of results.

        Returns:
            Item ids; an exact id comes first, the others are sorted by popularity.
        """
        words = text.lower().split()
        order = np.argsort(-self.counts, kind="stable")
        matches = [self.ids[place] for place in order if all(word in self._words[place] for word in words)]
        exact = [text.strip()] if text.strip() in self._place else []
        matches = exact + [item for item in matches if item not in exact]
        if not matches and self.reads_text:
            vector = self._text_vector(text, "query")
            matches = [card.item_id for card, _ in self._cards(self._unit @ vector, limit)]
        return matches[:limit]

    @property
    def reads_text(self) -> bool:
        """Whether the model uses item text, and so can compute a vector for a new item."""
        return bool(self.run.model.text_width)

    def recommend(
        self,
        history: Sequence[str],
        events: Sequence[str] | None = None,
        *,
        k: int = 10,
        diversity: float = 0.0,
        exclude_seen: bool = True,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> list[Recommendation]:
        """Recommends items for a history, with reasons.

        Args:
            history: Item ids, oldest first; unknown ids are ignored.
            events: The kind of each event; None if all are of the run's first kind.
            k: int. Number of items; fewer if the filters leave fewer.
            diversity: float in 0…1, the `strength` of `diversify`, which chooses from the best 3k items.
            exclude_seen: Whether to leave out items of the history.
            where: Allowed values for columns of `facets`; an item must have one of the values of each column.

        Raises:
            InvalidInput: `k` is below 1, `diversity` is outside 0…1, or a column is unknown.
        """
        if k < 1 or not 0 <= diversity <= 1:
            raise InvalidInput(f"Expected k of at least 1 and diversity in 0…1, received {k} and {diversity}.")
        kinds = events if events is not None else [self.run.event_kinds[0]] * len(history)
        unread = schema.IMPRESSION if hides_impressions(self.run.config, self.run.event_kinds) else None
        pairs = [pair for pair in zip(history, kinds, strict=True) if pair[0] in self._place and pair[1] != unread]
        known = [(self._place[item], kind) for item, kind in pairs]
        seen = np.array([place for place, _ in known], np.int64)
        scores, parts = self._scores(known)
        allowed = self._allowed(where or {})
        if exclude_seen:
            allowed[seen] = False
        chosen = self._choose(np.where(allowed, scores, -np.inf), k, diversity if known else 0.0)
        reasons = self._reasons.of(known, chosen, ~allowed, k if not diversity else 0)
        return [
            Recommendation(
                card=self.card(self.ids[place]),
                rank=rank,
                score=float(scores[place]),
                parts={name: float(part[place]) for name, part in parts.items()},
                because=tuple(self._reason(int(place), *event) for event in because),
                without=tuple(self.card(self.ids[item]) for item in without),
                seen=bool((seen == place).any()),
                fallback=not known,
            )
            for rank, (place, (because, without)) in enumerate(zip(chosen, reasons), 1)
        ]

    def words(self, text: str, history: Sequence[str]) -> Shares | None:
        """What the first words of an item's text add to the network's score after a history; None if that is unknown.

        Args:
            text: The text of an item, in the catalogue or not.
            history: Item ids, oldest first; unknown ids are ignored.
        """
        words = " ".join(text.split()[:MOST_UNITS])
        if not words or not self.reads_text or not any(item in self._place for item in history):
            return None
        return explain_words(self.run, words, history=history, permutations=2)

    def similar(self, item_id: str, k: int = 10) -> list[tuple[Card, float]]:
        """The `k` items most similar to a catalogue item, without the item itself, with their cosines."""
        self.card(item_id)
        place = self._place[item_id]
        cosines = self._unit @ self._unit[place]
        cosines[place] = -np.inf
        return self._cards(cosines, k)

    def similar_to_text(self, text: str, k: int = 10) -> list[tuple[Card, float]]:
        """The `k` items most similar to a new item with the given text, with their cosines."""
        return self._cards(self._unit @ self._text_vector(text), k)

    def who_would_like(self, text: str, dataset: PreparedDataset, k: int = 10) -> list[tuple[str, float, int]]:
        """The users whose histories fit a new item with the given text best.

        Args:
            text: Text of the new item.
            dataset: Provides the users and their full histories.
            k: int. Maximum number of users.

        Returns:
            Tuples (user id, score, rank), best first. The rank, from 1, is the one that the item would have in the
            catalogue by cosine alone.
        """
        vector, histories = self._text_vector(text), dataset.histories()
        rows = np.flatnonzero(histories.lengths > 0)
        model = self.run.model
        queries = [
            model.query(_untimed(history_batch(histories, rows[at : at + _BATCH], model.max_history))).numpy()
            for at in range(0, len(rows), _BATCH)
        ]
        query = np.concatenate(queries) if queries else np.zeros([0, len(vector)], np.float32)
        # All queries have the same norm, so scores of different users are comparable.
        scores = query @ vector
        best = np.argsort(-scores, kind="stable")[:k]
        places = 1 + (query[best] @ self._unit.T > scores[best, None]).sum(axis=1)
        users = histories.user_ids[rows[best]]
        return [(str(user), float(score), int(at)) for user, score, at in zip(users, scores[best], places)]

    def _scores(self, known: list[tuple[int, str]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Scores of the whole catalogue and their parts; without a history, training events and no parts."""
        if not known:
            return self.counts.astype(np.float32), {}
        model = self.run.model
        code = {kind: number for number, kind in enumerate(self.run.event_kinds)}
        newest = known[-model.memory_history :]
        inputs = {
            schema.HISTORY_ITEMS: np.array([[place for place, _ in newest]], np.int32),
            schema.HISTORY_EVENTS: np.array([[code.get(kind, -1) for _, kind in newest]], np.int32),
            schema.HISTORY_GAPS: np.zeros([1, len(newest)], np.float32),
        }
        scores = model.scores(inputs, self._history_vectors).numpy()[0]
        parts = catalogue_parts(model, inputs, self._history_vectors)
        return scores, {name: part.numpy()[0] for name, part in parts.items()}

    def _choose(self, scores: np.ndarray, k: int, diversity: float) -> np.ndarray:
        pool = min(3 * k if diversity else k, len(scores))
        indices, best, count = top_k_numpy(scores[None].astype(np.float32), pool)
        if diversity:
            top = TopKResult(tf.constant(best), tf.constant(indices), tf.constant(count))
            indices = diversify(top, self._unit[np.maximum(indices, 0)], min(k, pool), diversity).indices.numpy()
        return indices[0][indices[0] >= 0]

    def _allowed(self, where: Mapping[str, Sequence[str]]) -> np.ndarray:
        allowed = self._in_lists.copy()
        for column, values in where.items():
            if column not in self.facets:
                raise InvalidInput(f"Expected a filter on one of {', '.join(self.facets)}, received {column!r}.")
            if values:
                allowed &= np.array([bool(set(values) & row) for row in self.facets[column].of_item])
        return allowed

    def _reason(self, place: int, item: int, effect: float) -> Reason:
        """An event on `item` as a reason for the item at `place`."""
        together, memory = 0, self.run.model.memory
        if memory is not None and memory.k:
            near, counts = memory.near[item].numpy(), memory.counts[item].numpy()
            together = int(counts[near == place].sum())
        alike = float(self._unit[item] @ self._unit[place])
        return Reason(self.card(self.ids[item]), together, alike, effect)

    def _cards(self, cosines: np.ndarray, k: int) -> list[tuple[Card, float]]:
        cosines = np.where(self._in_lists, cosines, -np.inf)
        best = np.argsort(-cosines, kind="stable")[:k]
        return [(self.card(self.ids[i]), float(cosines[i])) for i in best if np.isfinite(cosines[i])]

    def _text_vector(self, text: str, kind: str = "item") -> np.ndarray:
        """float32 `[dim]`: the unit vector of a new item with this text, or of a query for items like it."""
        if not self.reads_text:
            raise InvalidInput(
                "This run was trained with model.use_text=false, so it cannot compute a vector for a new text."
            )
        config = self.run.config.encoder
        options = {"batch_size": config.batch_size, "seq_length": config.seq_length}
        vectors = self._encoder().encode([text], **options, kind=kind)
        return unit_vectors(self.run.model.text_to_vector(vectors).numpy())[0]

    def _encoder(self) -> Any:
        if not hasattr(self, "_loaded_encoder"):
            self._loaded_encoder = self.run.encoder()
        return self._loaded_encoder


def _untimed(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**inputs, schema.HISTORY_GAPS: np.zeros_like(inputs[schema.HISTORY_GAPS])}
