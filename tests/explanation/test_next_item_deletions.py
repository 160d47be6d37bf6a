"""Scores after deletions: what is shared over the deletions of a history changes nothing but the time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.explanation.toy import ITEMS, ROWS, make_histories, make_model
from tfrec.data.padding import history_batch
from tfrec.explanation.deletions import RescoredDeletions, total
from tfrec.explanation.event_groups import deletion_masks, event_groups
from tfrec.explanation.next_item_deletions import NextItemDeletions
from tfrec.explanation.variant_queries import can_share
from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts
from tfrec.models.next_item.scorer import NextItemScorer

pytestmark = pytest.mark.slow  # tracing
HISTORIES = make_histories(ROWS)
EVERYONE = np.arange(len(ROWS))


MODELS = [
    pytest.param({"memory_history": 4}, id="reads as much as it remembers"),
    pytest.param({"memory_history": 6, "disliked": 1}, id="remembers more", marks=pytest.mark.nightly),
    pytest.param({"memory_history": 6, "disliked": 1, "block": "gated"}, id="remembers more, gated"),
]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return make_model(**request.param)


def masks(model, seed):
    """Everything, all deletions of one event, and random deletions up to all events."""
    one = deletion_masks(event_groups(HISTORIES, EVERYONE, model.memory_history))
    rng = np.random.default_rng(seed)
    some = rng.random([len(ROWS), 5, one.shape[2]]) < rng.random([len(ROWS), 5, 1])
    return np.concatenate([one, some, np.zeros_like(some[:, :1])], axis=1)


def rewritten(model, keep):
    """The variants as histories of their own, without padding between the events."""
    window = history_batch(HISTORIES, EVERYONE, model.memory_history)
    batch, variants, _ = keep.shape
    inputs = {
        "history_items": np.full([batch, variants, model.memory_history], -1, np.int32),
        "history_events": np.full([batch, variants, model.memory_history], -1, np.int32),
    }
    for row, variant in np.ndindex(batch, variants):
        left = [e for e in range(keep.shape[2]) if window["history_items"][row, e] >= 0 and keep[row, variant, e]]
        for name, values in inputs.items():
            values[row, variant, : len(left)] = window[name][row, left]
    flat = {name: values.reshape(batch * variants, -1) for name, values in inputs.items()}
    return {**flat, "history_gaps": np.zeros([batch * variants, model.memory_history], np.float32)}


@pytest.mark.parametrize("whole", [True, False], ids=["catalogue", "some items"])
def test_shared_work_gives_the_scores_of_the_histories_without_the_events(model, whole):
    keep = masks(model, seed=1)
    items = None if whole else np.random.default_rng(2).integers(0, ITEMS, [len(ROWS), 3]).astype(np.int32)
    shared = NextItemDeletions(model, batch_size=3).parts(HISTORIES, EVERYONE, keep, items)
    expected = catalogue_parts(model, rewritten(model, keep))
    assert set(expected) == set(shared)
    for name, part in expected.items():
        scores = part.numpy().reshape(*keep.shape[:2], ITEMS)
        asked = scores if whole else np.take_along_axis(scores, items[:, None], axis=2)
        assert_allclose(shared[name], asked, atol=2e-5, err_msg=name)


def test_the_parts_sum_to_the_score_that_the_list_is_made_with(model):
    full = np.ones([len(ROWS), 1, 1], bool)
    parts = NextItemDeletions(model).parts(HISTORIES, EVERYONE, full, None)
    assert_allclose(total(parts)[:, 0], NextItemScorer(model).scores(HISTORIES, EVERYONE), atol=1e-5)


def test_any_scorer_can_be_asked_again(model):
    keep = deletion_masks(event_groups(HISTORIES, EVERYONE, model.memory_history))  # at most one event is deleted
    items = np.array([[0, 8], [1, 1], [2, 3], [4, 5], [6, 7]], np.int32)
    again = RescoredDeletions.of_scorer(NextItemScorer(model), model.memory_history)
    for asked in (items, None):
        ours = total(NextItemDeletions(model).parts(HISTORIES, EVERYONE, keep, asked))
        assert_allclose(ours, again.parts(HISTORIES, EVERYONE, keep, asked)["score"], atol=2e-5)


def test_models_whose_work_cannot_be_shared_are_known():
    assert can_share(make_model()) and can_share(make_model(block="gated"))
    assert not can_share(make_model(layers=2)) and not can_share(make_model(time_gaps=True))
