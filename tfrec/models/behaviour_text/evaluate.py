"""Evaluation of the sigmoid head: predicted probabilities of sampled candidates against what users did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import evaluate_probabilities
from tfrec.models.behaviour_text.heads import BEHAVIOUR, CANDIDATE
from tfrec.models.behaviour_text.model import BehaviourTextModel
from tfrec.models.behaviour_text.text_features import encode_texts, query_texts
from tfrec.progress import track
from tfrec.training.sampled_negatives import Impressions


def evaluate_behaviour_text_sigmoid(
    model: BehaviourTextModel, dataset: PreparedDataset, split: str, config: RunConfig
) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of the sigmoid head.

    Each target of a query is scored along with `evaluation.negatives` items, sampled with a fixed seed from those that
    are neither in the query's history nor among its targets. The popularity baseline, the candidate's training count,
    is evaluated on the same pairs.

    Args:
        model: A BehaviourTextModel with the sigmoid head.
        dataset: Provides the queries and the item texts.
        split: "valid" or "test".
        config: Sections `evaluation` and `training` (its seed).

    Returns:
        The metrics of `evaluate_probabilities`, plus `users`, `items`, `protocol` and `baselines`. Empty if the split
        has no queries.
    """
    queries = dataset.queries(split)
    metrics = sampled_metrics(
        queries, dataset, config, lambda pairs: probabilities(model, queries.history, pairs, dataset)
    )
    if not metrics:
        return {}
    counts = dataset.items[schema.TRAIN_COUNT].to_numpy().astype(np.float64)
    counts /= counts.max(initial=1)
    popularity = sampled_metrics(queries, dataset, config, lambda pairs: counts[pairs.items])
    return {
        **metrics,
        "users": len(queries),
        "items": dataset.num_items,
        "protocol": {
            "split": dataset.manifest["split"],
            "part": split,
            "negatives": config.evaluation.negatives,
            "sampling": "uniform over items neither in the history nor among the targets",
        },
        "baselines": {"popularity": {"auc": popularity["auc"]}},
    }


def sampled_metrics(
    queries: Queries, dataset: PreparedDataset, config: RunConfig, predict: Callable[[Impressions], np.ndarray]
) -> dict[str, Any]:
    """Metrics of a predictor on each query's targets and sampled negatives.

    Args:
        queries: The queries to evaluate.
        dataset: Provides the number of items.
        config: Sections `evaluation` (number of negatives) and `training` (seed).
        predict: Maps `n` (query, item) pairs to probabilities, float `[n]`.

    Returns:
        The metrics of `evaluate_probabilities`; empty if there are no queries.
    """
    if not len(queries):
        return {}
    pairs = Impressions.sample(queries, dataset.num_items, config.evaluation.negatives, config.training.seed)
    return evaluate_probabilities(pairs.labels, predict(pairs))


def probabilities(
    model: BehaviourTextModel, histories: Histories, pairs: Impressions, dataset: PreparedDataset, size: int = 64
) -> np.ndarray:
    """Probabilities that the full model assigns to pairs. Separately encoded texts are encoded only once.

    Args:
        model: A BehaviourTextModel with the sigmoid head.
        histories: The histories that `pairs.rows` refers to.
        pairs: The `n` (history, item) pairs.
        dataset: Provides the item texts and event kinds.
        size: int. Texts per encoder batch.

    Returns:
        float32 `[n]`.
    """
    texts = query_texts(model, histories, dataset)
    if model.encodes_separately:
        behaviour = encode_texts(model.behaviour_encoder, texts, size, "Encoding behaviour texts")
        items = encode_texts(model.item_encoder, dataset.texts, size, "Encoding item texts")
        return mlp_probabilities(model, behaviour, items, pairs)
    return _joint_probabilities(
        model, np.array(texts, object)[pairs.rows], np.array(dataset.texts, object)[pairs.items], size
    )


def mlp_probabilities(
    model: BehaviourTextModel, behaviour: np.ndarray, items: np.ndarray, pairs: Impressions
) -> np.ndarray:
    """Probabilities of the sigmoid head, given encoded texts.

    Args:
        model: A BehaviourTextModel with the sigmoid head.
        behaviour: float32 `[queries, dim]`, encoded behaviour texts.
        items: float32 `[num_items, dim]`, encoded item texts.
        pairs: The `n` (query, item) pairs.

    Returns:
        float32 `[n]`.
    """
    inputs = {BEHAVIOUR: behaviour[pairs.rows], CANDIDATE: items[pairs.items]}
    return model.mlp.predict(inputs, batch_size=4096, verbose=0)


def _joint_probabilities(
    model: BehaviourTextModel, behaviour: np.ndarray, candidates: np.ndarray, size: int
) -> np.ndarray:
    """float32 `[n]`: the model encodes each behaviour text and its candidate together."""
    spec = tf.TensorSpec([None], tf.string)
    call = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[{schema.BEHAVIOUR_TEXT: spec, schema.CANDIDATE_TEXT: spec}],
    )
    batches = []
    for start in track(range(0, len(behaviour), size), "Scoring candidates"):
        batch = slice(start, start + size)
        texts = {schema.BEHAVIOUR_TEXT: behaviour[batch], schema.CANDIDATE_TEXT: candidates[batch]}
        batches.append(call({name: tf.constant(value, tf.string) for name, value in texts.items()}).numpy())
    return np.concatenate(batches)
