"""For any strings, an export answers with known items, each once, best first, none seen or excluded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ITEMS = {f"i{i}".encode(): i for i in range(12)}
ID = (
    st.sampled_from(sorted(ITEMS))
    | st.sampled_from([b"", b"\xff\xfe", b"\x00", b"i1\x00", b" i1", "ï1".encode(), b"x" * 5000])
    | st.binary(max_size=6)
)


def rows(values, width, batch):
    return st.lists(st.lists(values, min_size=width, max_size=width), min_size=batch, max_size=batch)


@pytest.fixture(scope="module")
def signatures(exported):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exported))

    def call(name, **inputs):
        outputs = loaded.signatures[name](**{k: tf.constant(v, tf.string) for k, v in inputs.items()})
        return {k: v.numpy() for k, v in outputs.items()}

    call.loaded = loaded
    return call


def check_lists(answer, forbidden):
    for row, left_out in enumerate(forbidden):
        count = answer["count"][row]
        named, scores = answer["item_ids"][row].tolist(), answer["scores"][row]
        real = named[:count]
        assert len(set(real)) == count and set(real) <= set(ITEMS) - left_out
        assert set(named[count:]) <= {b""} and not scores[count:].any()
        assert np.isfinite(scores).all() and (np.diff(scores[:count]) <= 1e-5).all()
    return answer["count"].tolist()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 3), st.booleans())
def test_recommend_leaves_out_exactly_what_was_seen_and_excluded(signatures, data, batch, filtered):
    history, exclude = data.draw(rows(ID, 6, batch)), data.draw(rows(ID, 4, batch))
    inputs = {"history_item_ids": history, "exclude_item_ids": exclude}
    inputs["history_events"] = data.draw(rows(st.sampled_from([b"view", b"buy", b"", b"\xff"]), 6, batch))
    left_out = [set(h) | set(e) for h, e in zip(history, exclude)]
    if filtered:
        inputs["allow_values"] = data.draw(rows(st.sampled_from([b"a", b"b", b"c", b"\xff", b""]), 2, batch))
        genres = [{b"a"}, {b"a", b"b"}, set(), {b"c"}]
        for row, values in enumerate(inputs["allow_values"]):
            left_out[row] |= {item for item, i in ITEMS.items() if not genres[i % 4] & set(values)}
    answer = signatures("recommend_filtered" if filtered else "recommend", **inputs)
    assert check_lists(answer, left_out) == [len(set(ITEMS) - gone) for gone in left_out]
    assert answer["fallback"].tolist() == [not set(h) & set(ITEMS) for h in history]


@settings(max_examples=40, deadline=None)
@given(st.lists(ID, min_size=1, max_size=4))
def test_similar_items_answers_for_known_ids_only(signatures, ids):
    answer = signatures("similar_items", item_ids=ids)
    assert check_lists(answer, [{item} for item in ids]) == [11 if item in ITEMS else 0 for item in ids]


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 2))
def test_rank_scores_every_candidate_alone(signatures, data, batch):
    history, candidates = data.draw(rows(ID, 6, batch)), data.draw(rows(ID, 3, batch))
    events = [[b"view"] * 6] * batch
    asked = {"history_item_ids": history, "history_events": events}
    scores = signatures("rank", **asked, candidate_item_ids=candidates)["scores"]
    known = np.array([[item in ITEMS for item in row] for row in candidates])
    assert np.isfinite(scores).all() and ((scores == np.finfo(np.float32).min) == ~known).all()
    turned = signatures("rank", **asked, candidate_item_ids=[row[::-1] for row in candidates])["scores"]
    np.testing.assert_allclose(turned[:, ::-1], scores, rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.text(max_size=20).map(str.encode), min_size=6, max_size=6))
def test_any_bytes_are_read_as_text(signatures, texts):
    answer = signatures("recommend_from_text", history_texts=[texts])
    assert 6 <= check_lists(answer, [set()])[0] <= 12
    assert np.isfinite(signatures("embed", texts=texts)["embeddings"]).all()


def test_an_empty_batch_gives_an_empty_answer(signatures):
    widths = {"history_item_ids": 6, "history_events": 6, "exclude_item_ids": 4}
    answer = signatures("recommend", **{name: np.zeros((0, width), object) for name, width in widths.items()})
    assert answer["item_ids"].shape == (0, 12) and answer["count"].shape == (0,)
