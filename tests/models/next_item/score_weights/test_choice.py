"""Whether a run keeps its trained network: only if validation says that it is worth more than counts and texts."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest
import tensorflow as tf

from tfrec import RunConfig, prepare
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.score_weights.choice import balance, worth_its_training
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import measured
from tfrec.models.next_item.warm_start import copy_earlier_weights
from tfrec.training.fit_result import FitResult

PAIRS = 20


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """60 people who take a thing of five pairs each, at random, and then the other one of the last pair.

    That is validated with, so training never sees both of a pair. No item has a text.
    """
    rng, rows = np.random.default_rng(0), []
    for user in range(60):
        taken = 2 * rng.permutation(PAIRS)[:5] + rng.integers(2, size=5)
        taken = [*taken, taken[-1] ^ 1, rng.integers(2 * PAIRS)]
        rows += [(f"u{user}", f"i{item}", step) for step, item in enumerate(taken)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return prepare(events, None, tmp_path_factory.mktemp("log") / "data", split="leave-one-out")


@pytest.fixture
def config():
    return RunConfig().with_values(["model.dim=8", "model.heads=1", "model.layers=0", "model.neighbours=4"])


def knowing(log, config, pairs):
    """A model whose network finds the other one of a pair, as if training had taught it, or knows nothing."""
    model = build_next_item_model(log, None, config)
    vectors = np.random.default_rng(1).normal(size=(PAIRS, 8))
    if pairs:
        model.items.ids.assign(5 * vectors[[int(item[1:]) // 2 for item in log.item_ids]])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [True, False])
def test_the_network_is_kept_where_it_is_worth_more_than_counts_and_the_run_says_so(log, config, pairs, capsys):
    result = FitResult(knowing(log, config, pairs), metrics_valid={"ndcg@10": 0.0})
    kept = balance(result, log, config)
    found = result.score_weights
    assert found["chosen"] == ("trained" if pairs else "untrained") and found["queries"] == 60
    assert (found["difference"] > 0.3) == pairs
    assert (float(tf.exp(result.model.log_temperature)) > 1) != pairs
    said = capsys.readouterr().err
    assert f"Kept on validation: {found['chosen']} (ndcg@10 {found['valid_ndcg@10']['untrained']:.4f}; trained" in said
    metrics, ndcg = measured(NextItemScorer(result.model), log.queries("valid"), log, config)
    assert result.metrics_valid == pytest.approx(metrics) and kept.ndcg == pytest.approx(ndcg)
    assert metrics["ndcg@10"] == pytest.approx(found["valid_ndcg@10"][found["chosen"]], abs=1e-6)


def test_without_the_network_the_lists_are_those_of_the_memory(log, config):
    model, queries = knowing(log, config, pairs=True), log.queries("valid")
    ScoreWeights.from_model(model).without_network().assign_to(model)
    scores = NextItemScorer(model).scores(queries.history, np.arange(20))
    items = np.stack([queries.history.items[queries.history.row(row)] for row in range(20)])
    memory = model.memory.catalogue_scores(tf.constant(items)).numpy()
    memory[np.arange(20)[:, None], items] += model.repeats.coefficients[0]
    assert np.abs(scores - memory).max() < 0.03  # what is left of the network


@pytest.mark.parametrize(
    ("gain", "spread", "queries", "kept"),
    [
        (0.1, 0.01, 100, True),
        (0.01, 0.2, 100, False),  # half a standard error ahead
        (0.0, 0.0, 100, False),
        (0.5, 0.0, 1, False),  # one query decides nothing
        (-0.001, 0.2, 2500, True),  # a quarter of a standard error behind
        (-0.02, 0.2, 2500, False),
    ],
)
def test_few_queries_ask_for_a_lead_and_many_for_no_lag(gain, spread, queries, kept):
    noise = np.where(np.arange(queries) % 2, spread, -spread)
    assert worth_its_training(0.5 + gain + noise, np.full(queries, 0.5)) == kept


def test_a_network_that_was_left_out_can_be_trained_further(log, config):
    """Its score weights would leave next to no gradient."""

    class Earlier:
        config, item_ids, items, event_kinds, path = RunConfig(), log.item_ids, log.items, log.event_kinds, "earlier"

    old, fresh = knowing(log, config, pairs=True), build_next_item_model(log, None, config)
    ScoreWeights.from_model(old).without_network().assign_to(old)
    Earlier.model, temperatures = old, []
    for chosen in ("untrained", "trained"):
        Earlier.manifest = {"model": old.get_config(), "score_weights": {"chosen": chosen}}
        model = build_next_item_model(log, None, config)
        copy_earlier_weights(model, log, Earlier)
        temperatures.append(float(model.log_temperature))
        assert np.array_equal(model.items.ids, old.items.ids)
    assert temperatures == pytest.approx([float(fresh.log_temperature), float(old.log_temperature)])
