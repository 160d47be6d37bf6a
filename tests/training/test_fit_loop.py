"""The fit loop on a model of two weights: kills at every point, resume, the choice of the best epoch, budgets."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import csv  # isort: skip
from pathlib import Path  # isort: skip

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from tests.damage import emptied, of_another_type, truncated
from tfrec.errors import InvalidInput, TfrecError
from tfrec.keras import keras
from tfrec.training import callbacks, checkpoint_folder
from tfrec.training.callbacks import BestWeights, History, StopOnNaN, TimeBudget
from tfrec.training.fit_loop import FitLoop, Stage

STEPS = 2


class Killed(BaseException):
    """As a kill: nothing catches it."""


class Clock:
    """Stands in for `time` in the callbacks: it stands still unless it is moved."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


def toy_model():
    model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(2,))])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def toy_batches(first, stop, wrong_at=None):
    """y = 2a − b, other batches in every epoch; a label is no number at (epoch, step)."""
    inputs = np.concatenate([np.random.default_rng(epoch).normal(size=(STEPS, 8, 2)) for epoch in range(first, stop)])
    labels = inputs @ [[2.0], [-1.0]]
    if wrong_at is not None:
        labels[(wrong_at[0] - first) * STEPS + wrong_at[1]] = np.nan
    return tf.data.Dataset.from_tensor_slices((inputs.astype(np.float32), labels.astype(np.float32)))


def stage(model, validate=dict, **options):
    defaults = {"steps": STEPS, "epochs": 4, "monitor": "score", "patience": 9, "batches": toy_batches}
    return Stage(model=model, validate=validate, **{**defaults, **options})


def scripted(*scores, name="score"):
    """A validation that finds these values, one after the other."""
    left = iter(scores)
    return lambda: {name: next(left)}


def closeness(model):
    """A validation that goes by the weights alone."""
    return lambda: {"score": -abs(float(model.get_weights()[0][0, 0]) - 0.5)}


def best_weights(path, **options):
    model = toy_model()
    model.load_weights(str(path), **options)
    return model.get_weights()


def fit_two_stages(workdir, resume=False):
    """Two epochs of one model and two of another; the best of the first is the one to beat in the second."""
    loop = FitLoop(workdir, resume=resume)
    first = toy_model()
    first.load_weights(str(loop.run(stage(first, closeness(first), epochs=2, name="one"))))
    second = toy_model()
    second.set_weights(first.get_weights())
    last = stage(second, closeness(second), epochs=2, name="two", start=closeness(second), weights="best")
    second.load_weights(str(loop.run(last)))
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in loop.rows]
    return {"weights": second.get_weights(), "metrics": loop.metrics, "rows": rows, "csv": read_csv(workdir)}


def read_csv(workdir):
    with open(workdir / "history.csv", newline="") as file:
        return [{name: row[name] for name in row if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return fit_two_stages(tmp_path_factory.mktemp("whole"))


KILLS = [  # where, at which call, and whether before or after what it does; a stage has two epochs
    (StopOnNaN, "on_train_batch_end", 4, "after"),
    (TimeBudget, "on_epoch_end", 2, "before"),
    (BestWeights, "on_epoch_end", 2, "before"),
    (keras.Model, "save_weights", 1, "after"),
    (History, "on_epoch_end", 2, "after"),
    (tf.train.Checkpoint, "write", 1, "before"),
    (checkpoint_folder, "write_json", 1, "before"),
    (checkpoint_folder, "write_json", 2, "after"),
    (Path, "unlink", 1, "after"),
    (keras.Model, "load_weights", 1, "before"),
    (keras.Model, "save_weights", 3, "after"),
    (BestWeights, "on_epoch_end", 3, "before"),
    (checkpoint_folder, "write_json", 4, "before"),
    (keras.Model, "load_weights", 2, "before"),
]


@pytest.mark.parametrize(("owner", "name", "call", "when"), KILLS, ids=[f"{k[3]}-{k[1]}-{k[2]}" for k in KILLS])
def test_a_fit_killed_anywhere_and_resumed_equals_an_uninterrupted_one(
    uninterrupted, tmp_path, monkeypatch, owner, name, call, when
):
    calls, original = [], getattr(owner, name)

    def killing(*arguments, **options):
        calls.append(name)
        if len(calls) == call and when == "before":
            raise Killed
        original(*arguments, **options)
        if len(calls) == call:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, killing)
        fit_two_stages(tmp_path)
    resumed = fit_two_stages(tmp_path, resume=True)
    assert resumed["rows"] == uninterrupted["rows"] and resumed["csv"] == uninterrupted["csv"]
    assert resumed["metrics"] == uninterrupted["metrics"]
    for one, other in zip(resumed["weights"], uninterrupted["weights"], strict=True):
        assert_array_equal(one, other)


def test_of_a_finished_fit_nothing_is_done_again(tmp_path, monkeypatch):
    whole = fit_two_stages(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("epoch-*.index")) == ["epoch-2.index", "epoch-4.index"]
    monkeypatch.setattr(keras.Model, "fit", None)
    again = fit_two_stages(tmp_path, resume=True)
    assert again["rows"] == whole["rows"] and again["metrics"] == whole["metrics"]
    for one, other in zip(again["weights"], whole["weights"], strict=True):
        assert_array_equal(one, other)


def test_the_epochs_of_a_stage_go_on_from_the_one_before(uninterrupted):
    assert [row["epoch"] for row in uninterrupted["rows"]] == [1, 2, 3, 4]
    assert [int(row["epoch"]) for row in uninterrupted["csv"]] == [1, 2, 3, 4]
    assert all("valid_score" in row and row["loss"] > 0 for row in uninterrupted["rows"])


@pytest.mark.parametrize(
    ("monitor", "values", "best"), [("score", (0.1, 0.5, 0.3, 0.4), 1), ("loss", (0.4, 0.5, 0.2, 0.3), 2)]
)
def test_the_weights_of_the_best_epoch_are_kept(tmp_path, monitor, values, best):
    model, seen, script = toy_model(), [], scripted(*values, name=monitor)

    def validate():
        seen.append(model.get_weights())
        return script()

    loop = FitLoop(tmp_path)
    path = loop.run(stage(model, validate, monitor=monitor))
    for one, other in zip(best_weights(path), seen[best], strict=True):
        assert_array_equal(one, other)
    assert loop.metrics == {monitor: values[best]}
    assert [row[f"valid_{monitor}"] for row in loop.rows] == list(values)


def test_without_anything_to_validate_on_the_newest_weights_are_kept(tmp_path):
    model, loop = toy_model(), FitLoop(tmp_path)
    path = loop.run(stage(model))
    for one, other in zip(best_weights(path), model.get_weights(), strict=True):
        assert_array_equal(one, other)
    assert loop.metrics == {} and len(loop.rows) == 4


def test_the_first_epochs_are_not_validated_the_last_one_always_is(tmp_path):
    loop = FitLoop(tmp_path)
    loop.run(stage(toy_model(), scripted(0.1, 0.2), validate_from=2))
    assert ["valid_score" in row for row in loop.rows] == [False, False, True, True]
    loop = FitLoop(tmp_path)
    loop.run(stage(toy_model(), scripted(0.1), validate_from=9))
    assert ["valid_score" in row for row in loop.rows] == [False, False, False, True]


def test_epochs_before_the_first_validation_are_counted_in_each_stage(tmp_path):
    loop = FitLoop(tmp_path)
    loop.run(stage(toy_model(), scripted(0.1), epochs=2, validate_from=1, name="one"))
    loop.run(stage(toy_model(), scripted(0.2, 0.3), epochs=3, validate_from=1, name="two"))
    assert ["valid_score" in row for row in loop.rows] == [False, True, False, True, True]


def test_patience_ends_a_stage_for_good(tmp_path):
    loop = FitLoop(tmp_path)
    loop.run(stage(toy_model(), scripted(0.3, 0.2, 0.1), patience=2, epochs=9))
    assert len(loop.rows) == 3
    loop = FitLoop(tmp_path, resume=True)
    loop.run(stage(toy_model(), scripted(), patience=2, epochs=9))
    assert len(loop.rows) == 3 and loop.metrics == {"score": 0.3}


def test_patience_counts_over_resumes(tmp_path):
    def stop(epoch, logs):
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        FitLoop(tmp_path, after_epoch=stop).run(stage(toy_model(), scripted(0.3, 0.2), patience=2, epochs=9))
    loop = FitLoop(tmp_path, resume=True)
    loop.run(stage(toy_model(), scripted(0.1), patience=2, epochs=9))
    assert len(loop.rows) == 3


@pytest.mark.parametrize(("later", "kept"), [((0.4, 0.3), 0.5), ((0.4, 0.6), 0.6)], ids=["worse", "better"])
def test_the_start_of_a_stage_is_the_one_to_beat(tmp_path, later, kept):
    model, loop = toy_model(), FitLoop(tmp_path)
    before = model.get_weights()
    path = loop.run(stage(model, scripted(*later), epochs=2, start=lambda: {"score": 0.5}))
    assert loop.metrics == {"score": kept}
    assert (kept == 0.5) == all(np.array_equal(one, other) for one, other in zip(best_weights(path), before))


def test_a_loss_that_is_no_number_stops_at_its_step_and_leaves_the_epoch_before(tmp_path):
    def wrong(first, stop):
        return toy_batches(first, stop, wrong_at=(2, 1))

    with pytest.raises(TfrecError, match=r"became nan at step 2 of the epoch.*--resume"):
        FitLoop(tmp_path).run(stage(toy_model(), scripted(0.1, 0.2, 0.3), batches=wrong))
    assert len(read_csv(tmp_path)) == 2
    resumed = FitLoop(tmp_path, resume=True)
    resumed.run(stage(toy_model(), scripted(0.3, 0.4)))
    whole = FitLoop(tmp_path / "whole")
    whole.run(stage(toy_model(), scripted(0.1, 0.2, 0.3, 0.4)))
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]


def slow_model(clock, *seconds):
    """A model whose epochs take so long."""
    model, left = toy_model(), iter([second / STEPS for second in seconds for _ in range(STEPS)])
    step = model.train_step

    def train_step(data):
        clock.now += next(left)
        return step(data)

    model.train_step = train_step
    return model


BUDGETS = [
    ((10, 10, 10, 10, 10), 35, 3),  # after the third, a fourth would end at 40
    ((20, 5, 5, 5, 5), 45, 3),  # after the third, one as long as the first would end at 50
    ((50, 1, 1, 1, 1), 1, 1),  # within the first epoch
    ((1, 1, 1, 1, 1), 1000, 5),
]


@pytest.mark.parametrize(("seconds", "budget", "epochs"), BUDGETS)
def test_a_time_budget_has_room_for_another_epoch_as_long_as_the_longest(tmp_path, clock, seconds, budget, epochs):
    loop = FitLoop(tmp_path, time_budget=budget / 60)
    loop.run(stage(slow_model(clock, *seconds), scripted(*seconds), validate_from=5, epochs=5))
    assert len(loop.rows) == epochs
    assert "valid_score" in loop.rows[-1]


@pytest.mark.parametrize(("seconds", "budget", "steps"), [((10, 10), 4, 1), ((2, 40), 20, 3), ((10, 10), 20, 4)])
def test_an_epoch_ends_within_it_where_the_budget_does(tmp_path, clock, seconds, budget, steps):
    model = slow_model(clock, *seconds)
    loop = FitLoop(tmp_path, time_budget=budget / 60)
    loop.run(stage(model, scripted(0.1, 0.2), epochs=2))
    assert int(model.optimizer.iterations) == steps
    assert "valid_score" in loop.rows[-1]  # the weights that there are then are validated
    resumed = FitLoop(tmp_path, resume=True, time_budget=budget / 60)
    resumed.run(stage(toy_model(), scripted(), epochs=2))
    assert len(resumed.rows) == len(loop.rows)  # it is over


@pytest.mark.parametrize(("seconds", "budget", "epochs"), BUDGETS[:2])
def test_a_time_budget_counts_over_resumes(tmp_path, clock, seconds, budget, epochs):
    def stop(epoch, logs):
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        first = FitLoop(tmp_path, time_budget=budget / 60, after_epoch=stop)
        first.run(stage(slow_model(clock, *seconds), epochs=5))
    clock.now += 10_000  # until somebody resumes it
    loop = FitLoop(tmp_path, resume=True, time_budget=budget / 60)
    loop.run(stage(slow_model(clock, *seconds[2:]), epochs=5))
    assert len(loop.rows) == epochs


def test_a_time_budget_is_that_of_all_stages(tmp_path, clock):
    loop = FitLoop(tmp_path, time_budget=45 / 60)
    loop.run(stage(slow_model(clock, 10, 10), epochs=2, name="one"))
    loop.run(stage(slow_model(clock, 10, 10, 10), epochs=3, name="two"))
    assert len(loop.rows) == 4


def test_what_is_called_after_an_epoch_gets_its_numbers_and_finds_it_done(tmp_path):
    told = []

    def stop(epoch, logs):
        told.append((epoch, logs["valid_score"]))
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        FitLoop(tmp_path, after_epoch=stop).run(stage(toy_model(), scripted(0.1, 0.2)))
    loop = FitLoop(tmp_path, resume=True)
    loop.run(stage(toy_model(), scripted(0.3, 0.4)))
    assert told == [(0, 0.1), (1, 0.2)]
    assert [row["valid_score"] for row in loop.rows] == [0.1, 0.2, 0.3, 0.4]


def test_a_checkpoint_of_another_model_is_not_taken_for_this_ones(tmp_path):
    FitLoop(tmp_path).run(stage(toy_model(), epochs=1))
    wider = keras.Sequential([keras.layers.Dense(1, input_shape=(2,)), keras.layers.Dense(1)])
    wider.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    with pytest.raises(InvalidInput, match="cannot be read .*Start again with --force"):
        FitLoop(tmp_path, resume=True).run(stage(wider, epochs=2))


def test_curves_are_drawn_for_each_stage(tmp_path):
    loop = FitLoop(tmp_path)
    for name in ("one", "two"):
        loop.run(stage(toy_model(), epochs=1, name=name))
    assert {path.relative_to(tmp_path / "tensorboard").parts[0] for path in tmp_path.rglob("events.out.*")} == {
        "one",
        "two",
    }


@pytest.mark.parametrize("damage", [truncated, emptied, of_another_type])
def test_a_damaged_checkpoint_is_told_from_none_and_says_what_to_do(tmp_path, damage):
    checkpoint = checkpoint_folder.CheckpointFolder(tmp_path, value=tf.Variable([1.0, 2.0]))
    checkpoint.write("epoch-1", {"epoch": 1})
    for name in ("state.json", "epoch-1.index", "epoch-1.data-00000-of-00001"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(damage(content))
        with pytest.raises(InvalidInput, match="Start again with --force"):
            checkpoint.read()
        (tmp_path / name).write_bytes(content)
    assert checkpoint.read()["epoch"] == 1
