"""The search for score weights: helpful parts gain weight, noise is not fitted, and the model is left unchanged."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
from numpy.testing import assert_allclose

from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import evaluate_ranking
from tfrec.models import NextItemModel
from tfrec.models.next_item.score_weights.decomposition import ScoreParts
from tfrec.models.next_item.score_weights.search import score_weight_candidates, search_score_weights
from tfrec.models.next_item.score_weights.weights import ScoreWeights, temporary_score_weights
from tfrec.models.next_item.scorer import NextItemScorer

ITEMS = 40


def queries(targets, seed=0, users=300):
    """Histories of 12 events over 40 items; `targets(rng, history)` is what came next."""
    rng = np.random.default_rng(seed)
    items = rng.integers(0, ITEMS, (users, 12))
    wanted = [targets(rng, row) for row in items]
    one = np.zeros(items.size, np.int64)
    flat = Histories(
        user_ids=np.array([f"u{u}" for u in range(len(items))], object),
        offsets=np.arange(len(items) + 1) * 12,
        items=items.ravel().astype(np.int32),
        events=one,
        timestamps=one,
        values=one.astype(np.float32),
        is_target=one == 0,
    )
    return Queries(flat, np.arange(len(items) + 1), np.array(wanted, np.int32))


@pytest.fixture
def model():
    made = NextItemModel(ITEMS, 1, dim=8, heads=2, max_history=4, memory_history=20, neighbours=1)
    after = (np.arange(ITEMS) + 1) % ITEMS
    made.memory.remember((after[:, None].astype(np.int32), np.full((ITEMS, 1), 3, np.float32)), None)
    return made


def ndcg(model, asked):
    return evaluate_ranking(NextItemScorer(model), asked, num_items=ITEMS, ks=(10,), bootstrap=0).metrics["ndcg@10"]


@pytest.mark.slow
def test_repeating_the_most_frequent_item_raises_the_slope(model):
    """The habit goes back further than the transformer reads, and was not learnt in training."""
    asked = queries(lambda rng, row: np.bincount(row).argmax())
    found = search_score_weights(model, asked)
    before = ndcg(model, asked)
    found.assign_to(model)
    assert found.slope > 1 and ndcg(model, asked) > before + 0.2


@pytest.mark.slow
def test_an_informative_memory_gains_weight_and_a_short_decay(model):
    model.memory.assign(weight=0.05)
    found = search_score_weights(model, queries(lambda rng, row: (row[-1] + 1) % ITEMS))
    assert found.weight / found.cosine > 0.2 and found.decay <= 0.8


@pytest.mark.slow
def test_a_candidate_lowers_the_network_where_no_single_weight_gains(model):
    """The memory predicts the targets, but beside a network of large scores one step of either weight has no effect."""
    model.memory.assign(weight=0.02)
    model.log_temperature.assign(np.log(0.002))
    asked = queries(lambda rng, row: (row[-1] + 1) % ITEMS)
    values = []
    for weights in (search_score_weights(model, asked), *score_weight_candidates(model, asked)):
        with temporary_score_weights(model, weights):
            values.append(ndcg(model, asked))
    assert values[1] == values[0] and max(values) > values[0] + 0.1


@pytest.mark.slow
def test_the_popularity_weight_rises_only_if_targets_follow_popularity():
    made = NextItemModel(ITEMS, 1, dim=8, heads=2, max_history=4, popular=10)
    counts = 1000 // (np.arange(ITEMS) + 1)
    made.popularity.remember(counts)
    chances = counts / counts.sum()
    asked, held_out = (queries(lambda rng, row: rng.choice(ITEMS, p=chances), seed) for seed in (0, 1))
    found, before = search_score_weights(made, asked), ndcg(made, held_out)
    with temporary_score_weights(made, found):
        assert found.popularity > 0 and ndcg(made, held_out) > before + 0.2
    assert ScoreWeights.from_model(made).popularity == 0
    assert (
        search_score_weights(made, queries(lambda rng, row: ITEMS - 1 - rng.choice(ITEMS, p=chances))).popularity == 0
    )


@pytest.mark.slow
def test_frequent_items_are_discounted_if_rare_ones_predict_the_target(model):
    """The newest item is frequent, and the target is a neighbour of the rare item before it."""
    near = (np.arange(ITEMS) + 1) % ITEMS
    often = np.where(np.arange(ITEMS) % 2, 1, 500)
    counts = np.full((ITEMS, 1), 3, np.float32)
    model.memory.remember((near[:, None].astype(np.int32), counts), None, often)
    model.memory.assign(discount=0.0, weight=5.0)
    asked = queries(lambda rng, row: (row[row % 2 == 1][-1] + 1) % ITEMS if (row % 2).any() else row[-1])
    found = search_score_weights(model, asked, names=["discount"])
    before = ndcg(model, asked)
    found.assign_to(model)
    assert found.discount > 0 and ndcg(model, asked) > before + 0.01


@pytest.mark.slow
def test_assigned_weights_are_read_back_and_found_again(model):
    asked = queries(lambda rng, row: (row[-3] + 1) % ITEMS)
    found = search_score_weights(model, asked)
    found.assign_to(model)
    assert vars(ScoreWeights.from_model(model)) == pytest.approx({**vars(found), "cosine": 1.0})
    assert vars(search_score_weights(model, asked)) == pytest.approx({**vars(found), "cosine": 1.0})


@pytest.mark.slow
def test_a_bias_by_event_kind_counts_like_a_bias_on_all_items():
    made = NextItemModel(ITEMS, 2, dim=8, heads=2, max_history=4, memory_history=20)
    asked = queries(lambda rng, row: np.bincount(row).argmax())
    found = []
    for numbers in ([3, 3, 0, 0, 0], [0, 0, 0, 3, -9]):  # all events are of kind 0
        made.repeats.scaled.assign(np.array(numbers, np.float32) / 20)
        found.append(vars(search_score_weights(made, asked)))
    plain, by_kind = found
    assert by_kind == pytest.approx({**plain, "newest": plain["newest"] - 3, "others": plain["others"] - 3})
    assert plain["slope"] > 1


@pytest.mark.slow
def test_noise_changes_little_and_the_model_is_left_unchanged(model):
    before = [weight.numpy() for weight in model.weights]
    asked = queries(lambda rng, row: rng.integers(ITEMS))
    found = search_score_weights(model, asked, exclude_seen=True)
    for old, weight in zip(before, model.weights, strict=True):
        assert_allclose(weight, old)
    held_out = queries(lambda rng, row: rng.integers(ITEMS), seed=1)
    start = ndcg(model, held_out)
    found.assign_to(model)
    assert abs(ndcg(model, held_out) - start) < 0.04


@pytest.mark.parametrize(
    ("users", "targets", "changes"), [(99, 1, False), (100, 1, True), (49, 3, False), (50, 3, True)]
)
def test_too_few_queries_or_targets_change_nothing(model, users, targets, changes):
    asked = queries(lambda rng, row: np.bincount(row).argmax(), users=users)
    wanted = (asked.target_items[:, None] + np.arange(targets)) % ITEMS
    asked = Queries(asked.history, np.arange(users + 1) * targets, wanted.ravel().astype(np.int32))
    assert (search_score_weights(model, asked) != ScoreWeights.from_model(model)) == changes
    assert changes or score_weight_candidates(model, asked) == [ScoreWeights.from_model(model)]


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_queries_are_ranked_as_by_the_scores_of_the_whole_catalogue(most, exclude_seen, monkeypatch):
    """Compared with the scores of the model under the same weights, and a loop over them."""
    monkeypatch.setattr("tfrec.models.next_item.score_weights.decomposition.QUERIES_PER_BLOCK", 30)
    monkeypatch.setattr("tfrec.models.next_item.score_weights.decomposition.CELLS_PER_SLICE", 100)
    rng = np.random.default_rng(3)
    made = NextItemModel(
        ITEMS, 2, dim=8, heads=2, max_history=4, memory_history=20, neighbours=3, text_neighbours=2, popular=5
    )
    near, alike = (np.stack([rng.choice(ITEMS, k, replace=False) for _ in range(ITEMS)]) for k in (3, 2))
    near[::7, 1:] = -1
    counts, kernel = (rng.uniform(0, 5, one.shape).astype(np.float32) for one in (near, alike))
    made.memory.remember((near.astype(np.int32), counts), (alike.astype(np.int32), kernel), rng.integers(1, 99, ITEMS))
    made.popularity.remember(2 ** rng.permutation(ITEMS))
    drawn = queries(lambda rng, row: 0, users=80)
    lengths = rng.integers(1, 5, len(drawn))
    wanted = [rng.choice(ITEMS, rng.integers(1, most + 1), replace=False) for _ in lengths]
    asked = Queries(
        drawn.history.prefixes(np.arange(len(drawn)), lengths),
        np.concatenate([[0], np.cumsum([len(one) for one in wanted])]),
        np.concatenate(wanted).astype(np.int32),
    )
    rows = rng.permutation(len(asked))[:70]
    parts = ScoreParts(made, asked, rows, exclude_seen)
    for _ in range(3):
        decay, discount, cosine = rng.choice([0.6, 0.9]), rng.choice([0.0, 0.3]), rng.choice([0.02, 0.5])
        weights = ScoreWeights(cosine, *rng.uniform(0, 2, 2), decay, discount, *rng.normal(0, 2, 3), rng.uniform(0, 2))
        with temporary_score_weights(made, weights):
            scores = NextItemScorer(made).scores(asked.history, rows)
        values = []
        for row, line in zip(rows, scores, strict=True):
            taken = asked.history.items[asked.history.offsets[row] : asked.history.offsets[row + 1]]
            left = [item for item in range(ITEMS) if not (exclude_seen and item in taken)]
            best = sorted(left, key=lambda item: -line[item])[:10]
            gains = [1 / np.log2(place + 2) for place, item in enumerate(best) if item in wanted[row]]
            values.append(sum(gains) / sum(1 / np.log2(place + 2) for place in range(len(wanted[row]))))
        assert_allclose(parts.ndcg(weights), values, rtol=1e-6)
        assert 0.1 < np.mean(values) < 0.9


@pytest.mark.slow
def test_the_cache_of_memory_scores_changes_no_result(model, monkeypatch):
    """Histories differ in length and are grouped by it; only the memory predicts the target."""
    asked = queries(lambda rng, row: (row[-2] + 1) % ITEMS, users=120)
    lengths = np.random.default_rng(2).integers(2, 13, len(asked))
    cut = Queries(asked.history.prefixes(np.arange(len(asked)), lengths), asked.target_offsets, asked.target_items)
    cut.target_items[:] = (cut.history.items[cut.history.offsets[1:] - 2] + 1) % ITEMS
    found = []
    for kept in (0, 10**9):
        monkeypatch.setattr("tfrec.models.next_item.score_weights.decomposition.CACHE_SIZE", kept)
        found.append(score_weight_candidates(model, cut))
    assert found[0] == found[1]
    before = ndcg(model, cut)
    found[0][0].assign_to(model)
    assert ndcg(model, cut) > before + 0.1
