"""The counted baselines, against loops over pairs of events."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tfrec import InvalidInput
from tfrec.data.histories import Histories
from tfrec.models.baselines import near_items
from tfrec.models.baselines.counting import (
    Cooccurrence,
    CooccurrenceText,
    LastItemText,
    Popularity,
    RecentCooccurrence,
    RecentPopularity,
)
from tfrec.models.shared import pair_counts
from tfrec.models.shared.pair_counts import count_pairs
from tfrec.models.shared.recent_counts import DAY

ITEMS = 6


def histories(sequences, is_target=None):
    flat = np.array(sum(sequences, []), np.int32)
    zeros = np.zeros(len(flat))
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(sequences))], dtype=object),
        offsets=np.cumsum([0, *map(len, sequences)]),
        items=flat,
        events=zeros.astype(np.int16),
        timestamps=zeros.astype(np.int64),
        values=zeros.astype(np.float32),
        is_target=np.ones(len(flat), bool) if is_target is None else np.array(is_target),
    )


@dataclass
class Data:
    """Stands for a PreparedDataset: only what the baselines read."""

    log: Histories
    num_items: int = ITEMS
    event_kinds: tuple = ()

    def training(self):
        return self.log


def expected_cooccurrence(training, history, window, decay, text=None):
    near = np.zeros((ITEMS, ITEMS))
    for sequence in training:
        for a, first in enumerate(sequence):
            for b, second in enumerate(sequence):
                if a != b and abs(a - b) <= window:
                    near[first, second] += 1
    scores = np.zeros(ITEMS)
    for age, item in enumerate(reversed(history)):
        for other in range(ITEMS):
            value = near[item, other]
            if text is not None:
                value = value / max(near[item].sum(), 1) + text(item, other)
            scores[other] += decay**age * value
    return scores


LOGS = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=8), min_size=1, max_size=4)


@given(LOGS, LOGS, st.integers(1, 9), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=80, deadline=None)
def test_cooccurrence_equals_a_loop_over_pairs(training, asked, window, decay):
    scorer = Cooccurrence(window, decay).fit(Data(histories(training)))
    rows = np.arange(len(asked))[::-1]
    found = scorer.scores(histories(asked), rows)
    assert found.dtype == np.float32 and found.shape == (len(asked), ITEMS)
    for row, scores in zip(rows, found):
        assert_allclose(scores, expected_cooccurrence(training, asked[row], window, decay), rtol=1e-5, atol=1e-6)


@given(LOGS, LOGS, st.integers(1, 9), st.sampled_from([1, 20]))
@settings(max_examples=40, deadline=None)
def test_pairs_that_are_too_many_for_the_memory_are_counted_for_a_few_histories_at_a_time(
    training, asked, window, most_pairs
):
    log, vectors = histories(training), np.random.default_rng(0).normal(size=(ITEMS, 3))
    log = replace(log, timestamps=np.arange(len(log.items)) * DAY, events=np.arange(len(log.items)) % 2)
    data, rows = Data(log, event_kinds=("view", "dislike")), np.arange(len(asked))
    for baseline in (Cooccurrence(window), RecentCooccurrence(2.0, window), CooccurrenceText(window)):
        whole = baseline.fit(data, vectors).scores(histories(asked), rows)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pair_counts, "MOST_PAIRS", most_pairs)
            patch.setattr(pair_counts, "PAIRS_AT_ONCE", most_pairs)
            sent = pickle.loads(pickle.dumps(baseline.fit(data, vectors)))  # as to the workers of a cluster
            found = sent.scores(histories(asked), rows)
        assert found.tolist() == whole.tolist()


def test_pairs_of_a_large_log_are_counted_for_no_more_histories_at_a_time_than_fit(monkeypatch):
    sizes = []

    def counted(training, num_items, window, counted, weights, at):
        sizes.append(2 * window * len(at))
        return count_pairs(training, num_items, window, counted, weights, at)

    monkeypatch.setattr(near_items, "count_pairs", counted)
    monkeypatch.setattr(pair_counts, "MOST_PAIRS", 239)
    monkeypatch.setattr(pair_counts, "PAIRS_AT_ONCE", 130)  # each item has up to 60 of the 240
    scorer = Cooccurrence(window=3).fit(Data(histories([[0, 1, 2, 3]] * 10)))
    assert sizes == []
    scores = scorer.scores(histories([[0], [1], [2], [3], []]), np.arange(5))
    assert sizes == [120, 120]
    assert scores.tolist() == [[10 * (i != j) * (j < 4) for j in range(ITEMS)] for i in range(4)] + [[0] * ITEMS]


def test_text_adds_an_exponential_of_the_cosine(monkeypatch):
    monkeypatch.setattr("tfrec.models.baselines.counting._BLOCK", 2)  # several blocks
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    training, asked = [[0, 1, 2, 0], [3, 1]], [[4, 1, 0, 1], [], [5]]
    scorer = CooccurrenceText().fit(Data(histories(training)), vectors)
    found = scorer.scores(histories(asked), np.arange(3))
    for row, history in enumerate(asked):
        expected = expected_cooccurrence(
            training, history, 10, 0.8, lambda i, j: 0.3 * np.exp((unit[i] @ unit[j] - 1) / 0.1)
        )
        assert_allclose(found[row], expected, rtol=1e-4, atol=1e-6)


def test_only_the_newest_fifty_events_are_read():
    scorer = Cooccurrence(decay=1.0).fit(Data(histories([[0, 1], [2, 3]])))
    found = scorer.scores(histories([[2] + [0] * 49, [2] + [0] * 50]), np.arange(2))
    assert found[0, 3] == 1 and found[1, 3] == 0


def test_popularity_counts_target_events_and_is_the_same_for_all():
    log = histories([[0, 1, 1], [1, 5]], is_target=[True, True, False, True, True])
    found = Popularity().fit(Data(log)).scores(log, np.array([1, 0]))
    assert found.tolist() == [[1, 2, 0, 0, 0, 1]] * 2


def test_recent_popularity_counts_half_for_each_half_life():
    log = replace(histories([[0, 1, 1], [1, 5]]), timestamps=np.array([4, 3, 1, 2, 4]) * DAY)
    found = RecentPopularity(half_life=1.0).fit(Data(log)).scores(log, np.array([0]))[0]
    expected = np.array([1, 0.5 + 0.125 + 0.25, 0, 0, 0, 1])
    assert_allclose(found, 5 * expected / expected.sum(), rtol=1e-6)


def test_recent_pairs_count_half_for_each_half_life_of_their_later_event():
    training, days = [[0, 1, 2], [1, 0]], [0, 2, 3, 1, 1]
    log = replace(histories(training), timestamps=np.array(days) * DAY)
    scorer = RecentCooccurrence(half_life=1.0, window=1, decay=0.5).fit(Data(log))
    pairs = {(0, 1): 0.5**1 + 0.5**2, (1, 2): 1.0}  # two days before the newest event, one, and it itself
    near = np.array(
        [[pairs.get((min(i, j), max(i, j)), 0) if i != j else 0 for j in range(ITEMS)] for i in range(ITEMS)]
    )
    assert_allclose(scorer.scores(histories([[1, 0]]), np.array([0]))[0], near[0] + 0.5 * near[1], rtol=1e-6)


def test_with_a_half_life_beyond_all_times_pairs_are_counted_as_they_are():
    training = [[0, 1, 2, 0, 4], [3, 1, 1]]
    log, asked = replace(histories(training), timestamps=np.arange(8) * DAY), histories([[1, 0], [4]])
    plain = Cooccurrence().fit(Data(log)).scores(asked, np.arange(2))
    assert_allclose(RecentCooccurrence(1e9).fit(Data(log)).scores(asked, np.arange(2)), plain, rtol=1e-5)


def test_text_similarity_is_the_cosine_to_the_last_item():
    vectors = np.array([[2.0, 0], [0, 3], [1, 1], [0, 0], [-1, 0], [5, 0]])
    found = LastItemText().fit(Data(histories([[0]])), vectors).scores(histories([[1, 0], [], [3]]), np.arange(3))
    assert_allclose(found, [[1, 0, 0.5**0.5, 0, -1, 1], [0] * 6, [0] * 6], atol=1e-6)


@pytest.mark.parametrize("vectors", [None, np.zeros((ITEMS - 1, 2)), np.zeros(ITEMS)])
@pytest.mark.parametrize("baseline", [LastItemText, CooccurrenceText])
def test_text_vectors_must_be_one_an_item(baseline, vectors):
    with pytest.raises(InvalidInput, match="text vectors"):
        baseline().fit(Data(histories([[0]])), vectors)


@pytest.mark.parametrize(
    "baseline",
    [
        Popularity,
        Cooccurrence,
        LastItemText,
        CooccurrenceText,
        lambda: RecentPopularity(1),
        lambda: RecentCooccurrence(1),
    ],
)
def test_a_log_without_events_gives_scores(baseline):
    scorer = baseline().fit(Data(histories([])), np.eye(ITEMS))
    assert scorer.scores(histories([[]]), np.array([0])).tolist() == [[0.0] * ITEMS]
    assert scorer.num_items == ITEMS and scorer.name
