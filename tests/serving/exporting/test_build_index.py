"""Exports behind an approximate index, and exports with items that training never saw."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.models import NextItemModel
from tfrec.models.shared.modalities import fuse
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.serving import build_index, check, export, with_new_items
from tfrec.serving.exporting.add_items import extended_model, extended_neighbours
from tfrec.serving.exporting.build_index import RecallBenchmark

ASK = {
    "recommend": {"history_item_ids": [["i3", "i8"], [], ["i1"]], "history_events": [["view", "buy"], [], ["view"]],
                  "exclude_item_ids": [["i5"], ["i11"], []]},
    "recommend_filtered": {"history_item_ids": [["i3", "i8"], []], "history_events": [["view", "buy"], []],
                           "exclude_item_ids": [["i5"], ["i9"]], "allow_values": [["a"], ["b", "c"]]},
    "recommend_from_text": {"history_texts": [["red umbrella", "blue hat coat"], [""]]},
    "similar_items": {"item_ids": ["i5", "unknown", "i0"]},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def own_store(tmp_path_factory):
    """An embedding store of these tests' own: vectors of a made-up encoder stay out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("int8", marks=pytest.mark.nightly), "ivf"])
def test_an_index_that_searches_everything_answers_like_the_exact_scan(rebuilt, served, call_of, tmp_path, kind):
    run = rebuilt(f"export.index={kind}", "export.index_lists=3", "export.index_probes=99")
    folder = export(run, tmp_path / "shop")
    ask = call_of(folder)
    for signature, inputs in ASK.items():
        ours, exact = ask(signature, **inputs), served(signature, **inputs)
        assert_array_equal(ours.item_ids, exact.item_ids, signature)
        assert_allclose(ours.scores, exact.scores, atol=1e-5)
        assert_array_equal(ours.count, exact.count)
    about = read_json(folder / "tfrec.json")["index"]
    assert about["kind"] == kind and about["recall_at_10"] == about["recall_at_k"] == 1
    assert about["queries"] == 12 and about["source"] == "one item each"
    if kind == "ivf":
        assert check(folder).signatures == sorted(read_json(folder / "tfrec.json")["signatures"])


def test_an_exact_export_says_so(exported):
    assert read_json(exported / "tfrec.json")["index"] == {"kind": "exact"}


@pytest.mark.slow
def test_an_index_with_too_little_recall_is_refused_and_nothing_is_written(rebuilt, tmp_path):
    run = rebuilt("export.index=ivf", "export.index_lists=12", "export.index_probes=1")
    with pytest.raises(InvalidInput, match=r"(?s)at least 0.98 .*searches 1 of \d+ lists.*export.index_probes"):
        export(run, tmp_path / "shop")
    assert not (tmp_path / "shop").exists()
    lenient = rebuilt("export.index=ivf", "export.index_lists=12", "export.index_probes=1", "export.index_recall=0")
    assert export(lenient, tmp_path / "shop").is_dir()


@pytest.mark.slow
def test_lists_searched_start_at_what_is_served_and_double_until_the_recall_is_reached(rebuilt, monkeypatch):
    config = rebuilt("export.index=ivf", "export.index_lists=12", "export.max_k=2").config.export
    model = rebuilt().model

    def reads(floor, **options):
        chosen = config.model_copy(update={"index_recall": floor, **options})
        _, report = build_index(model, chosen, exclude_seen=True)
        assert report.recall_at_10 >= floor and report.lists == 12
        return report.probes

    assert [reads(0.0, max_k=k) for k in (1, 2, 4, 12)] == [2, 4, 8, 12]  # a list holds one item
    monkeypatch.setattr(RecallBenchmark, "recall", lambda self, index, k, half=None: index.probes / index.num_lists)
    assert [reads(floor) for floor in (0.3, 0.4, 0.6, 0.7, 1.0)] == [4, 8, 8, 12, 12]
    assert reads(0.2, index_probes=3) == 3


@pytest.mark.slow
def test_given_histories_measure_the_index(rebuilt):
    from tfrec.data.histories import Histories

    items = np.array([3, 8, 1, 0, 5], np.int64)
    flat = np.zeros(5, np.int64)
    histories = Histories(np.array(["u", "v", "w"]), np.array([0, 3, 3, 5]), items, flat, flat, flat, flat == 0)
    config = rebuilt("export.index=int8").config.export
    _, report = build_index(rebuilt().model, config, exclude_seen=True, histories=histories)
    assert (report.queries, report.source) == (2, "histories of the data")
    assert "recall@10 1.0000" in str(report) and "int8" in str(report)


NEW = pl.DataFrame(
    {"item_id": ["n0", "i4", "n1"], "text": ["red red shoe", "never read", "blue coat"], "genre": [["c"], ["a"], []]}
)


def test_items_that_were_gone_are_back_once_they_are_added(rebuilt):
    run = rebuilt()
    run.items = run.items.with_columns(in_catalogue=~pl.col("item_id").is_in(["i3", "i11"]))
    again, ids = with_new_items(run, pl.DataFrame({"item_id": ["i3", "i4"]}))
    assert ids == ["i3"] and again.items.filter(~pl.col("in_catalogue"))["item_id"].to_list() == ["i11"]
    assert again.model is run.model and run.items["in_catalogue"].sum() == 10


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The run and its export before and after two new items."""
    import runpy
    from pathlib import Path

    make_run = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))["make_run"]
    before = make_run(text_neighbours=2)
    wide, ids = with_new_items(before, NEW)
    assert ids == ["n0", "n1"]
    return before, wide, export(wide, tmp_path_factory.mktemp("grown") / "shop")


@pytest.mark.slow
def test_new_items_come_last_and_the_old_run_is_unchanged(grown):
    before, wide, _ = grown
    assert before.model.num_items == before.items.height == 12
    assert wide.items["item_id"].to_list() == [f"i{i}" for i in range(12)] + ["n0", "n1"]
    assert wide.items["text"][12] == "red red shoe" and wide.items["text"][4] == before.items["text"][4]
    assert wide.item_counts[12:].tolist() == [0, 0]
    assert_allclose(wide.model.item_vectors()[:12], before.model.item_vectors(), atol=1e-6)
    encoder = before.encoder()
    vectors = before.model.text_to_vector(encoder.encode(["red red shoe", "blue coat"], batch_size=2, seq_length=16))
    assert_allclose(wide.model.history_vectors()[12:], vectors, atol=1e-5)


@pytest.mark.slow
def test_new_items_are_recommended_read_in_histories_and_similar_to_others(grown, call_of):
    _before, wide, folder = grown
    ask = call_of(folder)
    histories = {"history_item_ids": [["i3", "i8"]], "history_events": [["view", "buy"]], "exclude_item_ids": [[]]}
    names = ask("recommend", **histories).item_ids[0].tolist()
    assert {b"n0", b"n1"} <= set(names) and names.index(b"") == 12

    read = {"history_item_ids": [["n0"]], "history_events": [["view"]], "exclude_item_ids": [[]]}
    answer = ask("recommend", **read)
    inputs = {
        "history_items": np.array([[12]], np.int32),
        "history_events": np.zeros([1, 1], np.int32),
        "history_gaps": np.zeros([1, 1], np.float32),
    }
    scores = wide.model.scores(inputs).numpy()[0]
    order = [i for i in np.argsort(-scores, kind="stable") if i != 12]
    assert not answer.fallback[0] and answer.count[0] == 13
    assert_array_equal(answer.item_ids[0, :13], [wide.items["item_id"][int(i)].encode() for i in order])

    similar = ask("similar_items", item_ids=["n1", "i0"])
    assert similar.count.tolist() == [13, 13] and b"n1" in similar.item_ids[1]
    only = ask("recommend_filtered", **histories, allow_values=[["c"]]).item_ids[0]
    assert b"n0" in only and b"n1" not in only


def test_extended_neighbours_are_those_of_the_whole_catalogue():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 5)).astype(np.float32)
    vectors[[7, 55]] = 0
    known = text_neighbours(vectors[:50], 6)
    indices, values = extended_neighbours(*known, vectors)
    expected = text_neighbours(vectors, 6)
    assert_array_equal(indices, expected[0])
    assert_allclose(values, expected[1], atol=1e-5)


@pytest.mark.slow
def test_history_neighbours_are_kept_and_new_items_have_none(rebuilt):
    model = rebuilt(neighbours=2).model
    near = np.arange(24, dtype=np.int32).reshape(12, 2) % 12
    model.memory.remember((near, np.ones((12, 2), np.float32)), None)
    wide = extended_model(model, np.ones((1, 6), np.float32))
    assert_array_equal(wide.memory.near[:12], near)
    assert wide.memory.near[12].numpy().tolist() == [-1, -1] and not wide.memory.counts[12].numpy().any()


def test_embedding_columns_of_new_items_get_the_mean(rebuilt):
    model, vectors = rebuilt().model, np.ones((2, 4), np.float32)  # the model's rows are 6 wide
    wide = extended_model(model, vectors)
    assert_allclose(wide.history_vectors()[12:], model.text_to_vector(vectors), atol=1e-6)


@pytest.mark.slow
def test_new_items_bring_the_embeddings_that_the_model_reads(rebuilt):
    run, sound = rebuilt(), np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    sound /= np.linalg.norm(sound, axis=1, keepdims=True)
    colour = np.tile(sound[::-1], (1, 2))
    fused = fuse(
        [("text", run.model.items.text.numpy()), ("sound_embedding", sound), ("colour_embedding", colour)], [0.5, 2.0]
    )
    blocks = [list(each) for each in fused.modalities]
    run.model = NextItemModel(12, 2, text_dim=12, dim=4, heads=2, layers=1, max_history=4, modalities=blocks)
    run.model.items.start_from(fused.vectors)
    new = NEW.with_columns(sound_embedding=pl.Series([[3.0, 4.0], None, None]))
    wide, ids = with_new_items(run, new)
    assert ids == ["n0", "n1"]
    heard, unheard = wide.model.items.text.numpy()[12:, 6:8]
    assert_allclose(heard, np.array([0.6, 0.8]) * fused.modalities[1].scale, rtol=1e-5)
    assert_allclose(unheard, fused.vectors[:, 6:8].mean(axis=0), atol=1e-6)
    assert_allclose(
        wide.model.items.text.numpy()[12:, 8:], np.tile(fused.vectors[:, 8:].mean(axis=0), (2, 1)), atol=1e-6
    )
    with pytest.raises(InvalidInput, match="sound_embedding of width 2; that of the new items has 3"):
        with_new_items(run, NEW.with_columns(sound_embedding=pl.Series([[1.0, 2.0, 3.0]] * 3)))


def test_an_items_file_with_known_items_adds_only_the_new_ones(grown):
    before, wide, _ = grown
    with pytest.raises(InvalidInput, match="already has all 3 items"):
        with_new_items(wide, NEW)
    with pytest.raises(InvalidInput, match="use_text"):
        ids_only = type(before)(**{**vars(before), "config": before.config.with_values(["model.use_text=false"])})
        with_new_items(ids_only, NEW)
    with pytest.raises(InvalidInput, match="same types"):
        with_new_items(before, NEW.with_columns(pl.struct("text").alias("genre")))


@pytest.mark.slow
def test_texts_in_the_store_are_not_encoded_again(rebuilt):
    run = rebuilt()
    encoder, asked = run.encoder(), []
    encode, encoder.hash = encoder.encode, "of this test"

    def counting(texts, **more):
        asked.extend(texts)
        return encode(texts, **more)

    encoder.encode = counting
    first, _ = with_new_items(run, NEW)
    texts = first.items["text"].to_list()[12:]
    assert sorted(asked) == sorted(set(texts))
    again, _ = with_new_items(run, NEW)
    assert sorted(asked) == sorted(set(texts))
    assert_array_equal(again.text_vectors, first.text_vectors)
