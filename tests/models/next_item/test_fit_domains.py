"""What a training on several shops is worth in one that it has not seen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tests.ring_shops import WordVectors, shop
from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.joined_datasets import JoinedDatasets
from tfrec.data.without_training import WithoutTraining
from tfrec.models.next_item import fit_domains as module
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.fit_domains import (
    adopt_elsewhere,
    domain_to_hold_out,
    first_day_weights,
    fit_domains,
    holds_elsewhere,
)
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.training.fit_result import FitResult

SMALL = ["model.dim=8", "model.heads=2", "model.neighbours=2", "model.text_neighbours=2", "model.use_id=false"]


@pytest.fixture(scope="module")
def config():
    return RunConfig().with_values(SMALL)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shops")
    things = {"shoe": 24, "hat": 12, "lamp": 18}
    return JoinedDatasets([shop(folder / thing, thing, users) for thing, users in things.items()])


@pytest.fixture
def few_targets_suffice(monkeypatch):
    monkeypatch.setattr(module, "MIN_TARGETS", 10)


def test_a_catalogue_on_its_first_day_has_queries_and_nothing_else(joined):
    first_day = WithoutTraining(joined.datasets[0])
    queries, same = first_day.queries(schema.VALID), joined.datasets[0].queries(schema.VALID)
    assert_array_equal(queries.target_items, same.target_items)
    assert_array_equal(queries.history.items, same.history.items)
    assert not len(first_day.training().items) and not first_day.items["train_count"].sum()
    assert joined.datasets[0].items["train_count"].sum() == 24 * 4


def test_the_smallest_shop_with_queries_enough_is_left_out(joined, monkeypatch):
    assert domain_to_hold_out(joined) is None  # 100 targets are needed
    for needed, held_out in ((10, 1), (13, 2), (24, 0), (25, None)):
        monkeypatch.setattr(module, "MIN_TARGETS", needed)
        assert domain_to_hold_out(joined) == held_out
    monkeypatch.setattr(module, "MIN_TARGETS", 1)
    assert domain_to_hold_out(JoinedDatasets(joined.datasets[:1])) is None
    # nothing is left to train on where the other shop has had its first day only
    assert domain_to_hold_out(JoinedDatasets([joined.datasets[0], WithoutTraining(joined.datasets[1])])) == 1


@pytest.mark.slow
def test_the_second_network_sees_nothing_of_the_shop_that_it_is_tried_in(
    joined, config, tmp_path, monkeypatch, few_targets_suffice
):
    seen = []

    def fit(dataset, text_vectors, config, loop, *, shortened=None):
        seen.append((dataset, text_vectors, shortened, loop.minutes))
        model = build_next_item_model(dataset, text_vectors, config)
        model.log_temperature.assign(-2.0 - len(seen))
        return FitResult(model, history=[{"loss": 1.0}], metrics_valid={"ndcg@10": 0.1})

    monkeypatch.setattr(module, "fit_frozen", fit)
    vectors = WordVectors.encode(joined.texts)
    budget = config.with_values({"training.time_budget": 3.0})
    result = fit_domains(joined, vectors, budget, workdir=tmp_path, shortened=vectors[None] * 2)
    (all_of_them, *_, whole), (others, theirs, shortened, half) = seen
    assert all_of_them is joined and list(others.domains) == ["shoe", "lamp"] and whole == half == 1.5
    assert_array_equal(theirs, WordVectors.encode(others.texts))
    assert_array_equal(shortened[0], 2 * theirs)
    found = result.elsewhere
    assert found["held_out"] == "hat" and found["queries"] == 12 and found["chosen"] == "untrained"
    assert found["score_weights"]["text_weight"] == 5.0 and found["score_weights"]["decay"] == pytest.approx(0.6)
    assert found["score_weights"]["log_temperature"] == pytest.approx(-4.0 - np.log(1e-3))  # of the second network
    assert len(result.history) == 1 and result.model.num_items == 24


@pytest.mark.parametrize(
    ("difference", "error", "holds"),
    [(0.03, 0.01, True), (0.03, 0.02, False), (0.009, 0.001, False), (0.011, 0.001, True), (0.1, None, False)],
)
def test_a_lead_in_one_new_domain_has_to_be_clear_and_large(difference, error, holds):
    compared = {"difference": difference, "standard_error": error, "valid_ndcg@10": {"untrained": 0.2, "trained": 0}}
    assert holds_elsewhere(compared) is holds


@pytest.mark.slow
def test_texts_alone_count_with_the_decay_that_is_best_over_all_domains(joined, config, monkeypatch):
    """Many people of one shop do not outvote the others: its best decay is 0.8, that of all together 0.4."""
    ndcg = iter([{0.4: 0.8, 0.8: 0.9}, {0.4: 0.01, 0.8: 0.001}, None])
    asked = []

    class Parts:
        def __init__(self, ndcg):
            self.ndcg = lambda weights: np.full(2, ndcg.get(weights.decay, 1e-4))

    def parts(model, queries, *options):
        asked.append((model.num_items, len(queries), model.memory.counts.numpy().max()))
        given = next(ndcg)
        return None if given is None else Parts(given)

    monkeypatch.setattr(module, "sampled_score_parts", parts)
    weights = first_day_weights(joined, WordVectors.encode(joined.texts), config)
    assert weights.decay == 0.4 and weights.cosine == 1e-3 and weights.text_weight == 5.0
    assert asked == [(8, 24, 0), (8, 12, 0), (8, 18, 0)]


@pytest.mark.slow
def test_a_run_that_moves_takes_along_what_was_found_elsewhere(joined, config):
    class Source:
        manifest = {
            "elsewhere": {
                "score_weights": {
                    "weight": 2.0,
                    "text_weight": 3.0,
                    "decay": 0.9,
                    "discount": 0.15,
                    "log_temperature": -1.0,
                }
            }
        }

    one = joined.datasets[1]
    model = build_next_item_model(one, WordVectors.encode(one.texts), config)
    model.repeats.assign([1.0, 2.0, 3.0])
    adopt_elsewhere(model, Source())
    weights = ScoreWeights.from_model(model)
    assert_allclose([weights.weight, weights.text_weight, weights.decay, weights.discount], [2, 3, 0.9, 0.15], 1e-6)
    assert_allclose([weights.newest, weights.others, weights.slope], [1, 2, 3], rtol=1e-6)  # of the catalogue
    assert model.log_temperature.numpy() == -1.0


@pytest.mark.slow
@pytest.mark.nightly
def test_what_holds_in_every_shop_is_trusted_in_a_new_one(config, tmp_path):
    """All shops have the same ring of colours, which texts name: what two of them teach holds in the third."""
    shops = [shop(tmp_path / thing, thing, 120) for thing in ("shoe", "hat", "lamp")]
    learning = ["training.epochs=15", "training.learning_rate=0.01", "model.dropout=0"]
    joined, config = JoinedDatasets(shops), config.with_values(learning)
    result = fit_domains(joined, WordVectors.encode(joined.texts), config, workdir=tmp_path / "run")
    assert result.elsewhere["chosen"] == "trained"
    assert result.elsewhere["valid_ndcg@10"]["trained"] > 0.7  # by chance 0.49
