"""Methods of explanation against NumPy, and the measure as a whole on a toy run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.explanation.toy import ROWS, make_histories, make_model, make_run
from tfrec.errors import InvalidInput
from tfrec.explanation import measure_faithfulness
from tfrec.explanation.deletions import RescoredDeletions
from tfrec.explanation.faithfulness.attributions import (
    Asked,
    attention_rollout,
    integrated_gradients,
    item_cosine,
    methods,
)
from tfrec.explanation.faithfulness.intervals import mean_interval, means_by_group, resampled
from tfrec.explanation.faithfulness.randomised import randomised
from tfrec.explanation.next_item import deletions_of_model
from tfrec.explanation.variant_queries import causal_blocks
from tfrec.files import AlreadyExists
from tfrec.workflows.explanation_sections import faithfulness_words

HISTORIES = make_histories(ROWS)
ASKED = Asked(HISTORIES, np.array([0, 1, 3]), np.array([8, 2, 4]), window=6)


@pytest.fixture(scope="module")
def model():
    return make_model(memory_history=8)


def test_item_cosine_is_the_cosine_of_the_vectors(model):
    vectors = model.history_vectors().numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = item_cosine(vectors)(ASKED)
    assert_allclose(found[0, :4], [unit[item] @ unit[8] for item in ROWS[0]], atol=1e-5)


def test_integrated_gradients_add_up_to_what_the_events_bring(model):
    import tensorflow as tf

    found = integrated_gradients(model, steps=100)(ASKED)
    vectors = model.history_vectors()
    for place, row in enumerate(ASKED.rows):
        events = ROWS[row][-4:]
        kinds = tf.constant([HISTORIES.events[HISTORIES.row(row)][-4:].astype(np.int32)])
        unit = tf.math.l2_normalize(vectors[int(ASKED.items[place])], axis=-1)
        there = tf.ones([1, len(events)], tf.bool)
        scores = [
            float(tf.reduce_sum(model.query_from_vectors(tf.gather(vectors, [events]) * factor, there, kinds) * unit))
            for factor in (1.0, 0.0)
        ]
        assert_allclose(found[place].sum(), scores[0] - scores[1], rtol=0.02, atol=0.02)
    assert not found[2, :2].any()  # the network reads four events


def test_attention_rollout_is_half_attention_and_half_the_newest_event(model):
    found = attention_rollout(model, causal_blocks(model))(ASKED)
    assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found[0, 3] > 0.5 and found[1, 0] == pytest.approx(1) and (found[0, :3] < 0.5).all()


def test_what_is_served_is_listed_where_it_is_not_exact(model):
    assert "served" not in methods(model, deletions_of_model(model), 0)
    deep = make_model(layers=2, block="gated")
    names = list(methods(deep, deletions_of_model(deep), 0))
    assert names[:2] == ["leave-one-out", "served"] and "attention rollout" not in names  # there are no shares


def test_shuffled_weights_are_the_same_values_in_other_places(model):
    other = randomised(model, seed=1)
    for ours, theirs in zip(other.variables, model.variables, strict=True):
        assert_allclose(np.sort(ours.numpy(), axis=None), np.sort(theirs.numpy(), axis=None))
    assert not np.allclose(other.history_vectors(), model.history_vectors())
    pairs = {
        (near, count) for near, count in zip(model.memory.near.numpy().ravel(), model.memory.counts.numpy().ravel())
    }
    assert {(n, c) for n, c in zip(other.memory.near.numpy().ravel(), other.memory.counts.numpy().ravel())} == pairs


def test_intervals_are_over_users_that_have_a_value():
    values = np.array([1.0, np.nan, 3.0, 2.0])
    found = mean_interval(values, resampled(4, 0))
    assert found["mean"] == 2 and 1 <= found["low"] < 2 < found["high"] <= 3
    assert mean_interval(np.full(3, np.nan), resampled(3, 0))["mean"] is None


def test_groups_of_fewer_people_than_privacy_allows_are_left_out():
    labels = np.repeat(["many", "more", "few"], [9, 8, 3])
    means = {fewest: means_by_group({"fall": np.arange(20.0)}, labels, 0, fewest) for fewest in (1, 3, 4)}
    assert means[1] == means[3] and means[1]["few"]["users"] == 3 and means[1]["many"]["fall"]["mean"] == 4
    assert set(means[4]) == {"many"}  # the next smallest goes with it: the rest would tell


@pytest.mark.slow
def test_the_measure_is_written_with_every_method_and_slice(tmp_path, model):
    out = tmp_path / "faithfulness.json"
    run = make_run(model)
    found = measure_faithfulness(run, HISTORIES, users=4, k=2, others=[run], out=out)
    with pytest.raises(AlreadyExists):
        measure_faithfulness(run, HISTORIES, users=4, k=2, out=out)
    assert json.loads(out.read_text()) == found and found["users"] == 4
    assert set(found["methods"]) == {
        "leave-one-out", "random", "recency", "item cosine", "integrated gradients", "attention rollout",
    }  # fmt: skip
    best = found["methods"]["leave-one-out"]["fall@1"]["mean"]
    assert all(best >= values["fall@1"]["mean"] - 1e-6 for values in found["methods"].values())
    assert found["stability"]["mean"] == pytest.approx(1) and found["randomised"]["mean"] < 0.9
    decide = found["deciding_parts"]["everyone"]
    assert decide["users"] == 4 and 0 < decide["network"]["mean"] <= 1 and set(decide) > {"popularity", "repeats"}
    assert sum(row["users"] for row in found["slices"]["activity"].values()) == 4
    assert found == measure_faithfulness(run, HISTORIES, users=4, k=2, others=[run], out="")


class NearestNewest:
    """Scores that fall with the distance to the events, of which newer ones count more."""

    def scores(self, histories, rows):
        known = [histories.items[histories.row(row)][-5:] for row in rows]
        weights = [0.5 ** np.arange(len(items))[::-1] for items in known]
        return np.array(
            [np.exp(-np.abs(np.arange(9)[:, None] - items)) @ weight for items, weight in zip(known, weights)]
        ).reshape(-1, 9)


def test_a_model_of_one_part_is_measured_too(model, monkeypatch):
    """As behaviour-text runs: deletions are scored anew, and what only next-item models have is left out."""
    scorer, run = NearestNewest(), make_run(model)
    config = run.config.with_values(["model.kind=behaviour-text", "model.head=softmax"])
    text = type(run)(**{**vars(run), "kind": "behaviour-text", "model": SimpleNamespace(head_kind="sigmoid"),
                        "config": config, "scorer": lambda dataset=None: scorer})  # fmt: skip
    monkeypatch.setattr(
        "tfrec.explanation.behaviour_text.deletions", lambda run: RescoredDeletions.of_scorer(scorer, 5)
    )
    found = measure_faithfulness(text, HISTORIES, k=2, out="")
    assert list(found["methods"]) == ["leave-one-out", "random", "recency"] and found["users"] == 4
    falls = {method: values["fall@1"]["mean"] for method, values in found["methods"].items()}
    assert falls["leave-one-out"] >= max(falls.values()) and falls["leave-one-out"] > falls["recency"]
    assert not {"randomised", "deciding_parts", "served_area", "stability"} & set(found)
    assert any("leave-one-out names" in words for words in faithfulness_words(found))


def test_bad_input_is_said(model):
    nobody = HISTORIES.prefixes(np.array([0]), np.array([0]))
    with pytest.raises(InvalidInput, match="No user has a history"):
        measure_faithfulness(make_run(model), nobody, out="")
    with pytest.raises(InvalidInput, match="Expected users of at least 1"):
        measure_faithfulness(make_run(model), HISTORIES, users=0)
    config = make_run(model).config.with_values(["model.kind=behaviour-text", "model.head=sigmoid"])
    other = type(make_run(model))(
        **{**vars(make_run(model)), "model": object(), "kind": "behaviour-text", "config": config}
    )
    with pytest.raises(InvalidInput, match="makes no lists.*explain_words"):
        measure_faithfulness(other, HISTORIES)
