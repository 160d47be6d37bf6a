"""Which events are deleted together."""

import numpy as np
import pytest

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tests.explanation.toy import make_histories
from tfrec.errors import InvalidInput
from tfrec.explanation.event_groups import deletion_masks, event_groups

HISTORIES = make_histories([[3, 5, 3, 1], [7], []])
ROWS = np.arange(3)


def test_groups_are_numbered_by_their_first_events():
    assert event_groups(HISTORIES, ROWS, 3).tolist() == [[0, 1, 2], [0, -1, -1], [-1, -1, -1]]
    assert event_groups(HISTORIES, ROWS, 9, "item").tolist() == [[0, 1, 0, 2], [0, -1, -1, -1], [-1] * 4]
    assert event_groups(HISTORIES, ROWS, 3, "item").tolist()[0] == [0, 1, 2]


def test_sessions_end_with_a_pause_and_need_a_clock():
    HISTORIES.timestamps[:4] = np.array([0, 10, 50, 60]) * 60_000_000
    assert event_groups(HISTORIES, ROWS[:1], 9, "session").tolist() == [[0, 0, 1, 1]]
    assert event_groups(HISTORIES, ROWS[:1], 9, "session", session_minutes=5).tolist() == [[0, 1, 2, 3]]
    timeless = HISTORIES.prefixes(ROWS, HISTORIES.lengths)
    object.__setattr__(timeless, "clock", False)
    with pytest.raises(InvalidInput, match="only an order"):
        event_groups(timeless, ROWS, 9, "session")


def test_masks_delete_nothing_and_then_a_group_each():
    masks = deletion_masks(np.array([[0, 1, 0], [0, -1, -1]]))
    assert masks.astype(int).tolist() == [[[1, 1, 1], [0, 1, 0], [1, 0, 1]], [[1, 1, 1], [0, 1, 1], [1, 1, 1]]]
