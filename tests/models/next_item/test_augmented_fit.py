"""Training with augmentation: batches are repeatable, a resumed training ends with the same weights, and it learns."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.encoders import load_encoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.next_item.input_pipeline import batches, build_augmentation, substitute_items
from tfrec.models.next_item.windows import Windows
from tfrec.runs import train

ALL = [
    "training.augmentation.crop=0.5",
    "training.augmentation.drop=0.1",
    "training.augmentation.mask=0.1",
    "training.augmentation.substitute=0.1",
    "training.augmentation.reorder=0.5",
    "training.augmentation.words=0.3",
    "training.contrastive=0.1",
]
SMALL = ["model.dim=16", "model.heads=2", "model.layers=1", "training.batch_size=8", "training.epochs=4"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """40 users who walk round a ring of 12 items, with a clock: a pair of events every hour."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u}", f"i{(start + step) % 12}", "view", 1_700_000_000 + step // 2 * 3600 + step % 2 * 60)
        for u, start in enumerate(rng.integers(0, 12, 40))
        for step in range(8)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    words = ["red", "green", "blue", "small", "large", "old", "new", "fast"]
    texts = [" ".join(rng.choice(words, 4)) for _ in range(12)]
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": texts})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture
def config(tiny_encoder):
    return RunConfig().with_values([*SMALL, f"encoder.name={tiny_encoder}"])


def made(dataset, config, first=0, last=2):
    windows = Windows.cut(dataset.training(), config.model.max_history)
    model = build_next_item_model(dataset, None, config)
    augmentation = build_augmentation(config, model, dataset.training())
    return list(batches(windows, config, 8, first, last, augmentation).as_numpy_iterator())


def test_without_augmentation_the_batches_are_the_unchanged_windows(dataset, config):
    windows = Windows.cut(dataset.training(), 50)
    expected = [windows.batch(rows) for epoch in range(2) for rows in windows.epoch(8, 0, epoch)]
    found = made(dataset, config)
    assert len(found) == len(expected)
    for (inputs, labels), (unchanged, next_items) in zip(found, expected, strict=True):
        assert set(inputs) == {"history_items", "history_events", "history_gaps"}
        assert all((inputs[name] == unchanged[name]).all() for name in inputs)
        assert_array_equal(labels, next_items)


@pytest.mark.slow
def test_the_batches_of_an_epoch_do_not_depend_on_the_first_epoch(dataset, config):
    config = config.with_values(ALL)
    whole, rest = made(dataset, config), made(dataset, config, first=1)
    for (inputs, labels), (again, same) in zip(whole[len(rest) :], rest, strict=True):
        assert inputs.keys() == again.keys() and len(inputs) == 13
        assert all((inputs[name] == again[name]).all() for name in inputs)
        assert_array_equal(labels, same)
    assert any((one[1].shape != other[1].shape) or (one[1] != other[1]).any() for one, other in zip(whole, rest))


@pytest.mark.nightly
@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(dataset, config, tmp_path, dies_at):
    config = config.with_values(ALL)
    whole = train(dataset, tmp_path / "whole", config)
    with dies_at(2):
        train(dataset, tmp_path / "parts", config)
    resumed = train(dataset, tmp_path / "parts", config, resume=True)
    for found, expected in zip(resumed.model.weights, whole.model.weights, strict=True):
        assert_allclose(found, expected, atol=1e-5, err_msg=expected.name)
    plain = train(dataset, tmp_path / "plain", RunConfig().with_values([*SMALL, f"encoder.name={config.encoder.name}"]))
    assert [w.name for w in plain.model.weights] == [w.name for w in whole.model.weights]  # the export is the same


@pytest.mark.slow
@pytest.mark.parametrize("negatives", ["all", pytest.param("uniform", marks=pytest.mark.nightly)])
def test_the_ring_is_learnt_with_augmentation(dataset, tmp_path, negatives):
    values = ["model.neighbours=0", "training.balance=false", "training.learning_rate=0.01", "training.epochs=20"]
    changed = [*ALL, "training.augmentation.reorder=0", "training.sample=5", f"training.negatives={negatives}"]
    config = RunConfig().with_values([*SMALL, *values, *changed])
    assert fit_next_item(dataset, None, config, workdir=tmp_path).metrics_valid["ndcg@10"] > 0.7


def test_substitutes_are_the_distinct_neighbours_of_each_item(dataset, config):
    config = config.with_values(["model.neighbours=3", "model.neighbour_window=1"])
    found = substitute_items(build_next_item_model(dataset, None, config), dataset.training())
    place = {name: row for row, name in enumerate(dataset.item_ids)}
    for item in range(12):
        ring = {place[f"i{(item + 1) % 12}"], place[f"i{(item - 1) % 12}"]}
        real = [int(other) for other in found[place[f"i{item}"]] if other >= 0]
        assert sorted(real) == sorted(ring)
    without = config.with_values(["model.neighbours=0"])
    table = substitute_items(build_next_item_model(dataset, None, without), dataset.training())
    assert table.shape == (12, 9) and all(len(set(row[row >= 0])) == (row >= 0).sum() > 0 for row in table)


def test_half_of_the_texts_lack_tokens_but_never_the_first_or_the_last(tiny_encoder):
    texts = ["red green blue small old new hot cold", "", "shoe"] * 100
    table = TokenTable(load_encoder(tiny_encoder), texts, 16)
    rows = np.arange(300)[::-1]
    found = table.shortened(rows, 0.5, np.random.default_rng(0))
    whole = 0
    for row in range(300):
        before = table.words[rows[row], : table.lengths[rows[row]]].tolist()
        after = found.words[row, : found.lengths[row]].tolist()
        assert (after[0], after[-1]) == (before[0], before[-1]) and (found.words[row, len(after) :] == 0).all()
        rest = iter(before)
        assert all(token in rest for token in after)
        whole += len(before) == 10 and after == before
    assert 35 < whole < 65
    assert table.shortened(rows, 0.5, np.random.default_rng(0)).words.tolist() == found.words.tolist()
