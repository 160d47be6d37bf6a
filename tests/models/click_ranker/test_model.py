"""ClickRanker as a whole."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.data import Histories
from tfrec.models import ClickRanker, ClickRankerPredictor
from tfrec.models.click_ranker.model import behaviour_loss, funnel_places

RNG = np.random.default_rng(4)
CONTEXT = {"numbers": {"context_price": [2.0, 4.0]}, "categories": {"context_device": ["tv", "phone"]}}


def make(multi_task="esmm", context=CONTEXT, seed=0):
    model = ClickRanker(
        20,
        2,
        ["view", "purchase", "rating"],
        multi_task,
        text_dim=6,
        dim=4,
        max_history=4,
        mlp_units=[8],
        context=context,
        seed=seed,
    )
    model.start_at(np.array([0.4, 0.1, 0.2]), RNG.integers(0, 9, (20, 3)), RNG.normal(size=(20, 6)).astype(np.float32))
    return model


def disturb(model):
    for weight in model.trainable_variables:
        weight.assign_add(RNG.normal(size=weight.shape) * 0.2)
    return model


@pytest.fixture(scope="module")
def model():
    return disturb(make())


def inputs(items, candidates, **context):
    items = np.array(items, np.int32)
    made = {"history_items": items, "history_events": np.where(items < 0, -1, items % 2).astype(np.int32)}
    made["candidates"] = np.array(candidates, np.int32)
    rows = len(items)
    made["context_numbers"] = np.array(context.get("numbers", [[0.0]] * rows), np.float32)
    made["context_categories"] = np.array(context.get("categories", [[0]] * rows), np.int32)
    return made


@pytest.mark.parametrize("multi_task", ["esmm", "ple", "shared"])
def test_it_starts_at_the_shares_of_positives(multi_task):
    found = make(multi_task).probabilities(inputs([[3, 5, -1]], [[1, 2]]))
    assert_allclose(found, np.broadcast_to([0.4, 0.1, 0.2], (1, 2, 3)), rtol=1e-3)


def test_a_purchase_is_never_likelier_than_a_view(model):
    found = model.probabilities(inputs(RNG.integers(0, 20, (30, 4)), RNG.integers(0, 20, (30, 5)))).numpy()
    assert (found[..., 1] <= found[..., 0]).all() and found.std(axis=(0, 1)).min() > 0.01


def test_candidates_and_users_of_a_batch_do_not_meet(model):
    history, candidates = [[3, 5, 1], [7, -1, -1]], [[1, 2, 9], [4, 3, 0]]
    found = model.probabilities(inputs(history, candidates))
    alone = model.probabilities(inputs([[7]], [[3]]))
    assert_allclose(found[1, 1], alone[0, 0], rtol=1e-4)


@pytest.mark.parametrize("part, other", [("numbers", [[1.5]]), ("categories", [[2]])])
def test_the_context_matters(model, part, other):
    plain = model.probabilities(inputs([[3, 5]], [[1, 2]]))
    changed = model.probabilities(inputs([[3, 5]], [[1, 2]], **{part: other}))
    assert np.abs(plain - changed).max() > 1e-3


def test_the_kind_of_an_event_and_the_order_matter(model):
    one = inputs([[3, 5]], [[1, 3]])
    base = model.probabilities(one)
    assert np.abs(base - model.probabilities({**one, "history_events": np.array([[0, 1]], np.int32)})).max() > 1e-3
    swapped = {**one, "history_items": np.array([[5, 3]], np.int32)}
    assert np.abs(base - model.probabilities(swapped)).max() > 1e-3


def test_the_cross_network_is_that_of_tfrs(model):
    crosses = [layer for layer in model.body.layers if isinstance(layer, tfrs.layers.dcn.Cross)]
    assert len(crosses) == 2
    x = tf.constant(RNG.normal(size=(1, 1, model.body.get_layer("x0").output_shape[-1])), tf.float32)
    u, v, b = (weight.numpy() for weight in crosses[0].weights)
    assert_allclose(crosses[0](x, 2 * x), x * ((2 * x.numpy() @ u) @ v + b) + 2 * x, rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_weighted_mean_cross_entropy_of_real_labels():
    p = np.array([[[0.2, 0.9], [0.7, 0.4]], [[0.5, 0.5], [0.1, 0.3]]])
    y = np.array([[[1, 0], [-1, -1]], [[0, 1], [1, 1]]], float)
    weights = [2.0, 0.5]
    total = count = 0.0
    for i, j, h in np.ndindex(2, 2, 2):
        if y[i, j, h] >= 0:
            total -= weights[h] * np.log(p[i, j, h] if y[i, j, h] else 1 - p[i, j, h])
            count += weights[h]
    found = behaviour_loss(weights)(tf.constant(y, tf.float32), tf.math.log(tf.constant(p, tf.float32)))
    assert_allclose(found, total / count, rtol=1e-4)
    assert behaviour_loss(weights)(tf.fill([1, 1, 2], -1.0), tf.zeros([1, 1, 2])) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("multi_task", ["esmm", "ple", "shared"])
def test_config_and_weights_come_back(multi_task, tmp_path):
    model = disturb(make(multi_task))
    model.calibration.slope.assign([0.5, 2.0, 1.5])
    model.save_weights(str(tmp_path / "model.weights.h5"))
    again = ClickRanker.from_config(model.get_config())
    again.load_weights(str(tmp_path / "model.weights.h5"))
    given = inputs([[3, 9, 3]], [[3, 4]])
    assert_array_equal(again.probabilities(given), model.probabilities(given))


def test_predicting_from_arrays_equals_calling_the_model(model):
    flat = np.array([3, 5, 1, 8, 2, 2, 7], np.int32)
    histories = Histories(
        user_ids=np.array(["a", "b", "c"], object),
        offsets=np.array([0, 5, 5, 7]),
        items=flat,
        events=(flat % 2).astype(np.int16),
        timestamps=np.arange(7),
        values=np.zeros(7, np.float32),
        is_target=np.ones(7, bool),
    )
    candidates = np.array([[1, 2], [4, 8], [0, 0]])
    predictor = ClickRankerPredictor(model, batch_size=2)
    context = {"context_price": np.array([6.0, 2.0, 2.0]), "context_device": np.array(["phone", "", "tv"], object)}
    found = predictor.probabilities(histories, [0, 1, 2], candidates, stops=np.array([4, 5, 7]), context=context)
    whole = [[3, 5, 1, 8], [-1, -1, -1, -1], [2, 7, -1, -1]]
    given = inputs(whole, candidates, numbers=[[1.0], [0.0], [0.0]], categories=[[2], [0], [1]])
    assert_allclose(found, model.probabilities(given), rtol=1e-4)
    raw = predictor.probabilities(histories, [0], candidates[:1], calibrated=False)
    newest = inputs([[5, 1, 8, 2]], candidates[:1])  # four events are read
    assert_allclose(raw, np.exp(model({k: tf.constant(v) for k, v in newest.items()})), rtol=1e-4)


def test_wrong_arguments_are_named():
    with pytest.raises(InvalidInput, match="esmm"):
        ClickRanker(3, 1, ["view"], "mmoe", dim=4)
    with pytest.raises(InvalidInput, match="behaviour"):
        ClickRanker(3, 1, [], dim=4)
    assert funnel_places(["like", "purchase", "click"]) == [2, 1]


def test_the_old_name_of_the_predictor_works_and_warns():
    import tfrec.models

    model = ClickRanker(5, 2, ["view"], dim=4, mlp_units=[8])
    with pytest.warns(DeprecationWarning, match=r"goes in tfrec 0\.4; use ClickRankerPredictor") as caught:
        old = tfrec.models.ClickRankerJudge(model, batch_size=3)
    assert caught[0].filename == __file__
    assert isinstance(old, ClickRankerPredictor) and old.batch_size == 3
    assert "ClickRankerJudge" not in tfrec.models.__all__
