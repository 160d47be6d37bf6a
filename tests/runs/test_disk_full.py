"""A disk that fills up is one message with what is left, whichever library writes. The limit is the system's own."""

import errno
import resource
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from tests.unfitted_run import unfitted
from tfrec.encoders import import_encoder
from tfrec.errors import InvalidInput
from tfrec.files.disk_full import disk_full_is_told, is_disk_full
from tfrec.models.next_item.family import NextItemFamily
from tfrec.runs import Run, recommend, train
from tfrec.serving import export
from tfrec.serving.exporting.servable import Servable


@contextmanager
def files_end_at(size):
    """Within, a file cannot grow beyond `size` bytes: the error is EFBIG, as the others of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError("3200 requested and 1024 written"), True),
        (OSError("Can't write data (file write failed: errno = 28, error message = '…')"), True),
        (tf.errors.ResourceExhaustedError(None, None, "/x/variables; No space left on device"), True),
        (pl.exceptions.ComputeError("No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("os error 280"), False),
    ],
)
def test_each_library_s_words_for_a_full_disk_are_known(error, full):
    assert is_disk_full(error) is full
    expected, words = (InvalidInput, "No space left while writing runs/a; 3 files.") if full else (type(error), None)
    with pytest.raises(expected, match=words), disk_full_is_told("runs/a", lambda: "3 files."):
        raise error


@pytest.mark.slow
def test_training_on_a_full_disk_leaves_nothing_or_what_resume_takes(
    small_data,
    small_config,
    small_run,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(NextItemFamily, "fit", unfitted())
    half = (small_run / "weights/model.weights.h5").stat().st_size // 2
    with (
        files_end_at(half),
        pytest.raises(InvalidInput, match=r"No space left while writing .*run.partial; nothing was"),
    ):
        train(small_data, tmp_path / "run", small_config)
    assert not list(tmp_path.glob("run*"))

    def after_an_epoch(self, dataset, config, workdir, context):
        (workdir / "checkpoint").mkdir()
        np.save(workdir / "checkpoint/epoch.npy", np.zeros(2 * half))

    monkeypatch.setattr(NextItemFamily, "fit", after_an_epoch)
    with files_end_at(half), pytest.raises(InvalidInput, match=r"No space left .*continue with --resume"):
        train(small_data, tmp_path / "run", small_config)
    assert (tmp_path / "run.partial/checkpoint").is_dir()


def test_an_export_on_a_full_disk_leaves_nothing(small_run, tmp_path, monkeypatch):
    module = tf.Module()
    module.large = tf.Variable(np.zeros(100_000, np.float32))
    call = tf.function(lambda x: {"y": x + module.large[0]}, input_signature=[tf.TensorSpec([], tf.float32)])
    module.functions = {"serving_default": call.get_concrete_function()}
    monkeypatch.setattr("tfrec.serving.exporting.export._servable", lambda *_: Servable(module, {}, []))
    with (
        files_end_at(100_000),
        pytest.raises(InvalidInput, match=r"No space left while writing .*/1; nothing was written"),
    ):
        export(small_run, tmp_path / "models" / "shop")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_lists_and_encoders_on_a_full_disk_leave_nothing(small_run, small_data, tiny_hf_bert, tmp_path, monkeypatch):
    monkeypatch.setattr("tfrec.retrieval.top_items.track", lambda items, *_: items)  # pytest's own files have the limit
    with files_end_at(50_000), pytest.raises(InvalidInput, match=r"No space left while writing .*encoder; nothing was"):
        import_encoder(tiny_hf_bert, tmp_path / "encoder")
    with files_end_at(10), pytest.raises(InvalidInput, match=r"No space left while writing .*recs.csv; nothing was"):
        recommend(Run(small_run), small_data, k=2, out=tmp_path / "recs.csv")
    assert list(tmp_path.iterdir()) == []
