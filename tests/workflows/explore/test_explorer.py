"""What the explorer answers, against the model and loops; no browser."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data.histories import Histories
from tfrec.data.item_groups import facets, labels
from tfrec.errors import InvalidInput
from tfrec.workflows.explore.explorer import Explorer
from tfrec.workflows.explore.list_comparison import compare_lists

make_run = runpy.run_path(str(Path(__file__).parents[2] / "serving" / "conftest.py"))["make_run"]


@pytest.fixture(scope="module")
def explorer():
    run = make_run(neighbours=2)
    near = np.array([[(i + 1) % 12, (i + 2) % 12] for i in range(12)], np.int32)
    run.model.memory.remember((near, np.tile(np.array([[9, 4]], np.float32), (12, 1))), None)
    return Explorer(run)


def model_scores(explorer, items, kinds):
    inputs = {
        "history_items": np.array([items], np.int32),
        "history_events": np.array([kinds], np.int32),
        "history_gaps": np.zeros([1, len(items)], np.float32),
    }
    return explorer.run.model.scores(inputs).numpy()[0], explorer.run.model.cosines(inputs).numpy()[0]


def test_the_list_is_the_models_with_its_score_taken_apart(explorer):
    found = explorer.recommend(["i3", "nobody", "i8"], ["view", "view", "buy"], k=4)
    scores, cosines = model_scores(explorer, [3, 8], [0, 1])
    order = [i for i in np.argsort(-scores, kind="stable") if i not in (3, 8)][:4]
    assert [place.card.item_id for place in found] == [f"i{i}" for i in order]
    assert [place.rank for place in found] == [1, 2, 3, 4]
    np.testing.assert_allclose([place.score for place in found], scores[order], atol=1e-4)
    np.testing.assert_allclose([place.parts["network"] for place in found], cosines[order], atol=1e-4)
    np.testing.assert_allclose([sum(place.parts.values()) for place in found], scores[order], atol=1e-4)
    assert set(found[0].parts) == {"network", "memory by history", "repeats"}  # what this model has
    assert not any(place.seen or place.fallback for place in found)


def test_items_that_are_gone_are_read_and_in_no_list_and_impressions_are_not_read():
    run = make_run()
    run.event_kinds = ["view", "impression"]
    run.items = run.items.with_columns(in_catalogue=~pl.col("item_id").is_in(["i3", "i11"]))
    explorer = Explorer(run)
    scores, _ = model_scores(explorer, [3], [0])
    order = [f"i{i}" for i in np.argsort(-scores, kind="stable") if i not in (3, 11)]
    assert [place.card.item_id for place in explorer.recommend(["i3", "i7"], ["view", "impression"], k=12)] == order
    assert {card.item_id for card, _ in explorer.similar("i3", 12)} == set(order)
    assert "in_catalogue" not in explorer.facets


def test_the_reasons_are_the_events_without_which_the_score_is_lower(explorer):
    history = [3, 8, 7, 3]
    found = explorer.recommend([f"i{i}" for i in history], k=12, exclude_seen=False)
    unit, full = explorer.run.model.item_vectors().numpy(), model_scores(explorer, history, [0] * 4)[0]
    for place in found[:4]:
        item = int(place.card.item_id[1:])
        lacking = [model_scores(explorer, history[:at] + history[at + 1 :], [0] * 3)[0][item] for at in range(4)]
        effects = full[item] - np.array(lacking)
        order = np.argsort(-effects, kind="stable")
        expected = [at for at in order[:2] if effects[at] > 1e-3]
        expected += [order[-1]] if effects[order[-1]] < -1e-3 else []
        assert [why.card.item_id for why in place.because] == [f"i{history[at]}" for at in expected]
        np.testing.assert_allclose([why.effect for why in place.because], effects[expected], atol=1e-4)
        for why, at in zip(place.because, expected):
            assert why.alike == pytest.approx(float(unit[item] @ unit[history[at]]), abs=1e-5)
    # i9 stood 9 times next to i8, 4 times near i7, and is not remembered with i3.
    together = {why.card.item_id: why.together for p in found if p.card.item_id == "i9" for why in p.because}
    assert together and all(count == {"i8": 9, "i7": 4, "i3": 0}[item] for item, count in together.items())


def test_without_the_counterfactual_the_item_is_not_in_the_list(explorer):
    history = [3, 8, 7]
    found = explorer.recommend([f"i{i}" for i in history], k=2)
    single = [place for place in found if len(place.without) == 1]
    assert single and not any(place.without for place in explorer.recommend(["i3", "i8"], k=2, diversity=0.5))
    for place in single:
        left = [item for item in history if f"i{item}" != place.without[0].item_id]
        scores, _ = model_scores(explorer, left, [0] * len(left))
        listed = [item for item in np.argsort(-scores, kind="stable") if item not in history][:2]
        assert int(place.card.item_id[1:]) not in listed


def test_the_words_of_a_text_add_up_to_what_it_scores(explorer):
    found = explorer.words(explorer.text("i9"), ["i3", "nobody", "i8"])
    assert list(found.units) == explorer.text("i9").split()
    assert found.completeness_error < 1e-6
    inputs = {"history_items": np.array([[3, 8]], np.int32), "history_events": np.zeros([1, 2], np.int32)}
    query = explorer.run.model.query({**inputs, "history_gaps": np.zeros([1, 2], np.float32)}).numpy()[0]
    vector = explorer.run.model.text_to_vector(explorer.run.encoder().encode([explorer.text("i9")], 1, 16)).numpy()[0]
    assert found.full == pytest.approx(float(vector @ query / np.linalg.norm(vector)), abs=1e-4)
    assert explorer.words("", ["i3"]) is None and explorer.words("red", ["nobody"]) is None


def test_without_a_history_the_popular_items_come(explorer):
    found = explorer.recommend([], k=3)
    assert [(p.card.item_id, p.score, p.fallback, p.because) for p in found] == [
        ("i11", 11, True, ()), ("i10", 10, True, ()), ("i9", 9, True, ()),
    ]  # fmt: skip


def test_filters_leave_items_with_one_of_the_values(explorer):
    assert explorer.facets["genre"].values == ["a", "b", "c"]
    found = explorer.recommend(["i3"], k=12, where={"genre": ["b", "c"]})
    assert {p.card.item_id for p in found} == {"i1", "i5", "i9", "i7", "i11"}
    assert len(explorer.recommend(["i3"], k=12, where={"genre": []})) == 11
    with pytest.raises(InvalidInput, match="filter on one of genre"):
        explorer.recommend(["i3"], where={"colour": ["red"]})


def test_diversity_takes_unlike_items_and_keeps_the_first(explorer):
    plain, varied = (explorer.recommend(["i3", "i8"], k=3, diversity=strength) for strength in (0.0, 0.9))
    unit = explorer.run.model.item_vectors().numpy()

    def likeness(found):
        chosen = unit[[int(p.card.item_id[1:]) for p in found]]
        return (chosen @ chosen.T)[np.triu_indices(3, 1)].mean()

    assert plain[0].card == varied[0].card and likeness(varied) < likeness(plain)


def test_search_needs_all_words_and_puts_the_popular_and_the_id_first(explorer):
    texts = explorer.run.items["text"].to_list()
    expected = {f"i{i}" for i in range(12) if "blue" in texts[i] and "hat" in texts[i]}
    assert set(explorer.search("HAT  blue")) == expected and expected
    hats = explorer.search("blue hat")
    assert hats == sorted(hats, key=lambda item: -int(item[1:]))
    assert explorer.search("i4")[0] == "i4"
    assert explorer.search("", limit=2) == ["i11", "i10"]


def test_a_search_that_finds_no_words_goes_by_meaning(explorer):
    found = explorer.search("scarlet coat", limit=3)
    assert found == [card.item_id for card, _ in explorer.similar_to_text("scarlet coat", 3)] and len(found) == 3


def test_similar_items_are_by_cosine(explorer):
    unit = explorer.run.model.item_vectors().numpy()
    found = explorer.similar("i5", 3)
    order = [i for i in np.argsort(-(unit @ unit[5]), kind="stable") if i != 5][:3]
    assert [card.item_id for card, _ in found] == [f"i{i}" for i in order]
    with pytest.raises(InvalidInput, match="no item 'x'"):
        explorer.similar("x")


def test_who_would_like_a_text_are_those_whose_query_points_at_it(explorer):
    flat = np.zeros(5, np.int64)
    items = np.array([3, 8, 1, 0, 5])
    histories = Histories(np.array(["u", "v", "w"]), np.array([0, 2, 2, 5]), items, flat, flat, flat, flat == 0)
    found = explorer.who_would_like("red hat", SimpleNamespace(histories=lambda: histories), k=5)
    model, encoder = explorer.run.model, explorer.run.encoder()
    vector = model.text_to_vector(encoder.encode(["red hat"], batch_size=1, seq_length=16)).numpy()[0]
    expected = []
    for user, row in (("u", [3, 8]), ("w", [1, 0, 5])):
        _, cosines = model_scores(explorer, row, [0] * len(row))
        inputs = {"history_items": [row], "history_events": [[0] * len(row)], "history_gaps": [[0.0] * len(row)]}
        score = float(model.query({k: np.array(v) for k, v in inputs.items()}).numpy()[0] @ vector)
        score /= np.linalg.norm(vector)
        expected.append((user, score, 1 + int((cosines > score).sum())))
    expected.sort(key=lambda entry: -entry[1])
    assert [(user, at) for user, _, at in found] == [(user, at) for user, _, at in expected]
    np.testing.assert_allclose([s for _, s, _ in found], [s for _, s, _ in expected], atol=1e-4)


def test_cards_show_what_the_catalogue_says(explorer):
    card = explorer.card("i1")
    assert (card.title, card.facts, card.events) == (explorer.run.items["text"][1], {"genre": "b, a"}, 1)


def test_the_map_has_a_place_for_every_item(explorer):
    unit = explorer.run.model.item_vectors().numpy()
    across = (unit - unit.mean(axis=0)) @ np.linalg.svd(unit - unit.mean(axis=0))[2][0]
    assert abs(np.corrcoef(across, explorer.map.positions[:, 0])[0, 1]) == pytest.approx(1, abs=1e-5)
    assert [explorer.place("i3"), explorer.place("nobody")] == [3, None]


def test_cards_have_the_category_that_colours_them(explorer):
    # "a" is frequent, "b" and "c" are rare and tell more; i2 has none
    found = [explorer.card(f"i{i}").category for i in range(4)]
    assert explorer.categories.labels == ["a", "b", "c"] and found == [0, 1, None, 2]


def test_wrong_questions_are_said(explorer):
    for wrong in ({"k": 0}, {"diversity": 2.0}):
        with pytest.raises(InvalidInput, match="k of at least 1 and diversity"):
            explorer.recommend(["i3"], **wrong)
    with pytest.raises(InvalidInput, match="next-item"):
        Explorer(SimpleNamespace(kind="behaviour-text", config=RunConfig()))


def test_lists_are_compared_place_by_place():
    found = compare_lists(["a", "b", "c"], ["c", "a"])
    assert (found.overlap, found.moved, found.gone) == (2 / 3, {"c": 2, "a": -1}, ["b"])
    assert compare_lists([], []).overlap == 1


def test_columns_that_group_items_are_facets_and_others_are_not():
    n = 300
    items = pl.DataFrame(
        {
            "item_id": [str(i) for i in range(n)],
            "text": ["x"] * n,
            "title": ["a", "b"] * 150,
            "kinds": ["Drama War", "War", "Comedy"] * 100,
            "pairs": [f"k{i % 90} v{i % 80}" for i in range(n)],
            "code": [f"c{i}" for i in range(n)],
            "same": ["x"] * n,
            "year": [1990 + i % 3 for i in range(n)],
            "cover": [f"{i % 3}.jpg" for i in range(n)],
            "bytes": [b"x", b"y", b"z"] * 100,
            "look_embedding": [[0.1], [0.2], [0.3]] * 100,
        }
    )
    found = facets(items)
    assert sorted(found) == ["kinds", "year"]
    assert found["kinds"].values == ["Comedy", "Drama War", "War"]
    assert labels(["a", None, " "]) == ["a"]
