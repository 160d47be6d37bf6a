"""Cosine and common neighbours, against a loop."""

import numpy as np

from tfrec.encoders.compression.fidelity import mean_cosine, neighbour_overlap


def test_neighbours_in_common_equal_a_loop():
    rng = np.random.default_rng(0)
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in rng.normal(size=(2, 40, 6)))
    rows = np.array([3, 7, 39])
    shares = []
    for row in rows:
        sets = []
        for vectors in (one, other):
            cosines = vectors @ vectors[row]
            sets.append(set([item for item in np.argsort(-cosines) if item != row][:10]))
        shares.append(len(sets[0] & sets[1]) / 10)
    assert neighbour_overlap(one, other, rows) == np.mean(shares)
    assert neighbour_overlap(one, one, rows) == 1


def test_the_cosine_does_not_see_lengths_and_a_zero_vector_has_none():
    assert mean_cosine(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.3, 0.4], [1.0, 0.0]])) == 0.5
