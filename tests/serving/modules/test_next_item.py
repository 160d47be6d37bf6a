"""The signatures of an exported NextItemModel, compared with the model and with NumPy."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

KINDS = {"view": 0, "buy": 1}


def model_scores(run, items, kinds):
    """Scores of all items by the Keras model, for one history of indices."""
    n = len(items)
    inputs = {
        "history_items": np.array([items], np.int32),
        "history_events": np.array([[KINDS.get(kind, -1) for kind in kinds]], np.int32),
        "history_gaps": np.zeros([1, n], np.float32),
    }
    return run.model.scores(inputs).numpy()[0]


def best(scores, excluded):
    """Indices from the best down, the excluded left out, ties to the first."""
    return [i for i in np.argsort(-scores, kind="stable") if i not in excluded]


def names(row, count):
    return [name.decode() for name in row[:count]]


def test_recommend_ranks_as_the_model_does_and_leaves_out_seen_and_excluded(run, served):
    answer = served(
        "recommend",
        history_item_ids=[["i3", "i8", "i1"]],
        history_events=[["view", "buy", "view"]],
        exclude_item_ids=[["i5", "never heard of"]],
    )
    scores = model_scores(run, [3, 8, 1], ["view", "buy", "view"])
    order = best(scores, {3, 8, 1, 5})
    assert answer.count[0] == 8 and not answer.fallback[0]
    assert names(answer.item_ids[0], 8) == [f"i{i}" for i in order]
    assert_allclose(answer.scores[0, :8], scores[order], rtol=1e-4, atol=1e-4)


def test_unknown_and_empty_ids_anywhere_do_not_change_the_answer(served):
    def ask(ids, kinds):
        return served("recommend", history_item_ids=[ids], history_events=[kinds], exclude_item_ids=[[]])

    clean = ask(["i3", "i8"], ["view", "buy"])
    dirty = ask(["", "i3", "who", "i8"], ["buy", "view", "buy", "buy"])
    assert_array_equal(dirty.item_ids, clean.item_ids)
    assert_allclose(dirty.scores, clean.scores, atol=1e-5)


def test_event_kinds_matter_and_an_unknown_kind_is_read_as_unknown(run, served):
    answer = served("recommend", history_item_ids=[["i3"]], history_events=[["sneezed"]], exclude_item_ids=[[]])
    scores, as_view = (model_scores(run, [3], [kind]) for kind in ("sneezed", "view"))
    assert not np.allclose(scores, as_view)
    assert_allclose(answer.scores[0, :11], scores[best(scores, {3})], rtol=1e-4, atol=1e-4)


def test_only_the_newest_events_are_read_but_older_ones_count_as_seen(run, served):
    ids = ["i0", "i1", "i2", "i3", "i4", "i5"]  # the model reads four
    answer = served("recommend", history_item_ids=[ids], history_events=[["view"] * 6], exclude_item_ids=[[]])
    scores = model_scores(run, [2, 3, 4, 5], ["view"] * 4)
    assert names(answer.item_ids[0], answer.count[0]) == [f"i{i}" for i in best(scores, set(range(6)))]


@pytest.mark.parametrize("history", [[], ["gone", "lost"]])
def test_rows_without_usable_history_get_popular_items_with_their_counts(served, history):
    answer = served(
        "recommend", history_item_ids=[history], history_events=[["view"]], exclude_item_ids=[["i11", "i9"]]
    )
    assert answer.fallback[0] and answer.count[0] == 10
    assert names(answer.item_ids[0], 10) == ["i10", *[f"i{i}" for i in range(8, -1, -1)]]
    assert_array_equal(answer.scores[0, :10], [10, *range(8, -1, -1)])


def test_the_rest_of_a_short_row_is_empty_and_nothing_repeats(served):
    answer = served(
        "recommend",
        history_item_ids=[["i0", "i1", "i2", "i3", "i4", "i5"]],
        history_events=[["view"] * 6],
        exclude_item_ids=[["i6", "i7", "i8", "i9"]],
    )
    assert answer.count[0] == 2
    assert set(names(answer.item_ids[0], 2)) == {"i10", "i11"}
    assert set(answer.item_ids[0, 2:]) == {b""} and not answer.scores[0, 2:].any()


def test_k_is_at_most_the_number_of_items(served):
    answer = served("similar_items", item_ids=["i0"])
    assert answer.item_ids.shape == (1, 12)


def test_rows_of_a_batch_are_independent(served):
    histories, kinds = [["i3", "i8"], [], ["i1"]], [["view", "buy"], [], ["buy"]]
    together = served("recommend", history_item_ids=histories, history_events=kinds, exclude_item_ids=[[], [], []])
    for row in range(3):
        alone = served(
            "recommend", history_item_ids=[histories[row]], history_events=[kinds[row]], exclude_item_ids=[[]]
        )
        assert_array_equal(together.item_ids[row], alone.item_ids[0])
        assert_allclose(together.scores[row], alone.scores[0], atol=1e-4)


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        (["a"], {0, 4, 8, 1, 5, 9}),
        (["b", "c"], {1, 5, 9, 3, 7, 11}),
        (["c", "no such genre"], {3, 7, 11}),
        (["no such genre"], set()),
        ([], set()),
    ],
)
def test_filtered_lists_hold_only_items_with_an_allowed_value(run, served, values, allowed):
    answer = served(
        "recommend_filtered",
        history_item_ids=[["i3", "i8"]],
        history_events=[["view", "view"]],
        exclude_item_ids=[[]],
        allow_values=[values],
    )
    scores = model_scores(run, [3, 8], ["view", "view"])
    expected = [f"i{i}" for i in best(scores, {3, 8}) if i in allowed]
    assert names(answer.item_ids[0], answer.count[0]) == expected


def test_texts_are_read_in_order(run, served):
    texts = ["red umbrella", "", "blue hat coat"]
    answer = served("recommend_from_text", history_texts=[texts])
    encoder = run.encoder()
    pooled = encoder.encoder(encoder.inputs([texts[0], texts[2]], 16))["pooled_output"]
    query = run.model.query_from_vectors(run.model.text_to_vector(pooled)[None], np.ones([1, 2], bool)).numpy()[0]
    scores = run.model.item_vectors().numpy() @ query
    assert not answer.fallback[0] and answer.count[0] == 12
    assert_allclose(answer.scores[0], np.sort(scores)[::-1], rtol=1e-4, atol=1e-4)


def test_a_catalogue_text_counts_as_seen_and_an_empty_text_as_no_history(run, served):
    known = run.items["text"][4]
    answer = served("recommend_from_text", history_texts=[["hat hat", known], ["  ", ""]])
    assert answer.count[0] == 11 and b"i4" not in answer.item_ids[0]
    assert not answer.fallback[0] and answer.fallback[1]
    assert names(answer.item_ids[1], 3) == ["i11", "i10", "i9"]


@pytest.mark.parametrize("text", ["x" * 100_000, "帽子 红色", "👟👟", "قبعة", "\u200b"])
def test_odd_texts_get_an_answer(served, text):
    answer = served("recommend_from_text", history_texts=[[text]])
    assert answer.count[0] == 12 and np.isfinite(answer.scores).all()
    assert np.isfinite(served("embed", texts=[text]).embeddings).all()


def test_rank_gives_the_models_scores_and_the_lowest_float_to_unknown_candidates(run, served):
    answer = served(
        "rank",
        history_item_ids=[["i3", "i8"], []],
        history_events=[["view", "buy"], []],
        candidate_item_ids=[["i8", "i0", "nobody"], ["i7", "", "i2"]],
    )
    scores = model_scores(run, [3, 8], ["view", "buy"])
    lowest = np.finfo(np.float32).min
    assert_allclose(answer.scores[0], [scores[8], scores[0], lowest], rtol=1e-4, atol=1e-4)
    assert_allclose(answer.scores[1], [7, lowest, 2])


def test_similar_items_are_by_cosine_without_the_item_itself(run, served):
    answer = served("similar_items", item_ids=["i5", "unknown", ""])
    vectors = run.model.item_vectors().numpy()
    cosines = vectors @ vectors[5] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[5])
    assert_array_equal(answer.count, [11, 0, 0])
    assert "i5" not in names(answer.item_ids[0], 11)
    assert_allclose(answer.scores[0, :11], np.sort(np.delete(cosines, 5))[::-1], atol=1e-5)
    assert set(answer.item_ids[1:].ravel()) == {b""}


def test_embed_gives_the_encoders_vectors(run, served):
    encoder = run.encoder()
    expected = encoder.encoder(encoder.inputs(["red hat", "blue"], 16))["pooled_output"]
    assert_allclose(served("embed", texts=["red hat", "blue"]).embeddings, expected, atol=1e-5)


def signatures_of(run, *, exclude_seen, allow=None, search=None, unread=None, **sizes):
    """The signatures of a run, not yet exported."""
    from tfrec.config import ExportConfig
    from tfrec.serving.modules.item_index import Catalogue
    from tfrec.serving.modules.next_item import NextItemServing

    return NextItemServing(
        run.model,
        Catalogue(list(run.item_ids), [""] * 12, run.item_counts, allow=allow),
        event_kinds=run.event_kinds,
        config=ExportConfig(history_length=2, exclude_length=1, **sizes),
        exclude_seen=exclude_seen,
        search=search,
        unread=unread,
    )


@pytest.mark.slow
@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_items_that_are_gone_are_read_and_in_no_list_and_impressions_are_not_read(rebuilt, index):
    import tensorflow as tf

    from tfrec.retrieval.approximate.ivf_index import IvfIndex

    run, gone = rebuilt(), {3, 10, 11}
    vectors = run.model.item_vectors().numpy()
    allow, search = ~np.isin(np.arange(12), list(gone)), IvfIndex(vectors, lists=2) if index == "ivf" else None
    module = signatures_of(run, exclude_seen=False, allow=allow, search=search, unread="shown", max_k=12)
    history, nothing = tf.constant([["i3", "i8"], ["i5", ""]]), tf.constant([[""], [""]])
    answer = module.functions["recommend"](
        history_item_ids=history,
        history_events=tf.constant([["view", "buy"], ["shown", ""]]),
        exclude_item_ids=nothing,
    )
    scores = model_scores(run, [3, 8], ["view", "buy"])  # what is gone still says what somebody likes
    lists = answer["item_ids"].numpy()
    assert module.k == 9 and answer["count"].numpy().tolist() == [9, 9]
    assert names(lists[0], 9) == [f"i{i}" for i in best(scores, gone)]
    assert names(lists[1], 9) == [f"i{i}" for i in (9, 8, 7, 6, 5, 4, 2, 1, 0)]
    similar = module.functions["similar_items"](item_ids=tf.constant(["i3", "i5"]))
    cosines = vectors @ vectors[[3, 5]].T
    assert names(similar["item_ids"].numpy()[0], 9) == [f"i{i}" for i in best(cosines[:, 0], gone)]
    assert names(similar["item_ids"].numpy()[1], 8) == [f"i{i}" for i in best(cosines[:, 1], gone | {5})]


@pytest.mark.slow
def test_seen_items_are_listed_unless_excluded(rebuilt):
    import tensorflow as tf

    run = rebuilt()
    module = signatures_of(run, exclude_seen=False, max_k=12)
    assert sorted(module.functions) == ["explain", "rank", "recommend", "serving_default", "similar_items"]
    ids, kinds = tf.constant([["i3", "i8"]]), tf.constant([["view", "buy"]])
    answer = module.functions["recommend"](
        history_item_ids=ids, history_events=kinds, exclude_item_ids=tf.constant([[""]])
    )
    scores = model_scores(run, [3, 8], ["view", "buy"])
    assert answer["count"].numpy() == 12
    assert_allclose(answer["scores"].numpy()[0], np.sort(scores)[::-1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_new_users_get_the_popular_items_of_their_segment(rebuilt, call_of, tmp_path):
    """North takes i2 most, then i7 and i5 alike; of everybody i11 is taken most, then i10, and so on."""
    from tfrec.serving import export

    run = rebuilt("retrieval.segment=country")
    run.segments = pl.DataFrame(
        {"segment": ["north"] * 3 + ["south"], "item": [2, 7, 5, 0], "count": [9, 4, 4, 1]},
        schema_overrides={"item": pl.UInt32, "count": pl.UInt32},
    )
    asked = [  # segment, left out, the first five, the first one's score, how many are left, fallback
        ("north", [], [2, 7, 5, 11, 10], 9 + 2 / 12, 12, False),
        ("north", ["i7", "i11", "no such item"], [2, 5, 10, 9, 8], 9 + 2 / 12, 10, False),
        ("south", ["i11"], [0, 10, 9, 8, 7], 1, 11, False),
        ("nowhere", ["i11", "i10"], [9, 8, 7, 6, 5], 9, 10, True),
        ("", [], [11, 10, 9, 8, 7], 11, 12, True),
    ]
    segments, excluded, first, score, left, fallback = (list(column) for column in zip(*asked))
    answer = call_of(export(run, tmp_path / "shop"))("recommend_popular", segment=segments, exclude_item_ids=excluded)
    assert answer.item_ids[:, :5].tolist() == [[f"i{i}".encode() for i in row] for row in first]
    assert_allclose(answer.scores[:, 0], score, rtol=1e-6)
    assert answer.count.tolist() == [min(count, answer.item_ids.shape[1]) for count in left]
    assert answer.fallback.tolist() == fallback


def test_exporting_segments_of_a_run_without_segments_is_refused(rebuilt, tmp_path):
    from tfrec.errors import InvalidInput
    from tfrec.serving import export

    run = rebuilt("retrieval.segment=country")
    run.segments = None
    with pytest.raises(InvalidInput, match="trained without.*retrieval.segment=country"):
        export(run, tmp_path / "shop")
    assert not (tmp_path / "shop" / "1").exists()


@pytest.mark.slow
def test_diversity_picks_unlike_items_inside_the_graph_and_leaves_popularity_alone(rebuilt):
    import tensorflow as tf

    run = rebuilt()
    module = signatures_of(run, exclude_seen=False, max_k=4, diversity=0.7)
    answer = module.functions["recommend"](
        history_item_ids=tf.constant([["i3", "i8"], ["", ""]]),
        history_events=tf.constant([["view", "buy"], ["", ""]]),
        exclude_item_ids=tf.constant([[""], [""]]),
    )
    scores = model_scores(run, [3, 8], ["view", "buy"])
    vectors = run.model.item_vectors().numpy()
    relevance = (scores - scores.min()) / (scores.max() - scores.min())
    picked = [int(np.argmax(scores))]
    while len(picked) < 4:
        value = 0.3 * relevance - 0.7 * (vectors @ vectors[picked].T).max(axis=1)
        value[picked] = -np.inf
        picked.append(int(np.argmax(value)))
    assert picked != best(scores, set())[:4]
    assert names(answer["item_ids"].numpy()[0], 4) == [f"i{i}" for i in picked]
    assert_allclose(answer["scores"].numpy()[0], scores[picked], rtol=1e-4, atol=1e-4)
    assert names(answer["item_ids"].numpy()[1], 4) == ["i11", "i10", "i9", "i8"]


def test_the_item_vectors_are_stored_once(run, exported):
    """The vectors of all items dominate a large export; two copies would double the server's memory."""
    import tensorflow as tf

    items, dim = run.model.item_vectors().shape
    shapes = [tuple(shape) for _, shape in tf.train.list_variables(str(exported / "variables/variables"))]
    assert sum(len(s) == 2 and s[0] == items and s[1] >= dim for s in shapes) == 1


@pytest.mark.slow
def test_no_signature_gathers_from_the_variable_of_all_items(rebuilt):
    """TensorFlow would copy the whole of it at each read for a scan from then on."""
    module = signatures_of(rebuilt(), exclude_seen=True, max_k=4, diversity=0.5)
    for function in set(module.functions.values()):
        handles = {inside.name for outside, inside in function.graph.captures if outside is module._index.table.handle}
        gathers = [op for op in function.graph.get_operations() if op.type == "ResourceGather"]
        assert handles and not [op for op in gathers if op.inputs[0].name in handles]
