"""Whether a run is ahead of the best untrained baseline is decided by a rule, which chance does not."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec.evaluation.standing import MeasuredBaseline, standing, standing_words


def result(each):
    return SimpleNamespace(metrics={"ndcg@10": float(np.mean(each))}, per_user=pl.DataFrame({"ndcg@10": each}))


def baseline(each, valid=None):
    return MeasuredBaseline(result(each), {}, valid)


@pytest.mark.parametrize(
    ("run", "verdict"),
    [([0.5, 0.6, 0.5, 0.6], "ahead"), ([0.1, 0.0, 0.1, 0.0], "behind"), ([0.9, 0.0, 0.8, 0.0], "level")],
)
def test_a_run_is_ahead_or_behind_by_more_than_the_paired_standard_error(run, verdict):
    found = standing(result(run), {"text": baseline([0.3, 0.4, 0.3, 0.4])})
    differences = [a - b for a, b in zip(run, [0.3, 0.4, 0.3, 0.4])]
    assert found["difference"] == pytest.approx(sum(differences) / 4)
    spread = sum((each - found["difference"]) ** 2 for each in differences) / 3
    assert found["standard_error"] == pytest.approx((spread / 4) ** 0.5)
    assert found["verdict"] == verdict
    assert standing_words(found).startswith(f"The model is {verdict}")


def test_validation_says_which_baseline_is_the_best_not_the_test():
    others = {"lucky": baseline([0.9, 0.8], valid=0.1), "good": baseline([0.2, 0.3], valid=0.4)}
    assert standing(result([0.5, 0.5]), others)["baseline"] == "good"
    without = {name: baseline(each.result.per_user["ndcg@10"].to_list()) for name, each in others.items()}
    assert standing(result([0.5, 0.5]), without)["baseline"] == "lucky"


def test_one_query_decides_nothing():
    found = standing(result([0.9]), {"text": baseline([0.1])})
    assert (found["standard_error"], found["verdict"]) == (None, "level")
    assert "of one user" in standing_words(found)
