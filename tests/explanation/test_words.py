"""Which words matter: against sums over all orders, and complete to rounding on real models."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tfrec
from tests.explanation.toy import make_run
from tfrec.explanation.shapley import crosses, shapley
from tfrec.explanation.words import explain_words, units_of


def tangled(there):
    """Four units: an and, an exclusive or, and a sum."""
    a, b, c, d = there.T.astype(float)
    return 3 * a * b + 2 * np.abs(c - d) + 0.5 * a - c


def test_many_orders_come_to_the_mean_over_all_orders():
    expected, orders = np.zeros(4), list(permutations(range(4)))
    for order in orders:
        there = np.zeros([1, 4], bool)
        for unit in order:
            before = tangled(there)[0]
            there[0, unit] = True
            expected[unit] += (tangled(there)[0] - before) / len(orders)
    found = shapley(tangled, "abcd", permutations=2000)
    assert_allclose(found.effects, expected, atol=0.05)
    assert found.completeness_error < 1e-9 and shapley(tangled, "abcd", permutations=1).completeness_error < 1e-9


def test_crosses_are_what_two_do_together():
    found = crosses(tangled, "abcd")
    assert found[("a", "b")] == 3 and found[("c", "d")] == -4 and found[("a", "c")] == 0


def test_texts_are_cut_into_words_fields_or_events():
    assert units_of("  red  shoe ", "word") == (["red", "shoe"], " ")
    assert units_of("Tea, drinks,hot", "field") == (["Tea", "drinks", "hot"], ", ")
    with pytest.raises(tfrec.InvalidInput, match="one of word, event, field"):
        units_of("a", "letter")


@pytest.fixture(scope="module")
def text_run():
    """A next-item run whose encoder sums the vectors of words."""
    import runpy
    from pathlib import Path

    make = runpy.run_path(str(Path(__file__).parents[1] / "serving" / "conftest.py"))["make_run"]
    return make()


def test_the_words_of_an_item_add_up_to_its_score(text_run):
    found = explain_words(text_run, "red shoe hat", history=["i3", "i8"])
    model, encoder = text_run.model, text_run.encoder()
    inputs = {"history_items": np.array([[3, 8]], np.int32), "history_events": np.zeros([1, 2], np.int32)}
    query = model.query({**inputs, "history_gaps": np.zeros([1, 2], np.float32)}).numpy()[0]

    def score(text):
        vector = model.text_to_vector(encoder.encode([text], 1, 16)).numpy()[0]
        return vector @ query / np.linalg.norm(vector)

    assert found.units == ("red", "shoe", "hat") and found.completeness_error < 0.01
    assert_allclose(found.effects.sum(), score("red shoe hat") - score(""), rtol=1e-4)


def test_bad_input_is_said(text_run):
    with pytest.raises(tfrec.InvalidInput, match="1 to 64 parts, received 0"):
        explain_words(text_run, "  ", history=["i3"])
    with pytest.raises(tfrec.InvalidInput, match="1 to 64 parts, received 65"):
        explain_words(text_run, "a " * 65, history=["i3"])
    with pytest.raises(tfrec.InvalidInput, match="a history with items of the catalogue"):
        explain_words(text_run, "red", history=["who"])
    with pytest.raises(tfrec.InvalidInput, match="uses no text"):
        explain_words(make_run(), "red", history=["i3"])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_the_words_of_a_behaviour_text_add_up(tiny_encoder, text_run, head):
    from tfrec.models.behaviour_text.model import BehaviourTextModel

    texts = text_run.items["text"].to_list()
    model = BehaviourTextModel(tfrec.load_encoder(tiny_encoder), head, texts, tokens=24, mlp_units=[8])
    rng = np.random.default_rng(0)
    for weight in model.mlp.weights:
        weight.assign_add(rng.normal(size=weight.shape).astype(np.float32) * 0.3)
    run = type(text_run)(**{**vars(text_run), "model": model, "kind": "behaviour-text"})
    said = "viewed: red shoe; bought: blue hat"
    for by, count in (("word", 6), ("event", 2)):
        found = explain_words(run, said, "i3", by=by, permutations=2)
        assert len(found.units) == count and found.completeness_error < 0.01 and np.abs(found.effects).max() > 1e-3
    with pytest.raises(tfrec.InvalidInput, match="no item 'what'"):
        explain_words(run, said, "what")
