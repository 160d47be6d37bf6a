"""The repeat bias and the neighbour memory, compared with loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import math  # isort: skip

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.models import NextItemModel
from tfrec.models.next_item.neighbour_memory import NeighbourMemory
from tfrec.models.next_item.repeat_bias import RepeatBias
from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts

ITEMS, WINDOW, DECAY, WEIGHT, TEXT_WEIGHT, DISCOUNT = 9, 2, 0.5, 1.5, 0.25, 0.4


def prefix_adjustment(items, newest_bias, other_bias, slope, events=(), kind_bias=()):
    """The expected values for each item, by a loop."""
    real = [item for item in items if item >= 0]
    kinds = dict(zip(real, events, strict=False))  # the newest event on an item comes last
    return {
        item: (newest_bias if item == real[-1] else other_bias)
        + slope * math.log(real.count(item))
        + (kind_bias[kinds[item]] if 0 <= kinds.get(item, -1) < len(kind_bias) else 0.0)
        for item in real
    }


def total_by_item(indices, values):
    """Sums what was scatter_sum, without the zeros."""
    total = {}
    for index, value in zip(indices.tolist(), values.tolist(), strict=True):
        if value:
            total[index] = total.get(index, 0.0) + value
    return total


@pytest.fixture
def biased():
    layer = RepeatBias()
    layer(tf.zeros([1, 1], tf.int32))
    layer.assign([-2.0, 0.5, 0.75])
    return layer


@pytest.mark.parametrize("items", [[4, 1, 4, 2], [4, 1, 4, -1], [3, -1, -1, -1], [0, 0, 0, 0], [-1, -1, -1, -1]])
def test_repeat_bias_counts_each_item_once(biased, items):
    indices, values = biased(tf.constant([items]))
    assert total_by_item(indices[0].numpy(), values[0].numpy()) == pytest.approx(
        prefix_adjustment(items, -2.0, 0.5, 0.75)
    )


def test_prefix_biases_are_the_bias_after_each_prefix(biased):
    rows = np.array([[4, 1, 4, 2, 1], [7, 7, 3, -1, -1]], np.int32)
    indices, values = biased.prefix_biases(tf.constant(rows), tf.zeros_like(rows), biased.coefficients)
    for b, row in enumerate(rows):
        for p in range((row >= 0).sum()):
            found = total_by_item(indices[b, p].numpy(), values[b, p].numpy())
            assert found == pytest.approx(prefix_adjustment(row[: p + 1], -2.0, 0.5, 0.75))


def test_repeat_bias_of_a_long_history_equals_the_loop(biased):
    row = np.random.default_rng(0).integers(0, 300, 700).astype(np.int32)
    indices, values = biased(tf.constant([row]))
    assert total_by_item(indices[0].numpy(), values[0].numpy()) == pytest.approx(
        prefix_adjustment(row.tolist(), -2.0, 0.5, 0.75), rel=1e-5
    )


KIND_BIAS = [1.25, -1.5]


@pytest.fixture
def by_kind():
    layer = RepeatBias(kinds=len(KIND_BIAS))
    layer(tf.zeros([1, 1], tf.int32))
    layer.scaled.assign(np.array([0, 0, 0, *KIND_BIAS], np.float32) / 20)
    layer.assign([-2.0, 0.5, 0.75])
    return layer


HISTORIES = [([4, 1, 4, 2, 1], [0, 1, 1, 0, -1]), ([7, 7, 3, -1, -1], [1, 0, 2, -1, -1]), ([-1] * 5, [-1] * 5)]


@pytest.mark.parametrize("items, events", HISTORIES)
def test_the_bias_depends_on_the_kind_of_the_newest_event_on_an_item(by_kind, items, events):
    indices, values = by_kind(tf.constant([items]), tf.constant([events]))
    wanted = prefix_adjustment(items, -2.0, 0.5, 0.75, events, KIND_BIAS)
    assert total_by_item(indices[0].numpy(), values[0].numpy()) == pytest.approx(wanted)
    indices, values = by_kind.prefix_biases(tf.constant([items]), tf.constant([events]), by_kind.coefficients)
    for p in range(sum(item >= 0 for item in items)):
        wanted = prefix_adjustment(items[: p + 1], -2.0, 0.5, 0.75, events, KIND_BIAS)
        assert total_by_item(indices[0, p].numpy(), values[0, p].numpy()) == pytest.approx(wanted)


def test_without_event_kinds_there_is_one_bias_for_all(by_kind):
    indices, values = by_kind(tf.constant([[4, 1, 4, 2]]))
    wanted = prefix_adjustment([4, 1, 4, 2], -2.0, 0.5, 0.75)
    assert total_by_item(indices[0].numpy(), values[0].numpy()) == pytest.approx(wanted)
    assert RepeatBias(kinds=1).kinds == NextItemModel(5, 2, dim=4, repeat_kinds=False).repeats.kinds == 0
    assert NextItemModel(5, 2, dim=4).repeats.kinds == 2


def test_the_initial_bias_can_be_set(biased):
    biased.start_at(-3.0)
    assert_allclose(biased.coefficients, [-3.0, -3.0, 0.0])


# === Memory ===


def pair_counts(sequences):
    """C[i, j]: ordered pairs of different events at most WINDOW apart that hold i and j, i not j."""
    counts = np.zeros((ITEMS, ITEMS))
    for sequence in sequences:
        for x, i in enumerate(sequence):
            for y, j in enumerate(sequence):
                counts[i, j] += x != y and abs(x - y) <= WINDOW and i != j
    return counts


def strongest(matrix, k):
    """The k largest entries of each row as indices and values, ties to the first."""
    order = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(matrix, order, axis=1)
    return np.where(values > 0, order, -1).astype(np.int32), values.astype(np.float32)


def memory_scores(history, counts, kernel):
    """The expected values for each item, by a loop."""
    near, alike = np.zeros(ITEMS), np.zeros(ITEMS)
    often = [sum(sequence.count(item) for sequence in SEQUENCES) for item in range(ITEMS)]
    typical = math.exp(sum(n * math.log(n) for n in often if n) / sum(often))
    for age, item in enumerate(reversed([item for item in history if item >= 0])):
        near += DECAY**age * counts[item] * (typical / often[item]) ** DISCOUNT
        alike += DECAY**age * kernel[item]
    return WEIGHT * np.log1p(near) + TEXT_WEIGHT * alike


def dense(indices, values):
    """indices and values as a matrix."""
    matrix = np.zeros((len(indices), ITEMS))
    for row, (index, value) in enumerate(zip(indices, values, strict=True)):
        real = index >= 0
        np.add.at(matrix[row], index[real], value[real])
    return matrix


SEQUENCES = [[0, 1, 2, 1, 3], [3, 1, 0], [4, 5, 4, 5, 6], [2, 7, 0, 3, 3, 1], [1, 2], [8]]


def memory_of(k, text_k):
    layer = NeighbourMemory(ITEMS, k=k, text_k=text_k, window=WINDOW, decay=DECAY, discount=DISCOUNT)
    layer(tf.zeros([1, 1], tf.int32))
    near = strongest(pair_counts(SEQUENCES), k)
    kernel = np.abs(np.random.default_rng(5).normal(size=(ITEMS, ITEMS))) * (1 - np.eye(ITEMS))
    alike = strongest(kernel, text_k)
    layer.remember(near, alike, np.bincount(sum(SEQUENCES, []), minlength=ITEMS))
    layer.scaled_weight.assign(WEIGHT / 5)
    layer.scaled_text_weight.assign(TEXT_WEIGHT / 5)
    return layer, dense(*near), dense(*alike)


@pytest.mark.parametrize(("k", "text_k"), [(ITEMS, ITEMS), (3, 2), (1, 1)])
def test_the_memory_sums_over_the_neighbours_of_the_history(k, text_k):
    layer, counts, kernel = memory_of(k, text_k)
    histories = [[0, 1, 2, -1], [3, 1, 3, 1], [8, -1, -1, -1], [-1, -1, -1, -1]]
    expected = [memory_scores(history, counts, kernel) for history in histories]
    assert_allclose(layer.catalogue_scores(tf.constant(histories)), expected, rtol=1e-5, atol=1e-6)
    indices, values = layer(tf.constant(histories))
    assert_allclose(dense(indices.numpy(), values.numpy()), expected, rtol=1e-5, atol=1e-6)


def test_the_memory_uses_the_newest_two_hundred_events():
    layer, _counts, _kernel = memory_of(ITEMS, ITEMS)
    layer.assign(decay=1.0)
    one, two = [1] * 200, [0, *[1] * 200]
    expected = layer.catalogue_scores(tf.constant([one]))
    assert_allclose(layer.catalogue_scores(tf.constant([two])), expected, rtol=1e-5)
    assert_allclose(dense(*(part.numpy() for part in layer(tf.constant([two])))), expected, rtol=1e-5)


def added_at_labels(layer, items, labels):
    parts = layer.unweighted_scores_at_labels(items, labels, ITEMS)
    return sum(weight * part for weight, part in zip(layer.learned_weights(), parts, strict=True)).numpy()


@pytest.mark.parametrize("k", [ITEMS, 2])
def test_in_training_the_memory_has_the_counts_of_the_other_sequences(k):
    layer, counts, kernel = memory_of(k, ITEMS)
    for sequence in SEQUENCES[:4]:
        items, labels = tf.constant([[*sequence[:-1], -1]]), tf.constant([[*sequence[1:], -1]])
        found = added_at_labels(layer, items, labels)
        # Whole tables differ from counting without the sequence only where the strongest k did not hold a pair.
        others = np.maximum(counts - pair_counts([sequence]), 0)
        inside = np.isin(np.arange(ITEMS), sequence)
        for position in range(len(sequence) - 1):
            expected = memory_scores(sequence[: position + 1], np.where(inside, others, counts), kernel)
            assert_allclose(found[position], expected, rtol=1e-5, atol=1e-5)


def test_what_was_disliked_keeps_its_place_and_tells_nothing():
    layer, _, kernel = memory_of(ITEMS, ITEMS)
    sequence, disliked = [2, 8, 0, 3], 8
    counts, own = pair_counts([*SEQUENCES, sequence]), pair_counts([sequence])
    for table in (counts, own):
        table[disliked] = table[:, disliked] = 0
    kernel[disliked] = 0
    layer.remember(strongest(counts, ITEMS), None, np.bincount(sum(SEQUENCES, []), minlength=ITEMS))
    expected = memory_scores(sequence[:3], counts, kernel)
    assert_allclose(layer.catalogue_scores(tf.constant([[2, -1, 0, -1]]))[0], expected, rtol=1e-5, atol=1e-6)
    # In training: what follows a dislike is learnt, the dislike is not.
    items, labels = tf.constant([[2, -1, 0, -1]]), tf.constant([[-1, 0, 3, -1]])
    found = added_at_labels(layer, items, labels)
    others = np.where(np.isin(np.arange(ITEMS), [2, 0, 3]), np.maximum(counts - own, 0), counts)
    for place, length in enumerate((2, 3)):
        assert_allclose(found[place], memory_scores(sequence[:length], others, kernel), rtol=1e-5, atol=1e-5)


def test_a_model_that_knows_what_a_dislike_is_hides_it_from_the_memory_alone():
    model = NextItemModel(ITEMS, 2, dim=4, heads=2, neighbours=ITEMS - 1, disliked=1)
    model.memory.remember(strongest(pair_counts(SEQUENCES), ITEMS - 1), None)
    inputs = {"history_items": tf.constant([[3, 1]]), "history_events": tf.constant([[0, 1]])}
    inputs["history_gaps"] = tf.zeros([1, 2])
    parts = catalogue_parts(model, inputs)
    liked = model.memory.catalogue_scores(tf.constant([[3, -1]]))
    assert np.abs(liked).max() > 0
    assert_allclose(parts["memory by history"], liked, rtol=1e-5)
    assert_allclose(sum(parts.values()), model.scores(inputs), rtol=1e-5, atol=1e-6)
    added = dense(*(part.numpy() for part in model.adjustment(inputs["history_items"], inputs["history_events"])))
    assert_allclose(added, liked + parts["repeats"], rtol=1e-5, atol=1e-6)
    assert NextItemModel(ITEMS, 2, dim=4, heads=2).remembered(inputs["history_items"], None) is inputs["history_items"]


def test_only_positions_with_a_label_are_scored():
    layer, *_ = memory_of(3, 2)
    items = tf.constant([[0, 1, 2, 1], [3, 1, -1, -1], [4, 5, 4, 5]])
    labels = tf.constant([[-1, 2, 1, 3], [1, 0, -1, -1], [5, -1, 5, 6]])
    found = added_at_labels(layer, items, labels)
    alone = [added_at_labels(layer, items[row : row + 1], labels[row : row + 1]) for row in range(3)]
    assert_allclose(found, np.concatenate(alone), atol=1e-5)
    assert len(found) == 8


def test_a_memory_of_text_neighbours_alone_has_their_scores():
    both, counts, kernel = memory_of(ITEMS, ITEMS)
    layer = NeighbourMemory(ITEMS, k=0, text_k=ITEMS, window=WINDOW, decay=DECAY)
    layer(tf.zeros([1, 1], tf.int32))
    layer.remember(None, (both.alike.numpy(), both.kernel.numpy()))
    layer.scaled_text_weight.assign(TEXT_WEIGHT / 5)
    expected = memory_scores([0, 1], 0 * counts, kernel)
    assert_allclose(layer.catalogue_scores(tf.constant([[0, 1]]))[0], expected, rtol=1e-5)
