"""An exported ClickRanker, alone and behind a NextItemModel, compared with the library."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from pathlib import Path  # isort: skip
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.config import RunConfig
from tfrec.data import Histories
from tfrec.files import read_json
from tfrec.models import ClickRanker, ClickRankerPredictor, NextItemScorer
from tfrec.retrieval import recommend
from tfrec.retrieval.two_stage_scorer import TwoStage
from tfrec.serving import check, export
from tfrec.serving.exporting.export import run_id
from tfrec.serving.modules.click_ranker import UNKNOWN_SCORE, ContextGraph
from tfrec.serving.modules.merged_stages import below_candidates, merge_stages

KINDS = ["view", "buy", "impression"]
CONTEXT = {"numbers": {"context_price": [2.0, 4.0]}, "categories": {"context_device": ["tv", "phone"]}}
SIZES = ["export.history_length=6", "export.candidates_length=4", "retrieval.behaviour_weights={buy: 2, view: 0.5}"]


def make_ranker(new_run, *settings, items=12):
    rng = np.random.default_rng(8)
    model = ClickRanker(
        items, 3, ["view", "buy"], text_dim=6, dim=4, max_history=4, mlp_units=[8], context=CONTEXT, seed=1
    )
    texts = rng.normal(size=(items, 6)).astype(np.float32)
    model.start_at(np.array([0.4, 0.2]), rng.integers(0, 9, (items, 2)), texts)
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(size=weight.shape) * 0.3)
    model.calibration.slope.assign([0.7, 1.3])
    base = new_run()
    return SimpleNamespace(
        kind="click-ranker",
        config=RunConfig().with_values(["model.kind=click-ranker", *SIZES, *settings]),
        model=model,
        items=base.items.head(items),
        item_ids=base.item_ids[:items],
        item_counts=base.item_counts[:items],
        event_kinds=KINDS,
        manifest={"encoder_hash": "abc"},
        path=Path("ranker"),
        stored=base.stored,
    )


def histories(*users):
    flat = [event for user in users for event in user]
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(users))], object),
        offsets=np.concatenate([[0], np.cumsum([len(user) for user in users])]),
        items=np.array([item for item, _ in flat], np.int32),
        events=np.array([kind for _, kind in flat], np.int16),
        timestamps=np.arange(len(flat)),
        values=np.zeros(len(flat), np.float32),
        is_target=np.ones(len(flat), bool),
    )


@pytest.fixture(scope="module")
def ranker(new_run):
    return make_ranker(new_run)


def padded(rows, width):
    return tf.constant([[*row, *[""] * (width - len(row))] for row in rows], tf.string)


@pytest.mark.slow
def test_rank_gives_the_probabilities_of_the_library(ranker, tmp_path):
    folder = export(ranker, tmp_path / "ranker")
    loaded = tf.saved_model.load(str(folder))
    for name in ("rank", "serving_default"):
        found = loaded.signatures[name](
            history_item_ids=padded([["i3", "i9", "nothing", "i4"], ["", ""], ["i1", "i2", "i3", "i4", "i5"]], 6),
            history_events=padded([["view", "impression", "view", "buy"], [], ["view"] * 4 + ["odd"]], 6),
            candidate_item_ids=padded([["i5", "nothing", "i3"], ["i5"], ["i0", "i1"]], 4),
            context_device=tf.constant(["phone", "", "tv"]),
            context_price=tf.constant([" 6.0", "cheap", "1e1"]),
        )
        # what was shown is not read; an unknown item takes its event with it; the newest four are read
        story = histories([(3, 0), (4, 1)], [], [(2, 0), (3, 0), (4, 0), (5, -1)])
        candidates = np.array([[5, -1, 3], [5, -1, -1], [0, 1, -1]])
        context = {
            "context_device": np.array(["phone", "", "tv"], object),
            "context_price": np.array([6.0, np.nan, 10.0]),
        }
        expected = ClickRankerPredictor(ranker.model).probabilities(story, [0, 1, 2], candidates, context=context)
        real = candidates >= 0
        for head, behaviour in enumerate(["view", "buy"]):
            values = found[f"probability_{behaviour}"].numpy()
            assert_allclose(values[:, :3], np.where(real, expected[..., head], 0), rtol=1e-4)
            assert_array_equal(values[:, 3], 0)
        scores = 0.5 * expected[..., 0] + 2 * expected[..., 1]
        assert_allclose(found["scores"].numpy()[:, :3], np.where(real, scores, UNKNOWN_SCORE), rtol=1e-4)
    about = read_json(folder / "tfrec.json")
    assert about["kind"] == "click-ranker" and about["behaviours"] == {"view": 0.5, "buy": 2.0}
    assert about["context"] == ["context_price", "context_device"]
    report = check(folder)
    assert report.signatures == ["rank", "serving_default"] and report.examples == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "exclude", "explained"),
    [pytest.param(0.0, False, 3, marks=pytest.mark.nightly), (0.8, True, 0)],
)
def test_a_two_stage_graph_makes_the_lists_of_the_library(weight, exclude, explained, tmp_path, new_run):
    run = new_run("export.max_k=8", f"export.explain_length={explained}")
    ranker = make_ranker(new_run, "retrieval.candidates=5", f"retrieval.first_stage={weight}")
    folder = export(run, tmp_path / "shop", ranker=ranker, exclude_seen=exclude)
    loaded = tf.saved_model.load(str(folder))
    story = histories([(3, 0), (9, 1)], [(1, 1)], [])
    scorer = TwoStage(
        NextItemScorer(run.model),
        ClickRankerPredictor(ranker.model),
        [0.5, 2.0],
        candidates=5,
        first_stage=weight,
        exclude_seen=exclude,
    )
    users = ["u0", "u1"]
    expected = recommend(scorer, story, item_ids=run.item_ids, k=8, users=users, exclude_seen=exclude)
    found = loaded.signatures["recommend"](
        history_item_ids=padded([["i3", "i9"], ["i1"], ["nothing"]], 6),
        history_events=padded([["view", "buy"], ["buy"], ["view"]], 6),
        exclude_item_ids=padded([[], [], ["i11"]], 4),
    )
    for row, user in enumerate(users):
        mine = expected.filter(expected["user_id"] == user)
        assert found["item_ids"][row].numpy().astype(str).tolist() == mine["item_id"].to_list()
        assert_allclose(found["scores"][row, :5], mine["score"][:5], rtol=1e-3)
    assert found["fallback"].numpy().tolist() == [False, False, True]
    assert found["item_ids"][2].numpy().astype(str).tolist() == [f"i{i}" for i in range(10, 2, -1)]
    ranked = loaded.signatures["rank"](
        history_item_ids=padded([["i1"]], 6),
        history_events=padded([["buy"]], 6),
        candidate_item_ids=padded([["i5", "nothing"]], 3),
    )
    probabilities = ClickRankerPredictor(ranker.model).probabilities(story, [1], np.array([[5]]))[0, 0]
    assert_allclose([ranked["probability_view"][0, 0], ranked["probability_buy"][0, 0]], probabilities, rtol=1e-4)
    assert_allclose(ranked["scores"][0], [probabilities @ [0.5, 2.0], UNKNOWN_SCORE, UNKNOWN_SCORE], rtol=1e-4)
    assert "recommend_from_text" in loaded.signatures and ("explain" in loaded.signatures) == bool(explained)
    about = read_json(folder / "tfrec.json")
    told = {"behaviours": {"view": 0.5, "buy": 2.0}, "candidates": 5, "first_stage": weight, "run": run_id(ranker)}
    assert about["ranker"] == told
    assert check(folder).examples == len(about["signatures"])


def test_runs_that_do_not_match_are_refused(ranker, tmp_path, new_run):
    run = new_run()
    for first, second, message in (
        (run, run, "must be a click-ranker run"),
        (ranker, ranker, "that retrieves"),
        (run, make_ranker(new_run, items=11), "another catalogue"),
        (new_run("export.diversity=0.5"), ranker, "diversity"),
        (run, make_ranker(new_run, "retrieval.behaviour_weights={like: 1}"), "'like'"),
    ):
        with pytest.raises(InvalidInput, match=message):
            export(first, tmp_path / "shop", ranker=second)
    assert not list(tmp_path.glob("*"))


def test_context_strings_are_parsed_like_in_the_library(ranker):
    features = ranker.model.context
    texts = ["6", "-2.5e1", ".5", "", "nan", "1e999", "0x10", "phone", "tv", "Phone"]
    found = ContextGraph(features).encode({name: tf.constant(texts) for name in features.columns}, tf.constant(10))
    plain = ["6", "-25", "0.5", "", "", "", "", "", "", ""]
    expected = features.encode(
        {"context_price": np.array(plain, object), "context_device": np.array(texts, object)}, 10
    )
    for name, values in expected.items():
        assert_allclose(found[name], values, atol=1e-6)


def test_the_second_stage_orders_candidates_and_leaves_the_rest_below():
    probabilities = tf.constant([[0.2, 0.9, 0.5, 0.0, 0.0]])
    first = tf.constant([[9.0, 7.0, 5.0, 3.0, -np.inf]])
    real = tf.constant([[True, True, True, True, False]])
    found = merge_stages(probabilities, first, real, 2)
    assert_allclose(found, [[0.2, 0.9, -0.8, -2.8, -np.inf]], rtol=1e-5)
    only = merge_stages(probabilities, first, tf.constant([[True, False, False, False, False]]), 2, 1.0)
    assert_allclose(only, [[0.4, -np.inf, -np.inf, -np.inf, -np.inf]], rtol=1e-5)


def test_an_item_that_no_list_may_hold_has_a_score_like_others_where_all_others_are_candidates():
    values, none = tf.constant([[0.75, 0.5]]), tf.constant([[tf.float32.min]])
    assert below_candidates(values, values > 0, none).numpy().tolist() == [[-0.5]]
    others = tf.concat([none, [[2.0]]], axis=1)
    assert below_candidates(values, values > 0, others).numpy().tolist() == [[-2.5]]
