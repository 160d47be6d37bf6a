"""Modalities side by side: scale, gaps, gates, and a weight only for what makes the right items alike."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.models import NextItemModel
from tfrec.models.shared import modality_weights
from tfrec.models.shared.item_table import ItemTable
from tfrec.models.shared.modalities import fuse, neighbour_vectors, new_item_vectors
from tfrec.models.shared.modality_gates import ModalityGates
from tfrec.models.shared.modality_weights import choose_modality_weights, fused_features

ITEMS = 60


@pytest.fixture
def given(rng):
    text, image = rng.normal(size=(ITEMS, 6)) + 3, 40 * rng.normal(size=(ITEMS, 4))
    image[[2, 5]] = 0  # two items without a picture
    return [("text", text.astype(np.float32)), ("image", image.astype(np.float32))]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spread(vectors):
    return np.sqrt(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean())


def test_each_modality_is_scaled_to_the_first_and_gaps_are_the_mean(given):
    fused = fuse(given, [0.5])
    text, image = fused.vectors[:, :6], fused.vectors[:, 6:]
    known = np.delete(np.arange(ITEMS), [2, 5])
    assert_allclose(text, given[0][1])
    assert_allclose(spread(image[known]), 0.5 * spread(text), rtol=1e-5)
    assert_allclose(image[[2, 5]], np.tile(image[known].mean(axis=0), (2, 1)), rtol=1e-5)
    assert [(each.name, each.width, each.weight) for each in fused.modalities] == [("text", 6, 1.0), ("image", 4, 0.5)]
    assert_allclose(image[known], fused.modalities[1].scale * given[1][1][known], rtol=1e-5)


def test_what_has_no_weight_or_does_not_differ_is_left_out(given):
    alike = ("sound", np.full((ITEMS, 3), 7.0, np.float32))
    nothing = ("look", np.zeros((ITEMS, 3), np.float32))
    fused = fuse([*given, alike, nothing], [0.0, 1.0, 1.0])
    assert_array_equal(fused.vectors, given[0][1])
    assert [each.name for each in fused.modalities] == ["text"]


def test_likeness_is_the_mean_of_the_modalities_by_the_squares_of_their_weights(given):
    fused = fuse(given, [0.5])
    vectors = neighbour_vectors(fused.vectors, fused.modalities)
    text, image = vectors[:, :6], vectors[:, 6:]
    assert_allclose(np.linalg.norm(text, axis=1), 1, rtol=1e-5)
    assert_allclose(np.linalg.norm(image, axis=1), np.where(np.isin(np.arange(ITEMS), [2, 5]), 0, 0.5), atol=1e-3)
    some = neighbour_vectors(fused.vectors[:3], fused.modalities, by=fused.vectors)
    assert_allclose(some, vectors[:3], atol=1e-5)


def test_gates_start_at_1_and_an_item_never_loses_all_that_it_has():
    gates = ModalityGates([3, 2], dropout=0.6, seed=1)
    ones = tf.ones([500, 5])
    assert_allclose(gates(ones), ones)
    dropped = gates(ones, training=True).numpy()
    text, image = dropped[:, 0], dropped[:, 3]
    assert_array_equal(dropped, np.repeat(np.stack([text, image], 1), [3, 2], axis=1))
    assert set(np.unique(dropped)) == {0.0, 1.0} and np.all(text + image > 0)
    assert 0.3 < image.mean() < 0.9 and not np.array_equal(dropped, gates(ones, training=True))


def test_gates_are_what_their_weights_say(rng):
    gates = ModalityGates([3, 2])
    rows = rng.normal(size=(4, 5)).astype(np.float32)
    gates(rows)
    kernel, bias = rng.normal(size=(5, 2)), rng.normal(size=2)
    gates.set_weights([kernel * 10, bias * 10, 0])
    factors = 2 / (1 + np.exp(-(rows @ kernel + bias)))
    assert_allclose(
        gates(rows), np.concatenate([rows[:, :3] * factors[:, :1], rows[:, 3:] * factors[:, 1:]], 1), rtol=1e-4
    )


def test_an_untrained_table_with_gates_is_one_without(given):
    fused = fuse(given, [0.5])
    plain, gated = ItemTable(ITEMS, 10, 4), ItemTable(ITEMS, 10, 4, modalities=[6, 4], modality_dropout=0.5)
    for table in (plain, gated):
        table(tf.constant([0]))
        table.start_from(fused.vectors)
    assert_allclose(gated.vectors(), plain.vectors(), atol=1e-5)
    assert not np.allclose(gated.vectors(training=True), plain.vectors(training=True))


def test_a_picture_alone_is_an_item_whose_text_is_the_mean(given):
    fused = fuse(given, [0.5])
    model = NextItemModel(ITEMS, 1, text_dim=10, dim=4, heads=2, modalities=[list(each) for each in fused.modalities])
    model.items.start_from(fused.vectors)
    raw = np.concatenate([given[1][1][:2], np.zeros((1, 4), np.float32)])
    rows = np.tile(fused.vectors.mean(axis=0), (3, 1))
    rows[:2, 6:] = fused.vectors[:2, 6:]
    assert_allclose(model.modality_to_vector("image", raw), model.text_to_vector(rows), atol=1e-5)
    assert_allclose(model.modality_to_vector("image", raw)[2], 0, atol=1e-5)
    again = NextItemModel.from_config(model.get_config())
    assert again.modalities == fused.modalities
    with pytest.raises(InvalidInput, match="modalities are text, image"):
        model.modality_to_vector("sound", raw)
    with pytest.raises(InvalidInput, match="modalities are text alone"):
        NextItemModel(ITEMS, 1, text_dim=10, dim=4, heads=2).modality_to_vector("image", raw)


def clustered(rng, groups=6, users=120, length=8):
    """Histories within one group of items each, and vectors that tell the groups apart."""
    group = np.arange(ITEMS) % groups
    items = np.concatenate([rng.permutation(np.flatnonzero(group == user % groups))[:length] for user in range(users)])
    zeros = np.zeros(len(items), np.int64)
    offsets = np.arange(users + 1) * length
    training = Histories(np.arange(users).astype(str), offsets, items, zeros, zeros, zeros * 0.0, zeros == 0)
    return training, np.eye(groups, dtype=np.float32)[group]


def test_a_modality_counts_that_tells_apart_what_people_take(rng):
    training, groups = clustered(rng)
    text = rng.normal(size=(ITEMS, 5)).astype(np.float32)
    shuffled = groups[rng.permutation(ITEMS)]
    assert choose_modality_weights([("text", text), ("image", groups)], training)[0] > 0
    weights = choose_modality_weights([("text", text), ("shuffled", shuffled), ("image", groups)], training)
    assert weights[0] == 0 and weights[1] > 0


def test_without_histories_nothing_counts(rng):
    training, groups = clustered(rng, users=1, length=1)
    assert choose_modality_weights([("text", groups), ("image", groups)], training) == (0.0,)


def dataset(rng, **columns):
    training, groups = clustered(rng)
    return SimpleNamespace(
        items=pl.DataFrame({"item_id": map(str, range(ITEMS)), **columns}), training=lambda: training
    ), groups


def test_with_text_alone_nothing_changes(rng):
    data, groups = dataset(rng)
    vectors, modalities = fused_features(data, groups, None, RunConfig())
    assert vectors is groups or np.array_equal(vectors, groups)
    assert modalities == ()
    assert fused_features(data, None, None, RunConfig()) == (None, ())


def test_shuffled_pictures_leave_the_text_alone(rng):
    data, groups = dataset(rng)
    text = rng.normal(size=(ITEMS, 5)).astype(np.float32)
    vectors, modalities = fused_features(data, text, groups[rng.permutation(ITEMS)], RunConfig())
    assert_array_equal(vectors, text)
    assert modalities == ()


def test_pictures_and_columns_stand_beside_the_text_with_the_weight_that_is_set(rng):
    data, groups = dataset(rng, sound_embedding=rng.normal(size=(ITEMS, 2)).tolist())
    config = RunConfig().with_values({"model.modality_weight": 0.5})
    vectors, modalities = fused_features(data, groups, rng.normal(size=(ITEMS, 3)), config)
    assert [(each.name, each.weight) for each in modalities] == [("text", 1), ("image", 0.5), ("sound_embedding", 0.5)]
    assert vectors.shape == (ITEMS, 6 + 3 + 2)


def test_pictures_alone_are_a_modality_too(rng):
    data, groups = dataset(rng)
    vectors, modalities = fused_features(data, None, 5 * groups, RunConfig())
    assert_array_equal(vectors, groups)
    assert [each.name for each in modalities] == ["image"]


def test_a_later_run_keeps_the_weights_and_scales_of_the_earlier_one(rng):
    data, _ = dataset(rng)
    text, image = rng.normal(size=(ITEMS, 5)).astype(np.float32), rng.normal(size=(ITEMS, 3)).astype(np.float32)
    earlier = fuse([("text", text), ("image", image)], [0.7]).modalities
    vectors, modalities = fused_features(data, 2 * text, image, RunConfig(), earlier)
    unit = image / np.linalg.norm(image, axis=1, keepdims=True)
    assert modalities == earlier
    assert_allclose(vectors, np.concatenate([2 * text, earlier[1].scale * unit], axis=1), rtol=1e-5)
    assert_array_equal(fused_features(data, text, image, RunConfig(), ())[0], text)
    with pytest.raises(InvalidInput, match="the run reads image of width 3, which the items do not have"):
        fused_features(data, text, None, RunConfig(), earlier)


def test_new_items_have_the_means_of_what_they_lack(given):
    fused = fuse(given, [0.5])
    mean = fused.vectors.mean(axis=0)
    new = new_item_vectors({"text": given[0][1][:2], "image": given[1][1][[0, 2]]}, fused.modalities, mean)
    assert_allclose(new[0], fused.vectors[0], rtol=1e-5)
    assert_allclose(new[1], np.concatenate([given[0][1][1], mean[6:]]), rtol=1e-5)


@pytest.mark.parametrize("seed", [0, 8])
def test_what_helps_by_chance_does_not_count(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    popular = 1 / np.arange(1, ITEMS + 1)
    items = np.concatenate([rng.choice(ITEMS, 8, replace=False, p=popular / popular.sum()) for _ in range(120)])
    zeros = np.zeros(len(items), np.int64)
    offsets = np.arange(121) * 8
    training = Histories(np.arange(120).astype(str), offsets, items, zeros, zeros, zeros * 0.0, zeros == 0)
    chance = [("text", rng.normal(size=(ITEMS, 5))), ("image", rng.normal(size=(ITEMS, 3)))]
    chance = [(name, vectors.astype(np.float32)) for name, vectors in chance]
    assert choose_modality_weights(chance, training) == (0.0,)
    monkeypatch.setattr(modality_weights, "MIN_DISTANCE", -np.inf)
    assert choose_modality_weights(chance, training)[0] > 0  # a clear gain, which other orders have too
