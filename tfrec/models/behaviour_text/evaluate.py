"""What the sigmoid head is worth: probabilities of sampled candidates against what happened."""

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
from tfrec.models.behaviour_text.text_features import query_texts, read_texts
from tfrec.progress import track
from tfrec.training.sampled_negatives import Impressions


def evaluate_behaviour_text_sigmoid(
    model: BehaviourTextModel, dataset: PreparedDataset, split: str, config: RunConfig
) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of the sigmoid head.

    Each target of a query is judged beside `evaluation.negatives` seeded items that are neither in its history nor
    among its targets. Popularity, the training count of the candidate, is measured on the same pairs.

    Returns:
        What `evaluate_probabilities` gives, and `users`, `items`, `protocol`, `baselines`; empty without queries.
    """
    queries = dataset.queries(split)
    metrics = judge(queries, dataset, config, lambda pairs: probabilities(model, queries.history, pairs, dataset))
    if not metrics:
        return {}
    counts = dataset.items[schema.TRAIN_COUNT].to_numpy().astype(np.float64)
    counts /= counts.max(initial=1)
    popularity = judge(queries, dataset, config, lambda pairs: counts[pairs.items])
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


def judge(
    queries: Queries, dataset: PreparedDataset, config: RunConfig, judged: Callable[[Impressions], np.ndarray]
) -> dict[str, Any]:
    """Metrics of the probabilities `judged` on the seeded impressions of the queries; empty without any."""
    if not len(queries):
        return {}
    pairs = Impressions.sample(queries, dataset.num_items, config.evaluation.negatives, config.training.seed)
    return evaluate_probabilities(pairs.labels, judged(pairs))


def probabilities(
    model: BehaviourTextModel, histories: Histories, pairs: Impressions, dataset: PreparedDataset, size: int = 64
) -> np.ndarray:
    """float32 `[n]`: the whole model's probabilities of the pairs. Texts that are read apart are read once."""
    texts = query_texts(model, histories, dataset)
    if model.reads_apart:
        behaviour = read_texts(model.reader, texts, size, "Reading behaviour texts")
        items = read_texts(model.item_reader, dataset.texts, size, "Reading item texts")
        return mlp_probabilities(model, behaviour, items, pairs)
    return _whole(model, np.array(texts, object)[pairs.rows], np.array(dataset.texts, object)[pairs.items], size)


def mlp_probabilities(
    model: BehaviourTextModel, behaviour: np.ndarray, items: np.ndarray, pairs: Impressions
) -> np.ndarray:
    """float32 `[n]`: the sigmoid head on vectors, float32 `[queries, dim]` and `[num_items, dim]`."""
    inputs = {BEHAVIOUR: behaviour[pairs.rows], CANDIDATE: items[pairs.items]}
    return model.mlp.predict(inputs, batch_size=4096, verbose=0)


def _whole(model: BehaviourTextModel, behaviour: np.ndarray, candidates: np.ndarray, size: int) -> np.ndarray:
    spec = tf.TensorSpec([None], tf.string)
    call = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[{schema.BEHAVIOUR_TEXT: spec, schema.CANDIDATE_TEXT: spec}],
    )
    found = []
    for start in track(range(0, len(behaviour), size), "Judging candidates"):
        part = slice(start, start + size)
        texts = {schema.BEHAVIOUR_TEXT: behaviour[part], schema.CANDIDATE_TEXT: candidates[part]}
        found.append(call({name: tf.constant(value, tf.string) for name, value in texts.items()}).numpy())
    return np.concatenate(found)
