"""Faithfulness of a click-ranker's explanations, on one whose logit is a sum."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tfrec
from tests.explanation.toy import ITEMS, make_histories
from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.explanation import measure_faithfulness
from tfrec.explanation.faithfulness import ranker
from tfrec.workflows.explanation_sections import faithfulness_words

WORTH = np.array([4.0, -1.0, 2.0, 0.5, 3.0, 1.0, -2.0])
"""What each feature adds to the logit, of which 0.25 is there without any."""


@pytest.fixture(scope="module")
def model():
    return tfrec.ClickRanker(ITEMS, 2, ["view"], dim=4, mlp_units=[4])


@pytest.fixture
def run(monkeypatch, model):
    asked = []

    def sums(model, places, codes, said, context, head):
        asked.append((places.tolist(), codes.tolist(), said, head))
        return [f"f{number}" for number in range(len(WORTH))], lambda there: there @ WORTH + 0.25

    monkeypatch.setattr(ranker, "ranking_features", sums)
    return SimpleNamespace(
        model=model,
        kind="click-ranker",
        config=RunConfig().with_values(["model.kind=click-ranker"]),
        manifest={},
        path=Path("nowhere"),
        event_kinds=["view", "buy"],
        item_ids=np.array([f"i{item}" for item in range(ITEMS)], object),
        item_counts=np.arange(ITEMS),
        asked=asked,
    )


def mean(found, method, measure):
    return found["methods"][method][measure]["mean"]


def test_the_curves_of_a_sum_are_sums(run, tmp_path):
    data = make_histories([[1, 2, 3], [4], [], [5, 6]], [[0, 1, 0], [0], [], [1, 0]])
    found = measure_faithfulness(run, data, out=tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == found and found["users"] == 2
    for method in ("Shapley values", "leave-one-out"):
        falls = [mean(found, method, f"fall@{size}") for size in (1, 3, 5)]
        assert_allclose(falls, [4, 4 + 3 + 2, 4 + 3 + 2 + 1 + 0.5])
        assert_allclose([mean(found, method, f"gain@{size}") for size in (1, 3, 5)], falls)
        assert mean(found, method, "agreement") == pytest.approx(1)
    assert mean(found, "random", "fall@3") < 9 and found["ratios"]["random"]["mean"] > 1
    assert found["best_other"] == "leave-one-out" and found["ratios"]["best_other"]["mean"] == pytest.approx(1)
    # The newest event is what is ranked after the others.
    assert min(run.asked, key=str) == ([1, 2, 3], [0, 1], [("view", "i1"), ("buy", "i2")], 0)


def test_it_is_told_of_features_and_only_what_was_measured(run):
    words = faithfulness_words(measure_faithfulness(run, make_histories([[1, 2], [3, 4]]), out=""))
    assert "2 users, the item of the newest event of each." in words
    assert any("Without the three features that Shapley values names" in one for one in words) and len(words) == 2


def test_users_with_one_event_have_nothing_to_rank(run):
    with pytest.raises(InvalidInput, match="No user has two events"):
        measure_faithfulness(run, make_histories([[1], [2]]), out="")


def test_the_features_of_a_model_are_deleted(run, monkeypatch):
    monkeypatch.undo()
    found = measure_faithfulness(run, make_histories([[1, 2, 3], [5, 6]]), out="")
    falls = [mean(found, method, "fall@1") for method in ("leave-one-out", "random")]
    assert falls[0] >= falls[1] and np.isfinite(falls).all()
