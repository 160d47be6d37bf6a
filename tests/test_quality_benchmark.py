"""What `benchmarks/quality.py` and its peers share: the measure, the lists and the choice on validation."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "quality_files.py"


@pytest.fixture(scope="module")
def shared():
    spec = importlib.util.spec_from_file_location("quality_files", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_users_without_a_list_count_as_misses(shared):
    lists = {1: [7, 8, 9], 2: [*range(100, 110), 5]}
    found = shared.measure(lists, {1: [9], 2: [5], 3: [5]})  # third; eleventh; no list
    assert found == pytest.approx({"recall@10": 1 / 3, "ndcg@10": 0.5 / 3, "recall@50": 2 / 3})  # 1 / log2(4) is 0.5


def test_the_best_order_of_two_targets_has_an_ndcg_of_one(shared):
    assert shared.measure({1: [3, 4, 5]}, {1: [4, 3]})["ndcg@10"] == pytest.approx(1)
    late = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert shared.measure({1: [5, 3, 4]}, {1: [4, 3]})["ndcg@10"] == pytest.approx(late)


def test_lists_leave_out_seen_items_and_what_is_no_item(shared):
    ranked = np.array([[4, 3, -1, 2, 1], [1, 2, 3, 4, 0]])
    found = shared.top_lists(np.array([10, 11]), ranked, {10: {3}}, k=3)
    assert shared.by_user(found) == {10: [4, 2, 1], 11: [1, 2, 3]}
    assert found["rank"].tolist() == [1, 2, 3, 1, 2, 3]


def test_validation_takes_the_better_of_lists_with_and_without_seen_items(shared, tmp_path):
    folder = tmp_path / "valid"
    folder.mkdir()
    pd.DataFrame({"user": [1, 1], "item": [5, 6], "position": [0, 1]}).to_parquet(folder / "context.parquet")
    pd.DataFrame({"user": [1], "item": [7]}).to_parquet(folder / "targets.parquet")
    validation = shared.Validation(tmp_path)
    everything, unseen = [(1, 6, 1), (1, 7, 2)], [(1, 7, 1)]
    columns = ["user", "item", "rank"]
    assert validation(lambda masked: pd.DataFrame(unseen if masked else everything, columns=columns)) == 1
    assert validation(lambda masked: pd.DataFrame(everything, columns=columns)) == pytest.approx(1 / math.log2(3))
