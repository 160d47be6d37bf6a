"""The signature `explain` of an export, compared with the Keras model asked again without the events."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.explanation.served_reasons import served_reasons

KINDS = {"view": 0, "buy": 1}
HISTORY, EVENTS = ["i3", "i8", "i3", "i1", "i7"], ["view", "buy", "view", "buy", "view"]
ASKED = ["i5", "i8", "i0"]


def scores(run, items, kinds):
    inputs = {"history_items": np.array([items], np.int32), "history_events": np.array([kinds], np.int32)}
    inputs["history_gaps"] = np.zeros([1, len(items)], np.float32)
    return run.model.scores(inputs).numpy()[0]


def effects(run, item):
    """What the score of an item loses without each event; the network reads the newest four of those that are left."""
    items, kinds = [int(i[1:]) for i in HISTORY], [KINDS[kind] for kind in EVENTS]
    full = scores(run, items, kinds)[item]
    return {at: full - scores(run, items[:at] + items[at + 1 :], kinds[:at] + kinds[at + 1 :])[item] for at in range(5)}


@pytest.fixture(scope="module")
def answer(served):
    return served(
        "explain",
        history_item_ids=[HISTORY, ["", "i3", "who", "i8"], []],
        history_events=[EVENTS, ["", "view", "view", "buy"], []],
        explain_item_ids=[ASKED, ["i5", "what"], ["i4"]],
    )


def test_the_scores_are_those_of_rank_and_the_parts_sum_to_them(served, answer):
    ranked = served(
        "rank",
        history_item_ids=[HISTORY, ["i3", "i8"], []],
        history_events=[EVENTS, ["view", "buy"], []],
        candidate_item_ids=[ASKED, ["i5", "what"], ["i4"]],
    )
    assert_allclose(answer.scores, ranked.scores, rtol=1e-4, atol=1e-4)
    parts = [value for name, value in vars(answer).items() if name.startswith("part_")]
    assert len(parts) == 2  # network and repeats: what this model has
    assert_allclose(sum(parts)[0], answer.scores[0], atol=1e-5)
    assert_allclose(sum(parts)[1, 0], answer.scores[1, 0], atol=1e-5)


def test_the_events_are_those_without_which_the_score_is_lower(run, answer):
    for column, item in enumerate(ASKED):
        exact = effects(run, int(item[1:]))
        raising = sorted((at for at in exact if exact[at] > 1e-3), key=lambda at: -exact[at])[:3]
        lowering = min(exact, key=exact.get)
        expected = [*raising, *[-1] * (3 - len(raising)), lowering if exact[lowering] < -1e-3 else -1]
        assert answer.event_positions[0, column].tolist() == expected
        named = [b"" if at < 0 else HISTORY[at].encode() for at in expected]
        assert answer.event_item_ids[0, column].tolist() == named
        assert_allclose(answer.event_effects[0, column], [0 if at < 0 else exact[at] for at in expected], atol=1e-4)


def test_positions_are_those_of_the_request(answer):
    """Unknown ids and "" between the events do not move them."""
    named = answer.event_positions[1, 0]
    assert set(named[named >= 0]) <= {1, 3} and (named >= 0).any()
    assert {name.decode() for name in answer.event_item_ids[1, 0][named >= 0]} <= {"i3", "i8"}


def test_what_is_not_known_has_no_reasons(answer):
    for row, column in ((1, 1), (1, 2), (2, 0)):
        assert set(answer.event_positions[row, column]) == {-1} and not answer.event_effects[row, column].any()
        assert answer.removal_size[row, column] == 0 and answer.part_network[row, column] == 0
    assert answer.scores[2, 0] == 4  # popularity, as `rank` and `recommend` answer


@pytest.mark.slow
@pytest.mark.nightly
def test_an_export_of_gated_blocks_gives_exact_reasons_too(new_run, call_of, tmp_path):
    from tfrec.serving import export

    run = new_run("export.explain_length=3", block="gated")
    call = call_of(export(run, tmp_path / "gated"))
    found = call("explain", history_item_ids=[HISTORY], history_events=[EVENTS], explain_item_ids=[ASKED])
    for column, item in enumerate(ASKED):
        exact = effects(run, int(item[1:]))
        assert found.event_positions[0, column].max() >= 0
        for at, value in zip(found.event_positions[0, column], found.event_effects[0, column], strict=True):
            assert value == pytest.approx(exact[at] if at >= 0 else 0, abs=1e-4)


@pytest.mark.slow
def test_the_removal_size_is_how_many_events_it_takes():
    """A memory alone: the sets are exact, and a loop over them is the oracle."""
    import tensorflow as tf

    from tests.explanation.toy import ITEMS, make_model
    from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts

    model = make_model(max_history=8)
    model.log_temperature.assign(20.0)  # silences the network
    history, asked = [3, 5, 3, 1, 7, 2], [4, 8, 0, 6]
    items, kinds = tf.constant([history]), tf.zeros([1, 6], tf.int32)
    vectors = tf.zeros([1, 6, 8]), tf.zeros([1, 4, 8])
    found = served_reasons(model, items, kinds, tf.constant([asked]), vectors)

    def without(gone):
        left = [item for at, item in enumerate(history) if at not in gone]
        inputs = {"history_items": np.array([[*left, -1]], np.int32)}
        inputs |= {name: np.zeros_like(inputs["history_items"]) for name in ("history_events", "history_gaps")}
        inputs["history_gaps"] = inputs["history_gaps"].astype(np.float32)
        return sum(part.numpy()[0] for part in catalogue_parts(model, inputs).values())

    full, expected = without(()), []
    for item in asked:
        order = sorted(range(6), key=lambda at, item=item: without((at,))[item])
        order = [at for at in order if without((at,))[item] < full[item] - 1e-6][:5]
        lowest = min(full[other] for other in asked if other != item)
        sizes = [size for size in range(1, len(order) + 1) if without(order[:size])[item] < lowest]
        expected.append(sizes[0] if sizes else 0)
    assert found.removal_size.numpy()[0].tolist() == expected and len(set(expected)) > 1
    assert ITEMS == 9


def test_more_than_one_block_is_approximated(rebuilt):
    """The events that are left keep what the lower block mixed into them; positions and the memory are exact."""
    import tensorflow as tf

    from tests.explanation.toy import make_model

    exact, deep = make_model(max_history=8), make_model(max_history=8, layers=2)
    items, kinds = tf.constant([[3, 5, 3, 1, 7, 2]]), tf.zeros([1, 6], tf.int32)
    for model in (exact, deep):
        vectors = model.history_vectors()
        given = tf.gather(vectors, items), tf.math.l2_normalize(tf.gather(vectors, [[4, 8]]), axis=-1)
        found = served_reasons(model, items, kinds, tf.constant([[4, 8]]), given)
        inputs = {"history_items": items, "history_events": kinds, "history_gaps": tf.zeros([1, 6])}
        assert_allclose(sum(found.parts.values())[0], model.scores(inputs).numpy()[0, [4, 8]], atol=1e-4)
    assert_array_equal(found.events.shape, [1, 2, 4])
