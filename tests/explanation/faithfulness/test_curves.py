"""Measures of faithfulness, against arithmetic by hand and SciPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.explanation.toy import make_histories
from tfrec.explanation.deletions import RescoredDeletions
from tfrec.explanation.faithfulness.attributions import Asked
from tfrec.explanation.faithfulness.curves import curves, events_for_share, named_events, rank_agreement

WEIGHT = np.array([1.0, 10.0, 100.0, 1000.0])


class Sums:
    """The score of item 0 is the sum of the weights of the history's items."""

    name, num_items = "sums", 4

    def scores(self, histories, rows):
        scores = np.zeros([len(rows), 4], np.float32)
        scores[:, 0] = [WEIGHT[histories.items[histories.row(row)]].sum() for row in rows]
        return scores


def test_the_events_with_the_largest_weights_are_named_first():
    weights = np.array([[0.5, 0.9, 0.5, 9.0], [1.0, 2.0, 0.0, 0.0]])
    assert named_events(weights, np.array([3, 2]), 3).tolist() == [[1, 2, 0], [1, 0, -1]]


def test_the_curves_are_what_is_lost_without_the_named_events_and_gained_with_them_alone():
    histories = make_histories([[3, 0, 1, 2, 1], [2]])
    rows = RescoredDeletions.of_scorer(Sums(), max_events=5)
    asked = Asked(histories, np.array([0, 1]), np.array([0, 0]), window=4)  # the event on 3 is read, and not weighed
    named = {"best": np.array([[2, 3, 1, 0, -1], [0, -1, -1, -1, -1]])}
    found = curves(rows, rows, asked, named)["best"]
    assert_allclose(found["fall@1"], [100, 100])
    assert_allclose(found["fall@3"], [120, 100])
    assert_allclose(found["fall@5"], [121, 100])
    assert_allclose(found["gain@3"], [120, 100])
    assert_allclose(found["sufficiency"][0], np.mean([1121 - 100, 1121 - 120, 1121 - 121]))
    assert_allclose(found["comprehensiveness"][0], np.mean([100, 120, 121]))
    # triangle to 1, trapezium to 3, trapezium to 5
    assert_allclose(found["deletion_area"][0], (100 / 2 + 2 * 110 + 2 * 120.5) / 5)


def test_sparsity_counts_what_raises():
    weights = np.array([[5.0, -9.0, 3.0, 2.0], [4.0, 99.0, 0.0, 0.0], [-1.0, -1.0, -1.0, -1.0]])
    assert events_for_share(weights, np.array([4, 1, 4]), 0.8).tolist() == [2, 1, 0]


def test_rank_agreement_is_spearmans(rng=np.random.default_rng(0)):  # noqa: B008
    stats = pytest.importorskip("scipy.stats")
    first, second = rng.integers(0, 4, [6, 9]).astype(float), rng.normal(size=[6, 9])
    found = rank_agreement(first, second, np.full(6, 9))
    assert_allclose(found, [stats.spearmanr(a, b).statistic for a, b in zip(first, second)])
    assert np.isnan(rank_agreement(first, second, np.full(6, 2))).all()
    assert np.isnan(rank_agreement(np.ones([1, 9]), second[:1], np.array([9]))).all()
