"""Windows over training sequences."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tfrec.data.histories import Histories
from tfrec.models.next_item.windows import Windows


def histories(lengths, targets=None):
    total = sum(lengths)
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(lengths))], object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.arange(total, dtype=np.int32),
        events=np.zeros(total, np.int16),
        timestamps=np.arange(total, dtype=np.int64),
        values=np.full(total, np.nan, np.float32),
        is_target=np.ones(total, bool) if targets is None else np.array(targets),
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 7))
def test_each_event_but_a_users_first_is_learnt_exactly_once(lengths, length):
    windows = Windows.cut(histories(lengths), length)
    learnt = []
    for row in range(len(windows)):
        inputs, labels = windows.batch(np.array([row]))
        assert inputs["history_items"].shape == labels.shape and labels.shape[1] <= length
        for item, label in zip(inputs["history_items"][0], labels[0], strict=True):
            assert label == item + 1  # items are numbered in order, so the label is the event after
            learnt.append(int(label))
    firsts = set(np.concatenate([[0], np.cumsum(lengths)])[:-1].tolist())
    assert sorted(learnt) == [i for i in range(sum(lengths)) if i not in firsts]


def test_events_that_are_not_targets_are_inputs_but_not_labels():
    windows = Windows.cut(histories([4], targets=[True, False, True, False]), 10)
    inputs, labels = windows.batch(np.array([0]))
    assert inputs["history_items"].tolist() == [[0, 1, 2]]
    assert labels.tolist() == [[-1, 2, -1]]


def test_shorter_rows_are_padded_on_the_right():
    windows = Windows.cut(histories([2, 4]), 10)
    inputs, labels = windows.batch(np.array([0, 1]))
    assert inputs["history_items"].tolist() == [[0, -1, -1], [2, 3, 4]]
    assert labels.tolist() == [[1, -1, -1], [3, 4, 5]]


def test_an_epoch_holds_every_window_once_and_repeats_for_the_same_seed():
    windows = Windows.cut(histories([3] * 50), 5)
    first = [rows.tolist() for rows in windows.epoch(8, seed=1, epoch=2)]
    assert sorted(sum(first, [])) == list(range(50))
    assert len(first) == windows.steps(8) == 7
    assert first == [rows.tolist() for rows in windows.epoch(8, seed=1, epoch=2)]
    assert first != [rows.tolist() for rows in windows.epoch(8, seed=1, epoch=3)]


def test_users_with_a_single_event_have_no_window():
    assert len(Windows.cut(histories([1, 1]), 5)) == 0


def test_a_share_of_the_labels_is_learnt_by_kind_and_all_events_remain_inputs():
    given = histories([200])
    given.events[:] = np.arange(200) % 2
    windows = Windows.cut(given, 300, shares=np.array([1.0, 0.25]))
    whole_inputs, whole = windows.batch(np.array([0]))
    inputs, labels = windows.batch(np.array([0]), np.random.default_rng(0))
    assert_array_equal(inputs["history_items"], whole_inputs["history_items"])
    kinds = given.events[1:]
    learnt = labels[0] >= 0
    assert learnt[kinds == 0].all() and 10 < learnt[kinds == 1].sum() < 40  # 25 of 100 are expected
    assert_array_equal(labels[0][learnt], whole[0][learnt])
