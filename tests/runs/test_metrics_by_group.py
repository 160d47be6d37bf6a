"""The parts of a metrics file beyond the headline, on a dataset and lists written by hand."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput, RunConfig, prepare
from tfrec.evaluation import evaluate_ranking
from tfrec.runs.metrics_by_group import beyond_accuracy, slice_report

COUNTRIES = {"u0": "NL", "u1": "NL", "u2": "FR", "u3": None}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Four users over five items; the model likes "a" best, then "b", and so on."""
    rows = [
        (user, item, kind, time)
        for user, items in {"u0": "bcda", "u1": "cdba", "u2": "abce", "u3": "eabd"}.items()
        for time, (item, kind) in enumerate(zip(items, ["view", "view", "view", "purchase"]))
    ]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": list("abcde"), "title": list("ABCDE"), "genre": ["x", "x|y", "y", None, "y"]})
    users = pl.DataFrame({"user_id": list(COUNTRIES), "country": list(COUNTRIES.values())})
    data = prepare(log, items, tmp_path_factory.mktemp("d") / "data", users=users, split="leave-one-out")

    class Alphabet:
        name, num_items = "alphabet", 5

        def scores(self, histories, rows):
            return np.tile(-np.arange(5, dtype=np.float32), (len(rows), 1))

    queries = data.queries("test")
    return data, queries, evaluate_ranking(Alphabet(), queries, num_items=5, bootstrap=0)


def run(data, **evaluation):
    return SimpleNamespace(
        config=RunConfig.from_dict({"evaluation": evaluation}),
        item_counts=data.items["train_count"].to_numpy().astype(np.int64),
        text_vectors=np.eye(5),
    )


def test_lists_of_labels_are_groups_as_if_they_were_joined(parts, tmp_path):
    data, queries, result = parts
    lists = pl.Series("genre", [["x"], ["x", "y"], ["y"], None, ["y"]])
    other = SimpleNamespace(items=data.items.with_columns(lists), users=data.users, event_kinds=data.event_kinds)
    other.histories, other.training, other.num_items = data.histories, data.training, data.num_items
    other.manifest = data.manifest
    made = run(data, item_groups=["genre"], categories="genre")
    found, expected = (slice_report(result, each, made, queries) for each in (other, data))
    assert found == expected
    assert beyond_accuracy(result, other, made, queries) == beyond_accuracy(result, data, made, queries)
    other.items = data.items.with_columns(genre=pl.struct(a="title"))
    with pytest.raises(InvalidInput, match="which is no group"):
        slice_report(result, other, made, queries)


def test_slices_say_for_whom_the_model_works(parts):
    data, queries, result = parts
    made = run(data, user_groups=["country"], item_groups=["genre"])
    found = slice_report(result, data, made, queries)
    by_country = found["users"]["country"]
    assert {name: row["users"] for name, row in by_country.items()} == {"(none)": 1, "FR": 1, "NL": 2}
    assert by_country["NL"]["mrr@10"] == 1 and by_country["FR"]["mrr@10"] == 0.2  # "a" is first, "e" is fifth
    assert found["targets"]["behaviour"]["purchase"]["targets"] == 4
    assert found["targets"]["genre"]["x"]["mrr@10"] == 1
    # Targets a, a, e, d of the genres x, x, y and none; b is of both, and in the lists of all.
    assert {name: row["targets"] for name, row in found["targets"]["genre"].items()} == {"(none)": 1, "x": 2, "y": 1}
    exposure = {row["group"]: row for row in found["exposure"]["genre"]}
    assert {name: row["items"] for name, row in exposure.items()} == {"(none)": 1, "x": 2, "y": 3}
    assert sum(row["exposure"] for row in exposure.values()) == pytest.approx(1)
    assert found["disparity"]["country"]["left_out"] == ["(none)", "FR", "NL"]
    assert "NaN" not in json.dumps(found)


def test_slices_say_what_the_model_adds_over_counting(parts):
    data, queries, result = parts
    # Training has b c, c d, a b and e a; the newest items of the queries are d, b, c and b, the targets a, a, e and d.
    slices = slice_report(result, data, run(data), queries, {"same": result})
    found = slices["targets"]["transition"]
    assert {name: row["targets"] for name, row in found.items()} == {"never": 3, "two hops": 1}
    groups = [group for what in ("users", "targets") for found in slices[what].values() for group in found.values()]
    assert len(groups) > 4 and all(row["ndcg@10_same"] == row["ndcg@10"] > 0 for row in groups)


def test_lists_are_described_with_vectors_and_categories(parts):
    data, queries, result = parts
    found = beyond_accuracy(result, data, run(data, categories="genre"), queries)
    assert found["precision@10"] == pytest.approx(0.1)  # one target each, all five items in the list of ten
    assert found["diversity@10"] == pytest.approx(1)  # the vectors are at right angles
    assert found["coverage@10"] == 1 and found["gini@10"] == 0
    assert found["miscalibration@10"] > 0
    assert "miscalibration@10" not in beyond_accuracy(result, data, run(data), queries)


@pytest.mark.parametrize(
    "options, message",
    [({"user_groups": ["age"]}, "'age'"), ({"item_groups": ["shop"]}, "'shop'"), ({"categories": "shop"}, "'shop'")],
)
def test_a_column_that_is_not_there_is_named(parts, options, message):
    data, queries, result = parts
    with pytest.raises(InvalidInput, match=message):
        slice_report(result, data, run(data, **options), queries)
        beyond_accuracy(result, data, run(data, **options), queries)
