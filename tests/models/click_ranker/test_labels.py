"""Labels of ClickRanker's heads, beside loops over events."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.data.impressions import without_kind
from tfrec.models.click_ranker.examples import TrainingNegatives, evaluation_examples, training_examples
from tfrec.models.click_ranker.labels import implied_behaviours, labels_ahead, labels_of_impressions
from tfrec.training.target_kinds import behaviour_weights, behaviours_to_learn, label_shares, target_counts

KINDS = ["impression", "view", "purchase", "rating"]
HEADS = ["view", "purchase", "rating"]
IMPLIES = {"view": {"view"}, "purchase": {"view", "purchase"}, "rating": {"rating"}, "impression": set()}


def log(impressions, users=12, seed=0):
    rng = np.random.default_rng(seed)
    kinds = KINDS if impressions else KINDS[1:]
    rows = [
        (
            f"u{u:02}",
            f"i{rng.integers(8)}",
            kinds[rng.integers(len(kinds))],
            10**9 + int(rng.integers(10**6)),
            f"d{u % 3}",
        )
        for u in range(users)
        for _ in range(30)
    ]
    schema = ["user_id", "item_id", "event", "timestamp", "context_device"]
    return pl.DataFrame(rows, schema=schema, orient="row").unique(["user_id", "timestamp"], maintain_order=True)


def prepared(tmp_path, events, split="global-time"):
    return prepare(events, pl.DataFrame({"item_id": [f"i{i}" for i in range(8)]}), tmp_path / "data", split=split)


def stories(dataset, histories):
    """(item, kind, device) of each event, a list a user."""
    kinds, device = dataset.event_kinds, histories.context["context_device"]
    return {
        histories.user_ids[r]: [
            (int(histories.items[p]), kinds[histories.events[p]], device[p])
            for p in range(histories.offsets[r], histories.offsets[r + 1])
        ]
        for r in range(len(histories))
    }


def done(events, item):
    """What a list of events does with an item."""
    return set().union(*(IMPLIES[kind] for i, kind, _ in events if i == item), set())


def as_row(behaviours):
    return [float(head in behaviours) for head in HEADS]


def test_examples_without_impressions_are_targets_and_what_follows_them(tmp_path):
    dataset = prepared(tmp_path, log(False))
    examples = training_examples(dataset, HEADS, horizon=4)
    expected = []
    for user, story in stories(dataset, dataset.training()).items():
        for place in range(1, len(story)):
            item, _, device = story[place]
            expected.append((user, place, item, device, as_row(done(story[place : place + 4], item))))
    h = examples.histories
    found = [
        (h.user_ids[r], s - h.offsets[r], int(c[0]), device, label[0].tolist())
        for r, s, c, device, label in zip(
            examples.rows, examples.stops, examples.candidates, examples.context["context_device"], examples.labels
        )
    ]
    assert not examples.given and found == expected


def test_examples_of_impressions_end_where_the_item_is_shown_again(tmp_path):
    dataset = prepared(tmp_path, log(True))
    examples = training_examples(dataset, HEADS, horizon=4)
    expected = []
    for user, story in stories(dataset, dataset.training()).items():
        for place, (item, kind, device) in enumerate(story):
            if kind == "impression":
                later = []
                for event in story[place + 1 :]:
                    if event[:2] == (item, "impression"):
                        break
                    later.append(event)
                before = sum(k != "impression" for _, k, _ in story[:place])
                expected.append((user, before, item, device, as_row(done(later, item))))
    h = examples.histories
    found = [
        (h.user_ids[r], s - h.offsets[r], int(c[0]), device, label[0].tolist())
        for r, s, c, device, label in zip(
            examples.rows, examples.stops, examples.candidates, examples.context["context_device"], examples.labels
        )
    ]
    assert examples.given and found == expected
    assert "impression" not in {dataset.event_kinds[k] for k in h.events}


def test_acts_before_the_first_impression_belong_to_none():
    acts = np.array([[1], [0], [1], [0]], np.float32)
    shown = np.array([False, True, False, True])
    found = labels_of_impressions(np.array([0, 0, 0, 1]), np.array([5, 5, 5, 5]), shown, acts, 9)
    assert_array_equal(found, [[1], [0]])


@pytest.mark.parametrize("split", ["global-time", "leave-one-out"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_judged_targets_have_the_labels_of_their_window(tmp_path, split, part):
    dataset = prepared(tmp_path, log(False), split)
    config = RunConfig()
    examples = evaluation_examples(dataset, part, HEADS, config)
    whole, queries = stories(dataset, dataset.histories()), dataset.queries(part)
    at = 0
    for q, user in enumerate(queries.user_ids):
        start = int(queries.history.lengths[q])
        if split == "leave-one-out":
            window = whole[user][start : start + 1]
        else:
            cuts = dataset.manifest["cuts"]
            h = dataset.histories()
            row = h.row(list(h.user_ids).index(user))
            end = cuts["test"] if part == "valid" else 2**62
            window = [event for event, time in zip(whole[user], h.timestamps[row]) if cuts[part] <= time < end]
        targets = queries.target_items[queries.target_offsets[q] : queries.target_offsets[q + 1]]
        for target in targets:
            assert examples.candidates[at, 0] == target and examples.rows[at] == q
            assert examples.labels[at, 0].tolist() == as_row(done(window, target))
            assert examples.context["context_device"][at] == next(d for i, _, d in window if i == target)
            taken = {i for i, _, _ in whole[user][:start]} | set(targets.tolist())
            if len(taken) < 8:
                assert not taken & set(examples.candidates[at, 1:].tolist())
            assert not examples.labels[at, 1:].any()
            at += 1
    assert at == len(examples) and not examples.given


def test_given_impressions_are_judged_in_the_window(tmp_path):
    dataset = prepared(tmp_path, log(True))
    examples = evaluation_examples(dataset, "test", HEADS, RunConfig())
    h, cut, found = dataset.histories(), dataset.manifest["cuts"]["test"], []
    queries = dataset.queries("test")
    kinds = np.array(dataset.event_kinds)[h.events]
    for user in queries.user_ids:
        row = h.row(list(h.user_ids).index(user))
        found += [
            int(i) for i, k, t in zip(h.items[row], kinds[row], h.timestamps[row]) if k == "impression" and t >= cut
        ]
    assert examples.given and examples.candidates[:, 0].tolist() == found and examples.labels.any()


def test_negatives_were_never_taken_or_not_again_soon(tmp_path):
    events = log(False, users=30).filter(pl.col("item_id") != "i7")
    dataset = prepared(tmp_path, events)
    config = RunConfig().with_values(["ranker.negatives=3", "ranker.history_negatives=2", "ranker.horizon=3"]).ranker
    examples = training_examples(dataset, HEADS, config.horizon)
    drawn = TrainingNegatives(examples, 8, config).draw(examples, np.random.default_rng(0))
    assert drawn.candidates.shape == (len(examples), 6)
    h = examples.histories
    from_history = 0
    for n in range(len(examples)):
        story = h.items[h.row(examples.rows[n])]
        place = examples.stops[n] - h.offsets[examples.rows[n]]
        if len(set(story.tolist())) < 8:
            assert not set(drawn.candidates[n, 1:4].tolist()) & set(story.tolist())
        for item, label in zip(drawn.candidates[n, 4:], drawn.labels[n, 4:]):
            if item >= 0:
                from_history += 1
                assert item in story[:place] and item not in story[place : place + 3] and not label.any()
            else:
                assert (label == -1).all()
        assert_array_equal(drawn.labels[n, 0], examples.labels[n, 0])
    assert from_history > len(examples) / 4


def test_labels_ahead_stay_within_the_user():
    histories, _ = without_kind(_histories([[1, 1], [1]]), -1)
    table = implied_behaviours(["view"], ["view"])
    histories.is_target[:] = [False, False, True]
    assert_allclose(labels_ahead(histories, np.array([0, 2]), table, 5), [[0], [1]])


def _histories(users):
    from tfrec.data import Histories

    flat = np.concatenate(users).astype(np.int32)
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(users))], object),
        offsets=np.concatenate([[0], np.cumsum([len(user) for user in users])]),
        items=flat,
        events=np.zeros(len(flat), np.int16),
        timestamps=np.arange(len(flat)),
        values=np.zeros(len(flat), np.float32),
        is_target=np.ones(len(flat), bool),
    )


def late_like(tmp_path):
    """A log whose only `like` is its newest event, so that training has none."""
    events = log(False)
    newest = events["timestamp"].max() + 1
    like = pl.DataFrame({"user_id": ["u00"], "item_id": ["i0"], "event": ["like"], "timestamp": [newest]})
    return prepared(tmp_path, pl.concat([events, like.with_columns(context_device=pl.lit("d0"))]))


def test_a_behaviour_that_never_occurs_in_training_is_named(tmp_path, capsys):
    dataset = late_like(tmp_path)
    assert target_counts(dataset)["like"] == {"train": 0, "all": 1}
    assert behaviours_to_learn(dataset, None) == ["view", "purchase", "rating"]
    assert "'like' (1 events) never occurs in training" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="'like'.*training has 'view', 'purchase', 'rating'"):
        behaviours_to_learn(dataset, ["view", "like"])
    with pytest.raises(InvalidInput, match="'nonsense'"):
        behaviours_to_learn(dataset, ["nonsense"])
    assert behaviours_to_learn(dataset, ["rating", "purchase", "view"]) == ["view", "purchase", "rating"]


def test_weights_name_behaviours_of_training(tmp_path):
    dataset = late_like(tmp_path)
    weights = dict(zip(dataset.event_kinds, behaviour_weights(dataset, {"purchase": 3.0})))
    assert weights == {"view": 1, "purchase": 3, "rating": 1, "like": 1}
    for bad in ({"like": 2.0}, {"nonsense": 1.0}, {"view": -1.0}):
        with pytest.raises(InvalidInput, match="behaviour_weights"):
            behaviour_weights(dataset, bad)


def test_the_highest_weight_is_learnt_whole_and_others_their_part(tmp_path):
    dataset = late_like(tmp_path)
    shares = dict(zip(dataset.event_kinds, label_shares(dataset, {"purchase": 4.0, "rating": 2.0})))
    assert shares == {"view": 0.25, "purchase": 1, "rating": 0.5, "like": 0.25}
    assert label_shares(dataset, {}) is None
    same = dict.fromkeys(["view", "purchase", "rating"], 0.5)  # `like` never occurs in training: it has no say
    assert label_shares(dataset, same) is None
