"""Contrastive adaptation: the pairs, the loss, and the written folder."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import importlib  # isort: skip
import json

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import CliRunner

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.encoders import load_encoder
from tfrec.errors import InvalidInput, TfrecError
from tfrec.pretraining import adapt_encoder
from tfrec.pretraining.adapt_encoder import Pairs, contrastive_loss

COLOURS, THINGS = ["red", "blue", "green", "white"], ["shoe", "hat", "coat", "book"]


def make(folder, histories, titles):
    rows = [(f"u{u:02}", item, "view", at) for u, items in enumerate(histories) for at, item in enumerate(items)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": list(titles), "title": list(titles.values())})
    return prepare(events, items, folder, split="leave-one-out")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Each user chooses items of one colour, so the colour of an item matters more than its kind."""
    rng = np.random.default_rng(0)
    titles = {f"{colour}-{thing}": f"{colour} {thing}" for colour in COLOURS for thing in THINGS}
    histories = [[f"{COLOURS[u % 4]}-{thing}" for thing in rng.permutation(THINGS)] for u in range(48)]
    return make(tmp_path_factory.mktemp("data") / "shop", histories, titles)


def settings(**values):
    small = {"steps": 30, "batch_size": 12, "learning_rate": 3e-3, "held_out": 0.25, "seq_length": 16}
    return RunConfig.from_dict({"adaptation": {**small, **values}})


def test_pairs_are_neighbours_of_one_history_with_different_texts(tmp_path):
    titles = {"a": "tea", "b": "cake", "c": "tea ", "d": "", "e": "soap"}
    more = ["e", "e"]  # validation and test, which are not used
    data = make(tmp_path / "data", [["a", "b", "d", "e", *more], ["a", "c", "e", *more], ["b", *more]], titles)
    names, histories = data.item_ids, data.training()
    for window, expected in ((1, {"ab", "ce"}), (2, {"ab", "be", "ce", "ae"})):
        pairs = Pairs(histories, data.texts, window, held_out=0.5)
        found = ["".join(names[list(pair)]) for pair in np.concatenate([pairs.learnt, pairs.held_out])]
        assert sorted(found) == sorted([*expected, *(pair[::-1] for pair in expected)])


def test_pairs_elsewhere_and_equal_texts_are_not_negatives(tmp_path):
    titles = {"a": "tea", "b": "cake", "c": "soap", "d": "tea", "e": "lamp"}
    tail = ["e", "e"]
    data = make(tmp_path / "data", [["a", "b", *tail], ["b", "a", *tail], ["d", "c", *tail]], titles)
    place = {name: index for index, name in enumerate(data.item_ids)}
    pairs = Pairs(data.training(), data.texts, 1, held_out=0.5)
    batch = np.array([[place[a], place[b]] for a, b in ("ab", "dc", "be", "ea")], np.int32)
    # a-b is a pair; c is a pair of d, whose text equals a's; d has a's text, so b is its pair; b-a is a pair
    expected = [[0, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0]]
    assert_array_equal(pairs.hidden(batch), np.array(expected, bool))


def test_the_loss_is_a_softmax_over_texts_that_are_not_hidden():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 4, 3))
    hidden = rng.random((4, 4)) < 0.4
    np.fill_diagonal(hidden, False)
    cosines = (one / np.linalg.norm(one, axis=1, keepdims=True)) @ (other / np.linalg.norm(other, axis=1)[:, None]).T
    losses, right = [], []
    for row in range(4):
        logits = cosines[row][~hidden[row]] / 0.1
        losses.append(np.log(np.exp(logits).sum()) - cosines[row, row] / 0.1)
        right.append(cosines[row, row] / 0.1 == logits.max())
    found = contrastive_loss(*(tf.constant(each, tf.float32) for each in (one, other)), tf.constant(hidden), 0.1)
    assert_allclose(found, [np.mean(losses), np.mean(right)], rtol=1e-4)


@pytest.mark.slow
def test_texts_chosen_together_get_similar_vectors(shop, tiny_encoder, tmp_path):
    out = adapt_encoder(shop, tmp_path / "adapted", settings(), source=str(tiny_encoder))
    card = json.loads((out / "adaptation.json").read_text())
    assert card["after"]["loss"] < 0.8 * card["before"]["loss"] and len(card["losses"]) == 30
    assert card["source"] == tiny_encoder.name and card["pairs"] > 0 and card["data"] == shop.manifest["fingerprint"]
    apart = []
    for folder in (tiny_encoder, out):
        vectors = load_encoder(folder).encode(["red shoe", "red hat", "blue hat"])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        apart.append(vectors[1] @ vectors[0] - vectors[1] @ vectors[2])
    assert apart[1] > apart[0] + 0.1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_encoder_and_an_existing_folder_is_kept(shop, tiny_encoder, tmp_path):
    short = settings(steps=2)
    hashes = {
        load_encoder(adapt_encoder(shop, tmp_path / n, short, source=str(tiny_encoder))).weights_hash for n in "ab"
    }
    assert len(hashes) == 1
    with pytest.raises(InvalidInput, match="exists already"):
        adapt_encoder(shop, tmp_path / "a", short, source=str(tiny_encoder))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_writes_nothing(shop, tiny_encoder, tmp_path, monkeypatch):
    broken = lambda *a: (contrastive_loss(*a)[0] * np.nan, tf.constant(0.0))  # noqa: E731
    module = importlib.import_module("tfrec.pretraining.adapt_encoder")  # the name in the room is the function
    monkeypatch.setattr(module, "contrastive_loss", broken)
    with pytest.raises(TfrecError, match="became nan at step 1; nothing was written"):
        adapt_encoder(shop, tmp_path / "out", settings(), source=str(tiny_encoder))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_log_without_pairs_is_refused(tiny_encoder, tmp_path):
    data = make(tmp_path / "data", [["a", "a", "b", "b"]] * 3, {"a": "tea", "b": ""})
    with pytest.raises(InvalidInput, match="No two items with different texts"):
        adapt_encoder(data, tmp_path / "out", settings(), source=str(tiny_encoder))


@pytest.mark.slow
def test_the_command_writes_an_encoder(shop, tiny_encoder, tmp_path):
    from tfrec.cli.encoder import app

    sizes = ["--set", "adaptation.steps=1", "--set", "adaptation.batch_size=4"]
    command = ["adapt", "--data", str(shop.path), "--from", str(tiny_encoder), "--out", str(tmp_path / "out"), *sizes]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert load_encoder(tmp_path / "out").dim == 32


def test_pairs_are_limited_by_the_time_between_events(tmp_path):
    minute, noon = 60_000_000, 1_700_000_000_000_000
    at = [("a", 0), ("b", 10), ("c", 50), ("d", 60), ("e", 61)]  # the last two are validation and test
    events = pl.DataFrame([(user, item, "view", noon + minutes * minute) for user in "uv" for item, minutes in at],
                          schema=["user_id", "item_id", "event", "timestamp"], orient="row")  # fmt: skip
    items = pl.DataFrame({"item_id": list("abcde"), "title": ["tea", "cake", "soap", "lamp", "hat"]})
    data = prepare(events, items, tmp_path / "data", split="leave-one-out")
    assert data.training().clock

    def found(minutes):
        pairs = Pairs(data.training(), data.texts, 2, 0.5, minutes)
        assert len(pairs.learnt) == len(pairs.held_out)  # one user each
        return sorted("".join(data.item_ids[list(pair)]) for pair in pairs.learnt)

    assert found(10) == ["ab", "ba"]
    assert found(40) == ["ab", "ba", "bc", "cb"]
    assert found(None) == found(50) == ["ab", "ac", "ba", "bc", "ca", "cb"]
    with pytest.raises(InvalidInput, match="adaptation.sitting"):
        found(9)
