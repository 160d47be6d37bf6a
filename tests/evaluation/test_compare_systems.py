"""Comparisons against scipy and statsmodels, and their error rate when nothing differs."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tfrec import InvalidInput
from tfrec.evaluation import compare_systems
from tfrec.evaluation.significance import adjust, paired_bootstrap, paired_permutation


@pytest.mark.slow
def test_corrections_equal_statsmodels():
    p = np.random.default_rng(0).random(20) ** 3
    for method, theirs in (("holm", "holm"), ("benjamini-hochberg", "fdr_bh")):
        assert_allclose(adjust(p, method), multipletests(p, method=theirs)[1])
    assert_allclose(adjust(p, "none"), p)
    with_gap = adjust([0.01, np.nan, 0.04])
    assert_allclose(with_gap[[0, 2]], multipletests([0.01, 0.04], method="holm")[1])
    assert math.isnan(with_gap[1])


def test_the_permutation_test_is_close_to_all_flips():
    d = np.round(np.random.default_rng(1).normal(0.4, 1, (10, 2)), 2)
    d[:3, 1] = 0
    found = paired_permutation(d, flips=20_000, seed=3)
    for column in range(2):
        flips = [abs(np.dot(signs, d[:, column])) for signs in itertools.product([-1, 1], repeat=10)]
        exact = np.mean([value >= abs(d[:, column].sum()) - 1e-9 for value in flips])
        # Four standard errors of 20,000 draws.
        assert found[column] == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_the_permutation_test_agrees_with_scipy():
    d = np.random.default_rng(2).normal(0.2, 1, 60)
    theirs = stats.permutation_test(
        (d, np.zeros(60)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        rng=1,
    )
    assert paired_permutation(d[:, None], seed=1)[0] == pytest.approx(theirs.pvalue, abs=0.02)


def test_the_bootstrap_equals_scipys():
    rng = np.random.default_rng(3)
    a, b = rng.random((1, 200, 1)), rng.random((1, 200, 1))
    theirs = stats.bootstrap(((b - a)[0, :, 0],), np.mean, method="percentile", n_resamples=9999, rng=4)
    found = paired_bootstrap(a, b, resamples=9999)[0]
    assert_allclose(found, theirs.confidence_interval, atol=0.005)


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(4)
    user = rng.random((1, 300, 1))
    a, b = (user + rng.normal(0, 0.05, (5, 1, 1)) + rng.normal(0, 0.01, (5, 300, 1)) for _ in range(2))
    low, high = paired_bootstrap(a, b)[0]
    one_low, one_high = paired_bootstrap(a[:1], b[:1])[0]
    # Two sides of five seeds with deviation .05: standard error .05 × √(2/5) = .03, against .0008 of the users.
    assert high - low > 5 * (one_high - one_low)


def test_p_values_are_uniform_when_nothing_is_different():
    rng = np.random.default_rng(5)
    d = rng.laplace(size=(80, 400))
    rejected = (paired_permutation(d, flips=999) <= 0.05).mean()
    assert abs(rejected - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 400)


def frame(ranks, users=None, targets=None):
    users = users or [f"u{i}" for i in range(len(ranks))]
    return pl.DataFrame(
        {"user_id": users, "targets": targets or [[i] for i in range(len(ranks))], "ranks": [[r] for r in ranks]},
        schema_overrides={"ranks": pl.List(pl.Int64)},
    )


def test_a_comparison_by_hand():
    table = compare_systems(
        {"A": [frame([1, 2, 20, None])], "B": [frame([1, 1, 4, 20]), frame([1, 1, 2, 20])]},
        metrics=["mrr@10", "hit_rate@10"],
        flips=999,
    )
    row = table.row(0, named=True)
    ours, theirs = np.array([1, 1, (1 / 4 + 1 / 2) / 2, 0]), np.array([1, 1 / 2, 0, 0])
    d = ours - theirs
    assert (row["system"], row["baseline"], row["users"], row["seeds"]) == ("B", "A", 4, 2)
    assert row["value"] == pytest.approx(ours.mean()) and row["baseline_value"] == pytest.approx(theirs.mean())
    assert row["difference"] == pytest.approx(d.mean())
    assert row["relative"] == pytest.approx(d.mean() / theirs.mean())
    assert row["effect_size"] == pytest.approx(d.mean() / d.std(ddof=1))
    assert row["seed_sd"] == pytest.approx(np.std([2.25 / 4, 2.5 / 4], ddof=1))
    assert (row["wins"], row["ties"], row["losses"]) == (2, 2, 0)
    assert row["low"] <= row["difference"] <= row["high"]
    assert table["p_adjusted"].to_list() == adjust(table["p"].to_list()).tolist()


def test_users_are_paired_by_id_not_by_position():
    first = frame([1, 2, 3], ["a", "b", "c"], [[1], [2], [3]])
    second = frame([3, 1, 2], ["c", "a", "b"], [[3], [1], [2]])
    table = compare_systems({"A": [first], "B": [second]}, metrics=["mrr@10"])
    assert table["ties"].item() == 3 and table["p"].item() == 1 and table["effect_size"].item() == 0


@pytest.mark.parametrize(
    "systems, options, message",
    [
        ({"A": [frame([1])]}, {}, "at least two"),
        ({"A": [frame([1])], "B": [frame([1])]}, {"baseline": "C"}, "received 'C'"),
        ({"A": [frame([1])], "B": [frame([1])]}, {"metrics": ["ndcg"]}, "such as ndcg@10"),
        ({"A": [frame([1])], "B": [frame([1])]}, {"metrics": ["auc@3"]}, "received 'auc@3'"),
        ({"A": [frame([1])], "B": [frame([1])]}, {"correction": "x"}, "received 'x'"),
        ({"A": [frame([1, 1])], "B": [frame([1, 1], ["u0", "x"])]}, {}, "1 only here, 1 only there"),
        ({"A": [frame([1])], "B": [frame([1], targets=[[7]])]}, {}, "1 of 1 users have other targets"),
        ({"A": [frame([1])], "B": [frame([1, 1], ["u0", "u0"])]}, {}, "1 rows repeat a user"),
    ],
)
def test_incomparable_systems_are_refused(systems, options, message):
    with pytest.raises(InvalidInput, match=message):
        compare_systems(systems, **options)
