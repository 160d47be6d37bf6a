"""What the neighbours of an item are, and why."""

import numpy as np
import pytest

import tfrec
from tests.explanation.toy import ITEMS, make_run
from tfrec.explanation import explain_neighbours


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_the_memory_comes_first_with_what_an_event_adds(run):
    frame = explain_neighbours(run, "i3", k=4)
    inputs = {"history_items": np.array([[3]], np.int32), "history_events": np.zeros([1, 1], np.int32)}
    scores = run.model.memory.catalogue_scores(inputs["history_items"]).numpy()[0]
    raised = [other for other in np.argsort(-scores, kind="stable") if scores[other] > 0][:4]
    remembered = frame.filter(frame["why"] != "cosine")
    assert remembered["item_id"].to_list() == [f"i{other}" for other in raised]
    np.testing.assert_allclose(remembered["adds"], scores[raised], atol=1e-5)
    near = dict(zip(run.model.memory.near[3].numpy().tolist(), run.model.memory.counts[3].numpy().astype(int).tolist()))
    assert frame["together"].to_list() == [near.get(int(item[1:]), 0) for item in frame["item_id"]]


def test_the_nearest_by_cosine_come_with_the_words_they_share(run):
    frame = explain_neighbours(run, "i3", k=3)
    vectors = run.model.item_vectors().numpy()
    cosines = vectors @ vectors[3]
    nearest = [other for other in np.argsort(-cosines, kind="stable") if other != 3][:3]
    assert {f"i{other}" for other in nearest} == set(frame.filter(frame["why"] != "memory")["item_id"])
    found = [cosines[int(item[1:])] for item in frame["item_id"]]
    np.testing.assert_allclose(frame["cosine"], found, atol=1e-5)
    assert all(words == ["film"] for words in frame["words"].to_list())  # "Film 3" and "Film 8"


def test_bad_input_is_said(run):
    with pytest.raises(tfrec.InvalidInput, match="1 of 1 items are not in the catalogue"):
        explain_neighbours(run, f"i{ITEMS}")
    other = type(run)(**{**vars(run), "model": object(), "kind": "click-ranker"})
    with pytest.raises(tfrec.InvalidInput, match="Expected a next-item run"):
        explain_neighbours(other, "i3")
