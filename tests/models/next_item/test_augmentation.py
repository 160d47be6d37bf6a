"""Augmentation of training sequences: what changes, what must not, and how often."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tfrec.config import AugmentationConfig
from tfrec.data.histories import Histories
from tfrec.models.next_item.augmentation import Augmentation
from tfrec.models.next_item.windows import Windows
from tfrec.models.shared.shorter_texts import shorter_texts


def histories(lengths, minutes=None, items=None):
    total = sum(lengths)
    times = np.arange(total) if minutes is None else np.array(minutes) * 60_000_000
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(lengths))], object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.arange(total, dtype=np.int32) if items is None else np.array(items, np.int32),
        events=(np.arange(total) % 3).astype(np.int16),
        timestamps=times.astype(np.int64),
        values=np.full(total, np.nan, np.float32),
        is_target=np.ones(total, bool),
        clock=minutes is not None,
    )


def batch(given, seed=0, substitutes=None, **chances):
    """The inputs and labels of all windows of up to 50 events."""
    windows = Windows.cut(given, 50)
    augmentation = Augmentation(AugmentationConfig(**chances), substitutes)
    return windows.batch(np.arange(len(windows)), None, augmentation, np.random.default_rng(seed))


def prefixes(inputs, labels):
    """Row, items read before each label, and the label, by a loop."""
    read_positions = inputs.get("read_positions")
    for row, column in zip(*np.nonzero(labels >= 0), strict=True):
        stop = column if read_positions is None else read_positions[row, column]
        yield row, inputs["history_items"][row, : stop + 1].tolist(), int(labels[row, column])


def test_without_options_nothing_changes():
    windows = Windows.cut(histories([5, 3]), 50)
    plain = windows.batch(np.arange(2))
    inputs, labels = batch(histories([5, 3]))
    assert inputs.keys() == plain[0].keys()
    for name, value in inputs.items():
        assert_array_equal(value, plain[0][name])
    assert_array_equal(labels, plain[1])


def test_a_crop_is_a_contiguous_half_or_more_and_predicts_its_own_next_events():
    starts, lengths = set(), set()
    for seed in range(200):
        inputs, labels = batch(histories([9, 2]), seed, crop=1.0)
        items = inputs["history_items"][0]
        kept = [int(item) for item in items if item >= 0]
        assert kept == list(range(kept[0], kept[0] + len(kept)))
        assert labels[0, : len(kept)].tolist() == [item + 1 for item in kept] and kept[-1] + 1 <= 8
        starts.add(kept[0])
        lengths.add(len(kept) + 1)  # the last event is a label alone
        assert inputs["history_items"][1, 0] == 9 and labels[1, 0] == 10  # two events stay two
    assert starts == {0, 1, 2, 3, 4} and lengths == {5, 6, 7, 8, 9}


def test_the_share_of_cropped_rows_is_the_probability():
    inputs, _ = batch(histories([40] * 2000), crop=0.3)
    whole = (inputs["history_items"] >= 0).sum(axis=1) == 39
    # of 21 lengths, 20 to 40, one is the whole: 1 − .3 · 20/21 = .714; the standard error is .01
    assert abs(whole.mean() - 0.714) < 0.04


def test_dropped_events_are_not_read_and_every_label_remains_the_next_event():
    given = histories([12, 5, 2])
    for seed in range(50):
        inputs, labels = batch(given, seed, drop=0.4)
        assert_array_equal(inputs["recorded_items"][0], np.arange(11))
        seen = {row: set(inputs["history_items"][row].tolist()) - {-1} for row in range(3)}
        for row, read, label in prefixes(inputs, labels):
            first = int(given.offsets[row])
            assert read == [item for item in range(first, label) if item in seen[row]] and read
        for row in range(3):
            first, stop = given.offsets[row], given.offsets[row + 1]
            lost = [label for label in range(first + 1, stop) if label not in labels[row]]
            assert all(not any(item in seen[row] for item in range(first, label)) for label in lost)
            kept = inputs["history_items"][row] >= 0
            assert_array_equal(inputs["history_events"][row][kept], inputs["history_items"][row][kept] % 3)
            assert_array_equal(inputs["history_events"][row][~kept], -1)


@pytest.mark.parametrize("name", ["drop", "mask"])
def test_the_share_of_dropped_or_masked_events_is_the_probability(name):
    inputs, _ = batch(histories([41] * 500), **{name: 0.2})
    assert abs((inputs["history_items"] >= 0).mean() - 0.8) < 0.015  # 20,000 events: a standard error of .003


def test_a_masked_event_keeps_its_position_kind_and_label():
    plain, labels = Windows.cut(histories([30]), 50).batch(np.array([0]))
    inputs, found = batch(histories([30]), mask=0.5)
    hidden = inputs["history_items"] < 0
    assert 5 < hidden.sum() < 25
    assert_array_equal(inputs["history_items"][~hidden], plain["history_items"][~hidden])
    assert_array_equal(inputs["history_events"], plain["history_events"])
    assert_array_equal(inputs["recorded_items"], plain["history_items"])
    assert_array_equal(inputs["read_positions"][0], np.arange(29))
    assert_array_equal(found, labels)


def test_an_item_is_replaced_by_a_neighbour_but_never_by_an_item_of_its_sequence():
    substitutes = np.full((6, 3), -1, np.int32)
    substitutes[0] = [-1, 5, 2]  # 2 is in the sequence
    substitutes[1] = [2, -1, 3]  # so are both, 3 as the last label
    found = []
    for seed in range(300):
        inputs, labels = batch(histories([4]), seed, substitutes, substitute=0.9)
        assert inputs["history_items"][0, 1:].tolist() == [1, 2]  # 2 has no neighbours
        assert labels.tolist() == [[1, 2, 3]] and inputs["recorded_items"].tolist() == [[0, 1, 2]]
        found.append(int(inputs["history_items"][0, 0]))
    assert set(found) == {0, 5}
    assert abs(np.mean(np.array(found) == 5) - 0.45) < 0.09  # .9, half of them the other: a standard error of .03


def test_events_are_shuffled_within_sessions_and_labels_follow():
    minutes = [0, 10, 39, 100, 131, 140, 500]  # 0 to 39 hang together by steps of at most 30; 131 is 31 after 100
    orders = set()
    for seed in range(300):
        inputs, labels = batch(histories([7], minutes), seed, reorder=1.0)
        order = [*inputs["history_items"][0].tolist(), int(labels[0, -1])]
        assert labels[0].tolist() == order[1:]
        assert set(order[:3]) == {0, 1, 2} and order[3] == 3 and set(order[4:6]) == {4, 5} and order[6] == 6
        assert_array_equal(inputs["history_events"][0], np.array(order[:-1]) % 3)
        seconds = np.diff([60.0 * minute for minute in minutes[:6]])
        np.testing.assert_allclose(inputs["history_gaps"][0], [0, *np.log1p(seconds)], rtol=1e-6)
        orders.add(tuple(order))
    assert len(orders) == 6 * 2


def test_sessions_do_not_reach_into_padding_or_other_rows():
    minutes = [0, 1, 2, 3, 4, 5, 6]
    for seed in range(50):
        inputs, labels = batch(histories([2, 5], minutes), seed, reorder=1.0)
        first = [int(inputs["history_items"][0, 0]), int(labels[0, 0])]
        assert sorted(first) == [0, 1] and inputs["history_items"][0, 1:].tolist() == [-1] * 3
        assert sorted([*inputs["history_items"][1].tolist(), int(labels[1, -1])]) == [2, 3, 4, 5, 6]


def test_without_a_clock_nothing_is_reordered():
    inputs, _ = batch(histories([20]), reorder=1.0)
    assert_array_equal(inputs["history_items"][0], np.arange(19))


def test_with_all_changes_every_label_follows_the_events_before_it():
    given = histories([30] * 40, np.arange(1200) * 10)
    substitutes = np.arange(1200, dtype=np.int32)[:, None] + 1200
    everything = {"crop": 0.5, "drop": 0.2, "mask": 0.2, "substitute": 0.3, "reorder": 0.5}
    inputs, labels = batch(given, 3, substitutes, **everything)
    for row, read, label in prefixes(inputs, labels):
        own = range(row * 30, row * 30 + 30)
        real = [item % 1200 for item in read if item >= 0]
        assert label in own and all(item in own for item in real) and label not in real and len(set(real)) == len(real)
    again, same = batch(given, 3, substitutes, **everything)
    assert_array_equal(labels, same)
    assert all((inputs[name] == again[name]).all() for name in inputs)
    other, _ = batch(given, 4, substitutes, **everything)
    assert other["history_items"].tolist() != inputs["history_items"].tolist()


def test_shorter_texts_lack_a_share_of_their_words_and_keep_the_order():
    text = " ".join(str(i) for i in range(1000))
    (found,) = shorter_texts([text], 0.3, np.random.default_rng(0))
    numbers = [int(word) for word in found.split()]
    assert numbers == sorted(set(numbers)) and 640 < len(numbers) < 760  # 700 ± 14.5
    assert shorter_texts(["", "  ", "one"], 0.99, np.random.default_rng(0)) == ["", "", "one"]
    rng = np.random.default_rng(0)
    assert {text for _ in range(100) for text in shorter_texts(["a b"], 0.99, rng)} == {"a", "b"}
