"""The rows of a table in several processes, beside one shard in this one, and its optimizer beside TensorFlow's."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import os  # isort: skip
import signal

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import ClusterConfig
from tfrec.errors import Unavailable
from tfrec.keras import keras
from tfrec.training.row_shard import RowShard, first_rows
from tfrec.training.sharded_rows import sharded_rows


def test_rows_of_one_number_are_updated_as_by_adagrad_of_keras():
    """In rows of width 1 the mean of squares is the square, and row-wise Adagrad is Adagrad."""
    import tensorflow as tf

    shard, table = RowShard(0, 6, 1, 0.1, 3), tf.Variable(first_rows(0, 6, 1, 0.1, 3))
    optimizer, rng = (
        keras.optimizers.Adagrad(0.05, initial_accumulator_value=0.0, epsilon=1e-8),
        np.random.default_rng(0),
    )
    for _ in range(5):
        rows, gradients = rng.choice(6, 3, replace=False), rng.normal(size=(3, 1)).astype(np.float32)
        shard.update(rows, gradients, 0.05)
        optimizer.apply_gradients([(tf.IndexedSlices(gradients, rows, [6, 1]), table)])
    assert_allclose(shard.gather(np.arange(6)), table.numpy(), atol=1e-6)


def test_what_a_row_starts_with_depends_on_its_number_alone():
    whole = first_rows(0, 10_000, 3, 0.02, 7)
    assert whole.std() == pytest.approx(0.02, rel=0.05)
    for start, stop in ((0, 5), (4000, 4100), (4096, 8192), (8000, 10_000)):
        assert_array_equal(first_rows(start, stop, 3, 0.02, 7), whole[start:stop])
    assert not first_rows(0, 5, 3, 0.0, 7).any()


def test_the_rows_of_two_processes_are_those_of_one_shard_until_a_process_dies(tmp_path):
    one, rng = RowShard(0, 11, 4, 0.02, 1), np.random.default_rng(0)
    every = np.arange(11)
    with (
        pytest.raises(Unavailable, match=r"part of the item table has died: .* exit code -9.*--resume"),
        sharded_rows(ClusterConfig(table_shards=2), 11, 4, 0.02, 1) as rows,
    ):
        for _ in range(3):
            used, gradients = rng.choice(11, 6, replace=False), rng.normal(size=(6, 4)).astype(np.float32)
            for each in (one, rows):
                each.update(used, gradients, 0.1)
        assert rows.shape == (11, 4)
        assert_array_equal(rows[every], one.rows)
        assert_array_equal(rows[np.array([[10, 0], [3, 3]])], one.rows[[[10, 0], [3, 3]]])
        rows.save(tmp_path / "epoch-1")
        rows[np.array([9, 2])] = np.ones((2, 4), np.float32)
        assert_array_equal(rows[np.array([2, 3, 9])], [np.ones(4), one.rows[3], np.ones(4)])
        with pytest.raises(IndexError):  # what goes wrong there is raised here
            rows._shards[0].call("gather", np.array([99]))()
        rows.restore(tmp_path / "epoch-1")
        assert_array_equal(rows[every], one.rows)
        os.kill(rows._shards[1].pid, signal.SIGKILL)
        rows[every]
    whole = RowShard(0, 11, 4)
    whole.read(tmp_path / "epoch-1.rows.npy", tmp_path / "epoch-1.squares.npy")
    assert_array_equal(whole.squares, one.squares)
