"""Console tables: every number once, in the right column."""

import io

from rich.console import Console

from tfrec.workflows.console_tables import metric_rows, print_lists, print_metrics


def test_rows_are_the_model_and_then_each_baseline_with_dashes_for_what_is_missing():
    metrics = {
        "recall@10": 0.25,
        "ndcg@10": 0.125,
        "users": 3,
        "items": 9,
        "protocol": {"split": "leave-one-out"},
        "baselines": {"popularity": {"ndcg@10": 0.0625, "recall@10": 0.1}, "text": {"recall@10": 0.5}},
    }
    heading, rows = metric_rows(metrics)
    assert heading == ["", "ndcg@10", "recall@10"]
    assert rows == [["model", "0.1250", "0.2500"], ["popularity", "0.0625", "0.1000"], ["text", "–", "0.5000"]]


def test_the_printed_table_says_how_many_users_and_items():
    stream = io.StringIO()
    print_metrics({"auc": 0.75, "users": 3, "items": 9}, Console(file=stream, width=100))
    assert "0.7500" in stream.getvalue() and "3 users, 9 items" in stream.getvalue()


def test_a_list_shows_the_newest_first_and_titles_with_brackets_as_they_are():
    stream = io.StringIO()
    print_lists(["old", "newer", "newest [1995]"], ["one", "two"], "u1", Console(file=stream, width=100), last=2)
    text = stream.getvalue()
    assert text.index("newest [1995]") < text.index("newer") and "old" not in text
    assert "1. one" in text and "2. two" in text
