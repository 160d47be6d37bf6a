"""Which words matter: of a behaviour text, of a candidate's text, or of an item's text for a history."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.behaviour_text import BETWEEN_EVENTS
from tfrec.errors import InvalidInput
from tfrec.explanation.shapley import Shares, shapley
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.models.next_item.model import NextItemModel
from tfrec.runs.run import Run, load_run

MOST_UNITS = 64
"""Words that are weighed; the encoder is asked some twenty times as often."""


def explain_words(
    run: Run | str | Path,
    text: str,
    item_id: str | None = None,
    *,
    history: Sequence[str] = (),
    by: str = "word",
    permutations: int = 8,
    seed: int = 0,
) -> Shares:
    """Says what the words of a text add to what a model says, by Shapley values over deleted words.

    What is explained depends on the run: for behaviour-text with the softmax head, the log of the probability of
    `item_id` after the behaviour `text`; with the sigmoid head, the logit that the user of the behaviour `text` acts on
    `item_id`; for next-item, the network's score of an item with this `text`, in the catalogue or not, after `history`.

    Args:
        run: A behaviour-text run, or a next-item run that uses text; or its folder.
        text: The text.
        item_id: The item, for behaviour-text.
        history: Item ids, oldest first, for next-item.
        by: "word"; or "event", the events of a behaviour text; or "field", what stands between commas.
        permutations: int. Orders in which the words come in; more are steadier.
        seed: int. Of these orders.

    Returns:
        A `Shares`, whose effects sum to what the text says beyond an empty one.

    Raises:
        InvalidInput: The run uses no text, the item is not in the catalogue, the text is empty or too long, or no item
            of the history is known.

    Example:
        tfrec.explanation.explain_words("runs/text", "viewed: Tea pot; bought: Green tea", "i7")
    """
    trained = load_run(run)
    pieces, glue = units_of(text, by)
    if not 1 <= len(pieces) <= MOST_UNITS:
        raise InvalidInput(
            f"Expected a text of 1 to {MOST_UNITS} parts, received {len(pieces)}. Shorten it, or pass by='event' or "
            "by='field'."
        )
    model = trained.model
    if isinstance(model, BehaviourTextModel):
        score = _of_behaviour_text(trained, model, item_id)
    elif isinstance(model, NextItemModel) and model.text_width:
        score = _of_item_text(trained, model, history)
    else:
        raise InvalidInput(f"{trained.path} is a {trained.kind} run that uses no text. Pass one that does.")

    def value(there: np.ndarray) -> np.ndarray:
        return score([glue.join(piece for piece, kept in zip(pieces, row) if kept) for row in there])

    return shapley(value, pieces, permutations=permutations, seed=seed)


def units_of(text: str, by: str) -> tuple[list[str], str]:
    """The parts of a text, and what joins them.

    Example:
        >>> units_of("viewed: Tea pot; bought: Green tea", "event")
        (['viewed: Tea pot', 'bought: Green tea'], '; ')
    """
    separators = {"word": (r"\s+", " "), "event": (re.escape(BETWEEN_EVENTS), BETWEEN_EVENTS), "field": (r",\s*", ", ")}
    if by not in separators:
        raise InvalidInput(f"Expected by to be one of {', '.join(separators)}, received {by!r}.")
    pattern, glue = separators[by]
    return [piece for piece in re.split(pattern, text.strip()) if piece], glue


def _of_behaviour_text(run: Run, model: BehaviourTextModel, item_id: str | None) -> Callable[[list[str]], np.ndarray]:
    place = _place(run, item_id)
    candidate = str(run.items[schema.TEXT][place] or "")

    def score(texts: list[str]) -> np.ndarray:
        inputs = {schema.BEHAVIOUR_TEXT: tf.constant(texts)}
        if model.head_kind == "softmax":
            return np.log(np.maximum(model(inputs, training=False).numpy()[:, place], 1e-30))
        inputs[schema.CANDIDATE_TEXT] = tf.fill([len(texts)], candidate)
        chance = np.clip(model(inputs, training=False).numpy().astype(np.float64), 1e-7, 1 - 1e-7)
        logits: np.ndarray = np.log(chance / (1 - chance))
        return logits

    return score


def _of_item_text(run: Run, model: NextItemModel, history: Sequence[str]) -> Callable[[list[str]], np.ndarray]:
    places = {str(item): place for place, item in enumerate(run.item_ids)}
    known = [places[item] for item in history if item in places][-model.max_history :]
    if not known:
        raise InvalidInput(f"Expected a history with items of the catalogue, received {list(history)[:3]!r}.")
    inputs = {
        schema.HISTORY_ITEMS: np.array([known], np.int32),
        schema.HISTORY_EVENTS: np.zeros([1, len(known)], np.int32),
        schema.HISTORY_GAPS: np.zeros([1, len(known)], np.float32),
    }
    query, encoder, options = model.query(inputs).numpy()[0], run.encoder(), run.config.encoder

    def score(texts: list[str]) -> np.ndarray:
        vectors = encoder.encode(texts, batch_size=options.batch_size, seq_length=options.seq_length)
        unit = tf.math.l2_normalize(model.text_to_vector(tf.constant(vectors)), axis=-1)
        scores: np.ndarray = unit.numpy() @ query
        return scores

    return score


def _place(run: Run, item_id: str | None) -> int:
    places = {str(item): place for place, item in enumerate(run.item_ids)}
    if item_id not in places:
        raise InvalidInput(f"The catalogue has no item {item_id!r}. Pass item_id, an item of the run.")
    return places[str(item_id)]
