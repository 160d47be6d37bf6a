"""Neighbours of items, against loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec.data.histories import Histories
from tfrec.models.shared import neighbours, pair_counts
from tfrec.models.shared.neighbours import history_neighbours, softly_whitened, text_neighbours

ITEMS = 6


def histories_of(sequences):
    lengths = [len(sequence) for sequence in sequences]
    items = np.array([item for sequence in sequences for item in sequence], np.int32)
    zeros = np.zeros(len(items), np.int64)
    return Histories(
        user_ids=np.arange(len(sequences)).astype(str).astype(object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=items,
        events=zeros,
        timestamps=zeros,
        values=zeros.astype(np.float32),
        is_target=zeros == 0,
    )


@settings(max_examples=50, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=7), min_size=1, max_size=5),
    k=st.integers(1, 7),
    window=st.integers(1, 4),
    disliked=st.none() | st.sets(st.integers(0, 34)),
    at_once=st.sampled_from([5, pair_counts.PAIRS_AT_ONCE]),
    decay=st.sampled_from([1.0, 0.5]),
    backward=st.sampled_from([1.0, 0.25]),
)
def test_history_neighbours_are_the_most_frequent_pairs_of_events_that_count(
    sequences, k, window, disliked, at_once, decay, backward
):
    counts = np.zeros((ITEMS, ITEMS))
    counted = np.array([place not in (disliked or ()) for place in range(sum(map(len, sequences)))], bool)
    first = 0
    for sequence in sequences:
        for x, i in enumerate(sequence):
            for y, j in enumerate(sequence):
                if 0 < abs(x - y) <= window and i != j and counted[first + x] and counted[first + y]:
                    counts[i, j] += decay ** (abs(x - y) - 1) * (1 if y > x else backward)
        first += len(sequence)
    given_mask = None if disliked is None else counted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "PAIRS_AT_ONCE", at_once)
        indices, values = history_neighbours(
            histories_of(sequences), ITEMS, k, window, given_mask, decay=decay, backward=backward
        )
    assert indices.shape == values.shape == (ITEMS, k)
    for item in range(ITEMS):
        expected = sorted((-count, other) for other, count in enumerate(counts[item]) if count)[:k]
        rest = k - len(expected)
        assert indices[item].tolist() == [other for _, other in expected] + [-1] * rest
        assert values[item].tolist() == [-count for count, _ in expected] + [0.0] * rest


def test_pairs_are_counted_in_parts_of_about_as_many(monkeypatch):
    sequences = [[item] * 4 for item in np.repeat(np.arange(100), np.arange(100) + 1)]
    ((keys, counts),) = pair_counts.count_pairs_in_parts(histories_of(sequences), 100, window=3)
    monkeypatch.setattr(pair_counts, "PAIRS_AT_ONCE", 6 * 4 * 1000)
    parts = [*pair_counts.count_pairs_in_parts(histories_of(sequences), 100, window=3)]
    assert len(parts) == 6 and max(part.sum() for _, part in parts) <= 12 * (1000 + 100)
    assert np.concatenate([part for part, _ in parts]).tolist() == keys.tolist()
    assert np.concatenate([part for _, part in parts]).tolist() == counts.tolist()


def test_vectors_are_whitened_block_by_block(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(50, 4)) * [1, 2, 3, 4]
    vectors[::9] = 0
    whole = softly_whitened(vectors)
    monkeypatch.setattr(neighbours, "_VECTORS_AT_ONCE", 7)
    in_blocks = softly_whitened(vectors)
    np.testing.assert_allclose(np.abs(in_blocks), np.abs(whole), atol=1e-4)  # the signs of components are free


def test_text_neighbours_are_the_highest_cosines():
    vectors = np.random.default_rng(1).normal(size=(40, 5))
    vectors[7] = 0.0
    indices, values = text_neighbours(vectors, k=3)
    for item in range(40):
        cosines = []
        for other in range(40):
            lengths = np.linalg.norm(vectors[item]) * np.linalg.norm(vectors[other])
            if other != item and lengths > 0:
                cosines.append((-(vectors[item] @ vectors[other]) / lengths, other))
        best = sorted(cosines)[:3]
        if item == 7:
            assert indices[item].tolist() == [-1, -1, -1] and values[item].tolist() == [0, 0, 0]
        else:
            assert indices[item].tolist() == [other for _, other in best]
            assert values[item] == pytest.approx([np.exp((-cosine - 1) / 0.3) for cosine, _ in best], rel=1e-3)


def test_a_lone_item_has_no_neighbours():
    indices, values = text_neighbours(np.ones((1, 4)), k=2)
    assert indices.tolist() == [[-1, -1]] and values.tolist() == [[0, 0]]


def test_whitening_softly_leaves_the_roots_of_the_deviations():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(400, 4)) * [1, 2, 3, 4] @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 3.0
    found = softly_whitened(vectors).astype(np.float64)
    assert found.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-4)
    covariance = found.T @ found / 400
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) / 20  # standard deviations, descending
    assert covariance == pytest.approx(np.diag(singular[::-1]), rel=1e-3, abs=1e-3)


def test_vectors_are_whitened_as_others_were_and_empty_texts_stay_empty():
    rng = np.random.default_rng(3)
    known, new = rng.normal(size=(50, 6)), rng.normal(size=(5, 6))
    known[[4, 9]] = 0
    new[2] = 0
    whole = softly_whitened(np.concatenate([known, new]), by=known)
    assert whole[:50] == pytest.approx(softly_whitened(known), abs=1e-5)
    assert (whole[[4, 9, 52]] == 0).all() and (np.abs(whole[[0, 50, 54]]).sum(axis=1) > 0).all()
    without = softly_whitened(np.delete(known, [4, 9], axis=0))
    assert np.abs(whole[0]) == pytest.approx(np.abs(without[0]), abs=1e-5)  # empty texts don't move the mean


@pytest.mark.parametrize("vectors", [np.full((7, 4), 0.1), np.ones((3, 4)), np.zeros((3, 4)), np.zeros((0, 4))])
def test_texts_that_say_nothing_have_no_direction(vectors):
    assert (softly_whitened(vectors) == 0).all() and softly_whitened(vectors).shape == vectors.shape
