"""Targets moved towards what users take together, against a loop over all pairs of events."""

import numpy as np
import polars as pl
from numpy.testing import assert_allclose

from tfrec.data import prepare
from tfrec.workflows.cooccurrence_targets import with_cooccurrence


def test_vectors_move_towards_the_items_nearby_and_lonely_ones_stay(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{item}", n) for u in range(12) for n, item in enumerate(rng.permutation(7)[:5])]
    events = pl.DataFrame([*rows, ("alone", "i8", 0)], schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(9)], "text": [f"t{i}" for i in range(9)]})
    data = prepare(events, items, tmp_path / "data", split="leave-one-out")
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected, histories = [], data.training()
    for item in range(9):
        nearby = np.zeros(4)
        for user in range(len(histories)):
            taken = histories.items[histories.row(user)]
            if item in taken:
                nearby += sum(vectors[other] for other in taken if other != item)
        moved = vectors[item] + (0.5 * nearby / np.linalg.norm(nearby) if np.any(nearby) else 0)
        expected.append(moved / np.linalg.norm(moved))
    assert_allclose(with_cooccurrence(data, vectors, 0.5), expected, atol=1e-5)
    assert_allclose(with_cooccurrence(data, vectors, 0.5)[8], vectors[8], atol=1e-6)
    assert_allclose(with_cooccurrence(data, vectors, 0.0), vectors, atol=1e-6)
