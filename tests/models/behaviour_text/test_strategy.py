"""The fit of BehaviourTextModel in bfloat16 and on two devices."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, pathlib
import tfrec
import numpy as np, polars as pl, tensorflow as tf

if sys.argv[3] == "mirrored":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.keras import keras
from tfrec.models.behaviour_text.fit import fit_behaviour_text

folder = pathlib.Path(sys.argv[1])
rows = [(f"u{u}", f"i{(u + s) % 5}", "view", s) for u in range(9) for s in range(5)]
events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
items = pl.DataFrame({"item_id": [f"i{i}" for i in range(5)], "title": ["tea", "hat", "soap", "lamp", "cake"]})
dataset = prepare(events, items, folder / "data", split="leave-one-out")
options = ["model.text_tokens=8", "model.mlp_units=[8]", "training.epochs=1", "training.encoder_epochs=1"]
options += ["training.batch_size=7", "encoder.batch_size=5", "encoder.trainable=true", f"encoder.name={sys.argv[2]}"]
options += [f"model.head={sys.argv[4]}"]
options += ["training.mixed_bfloat16=true"] if sys.argv[3] == "bfloat16" else ["training.strategy=mirrored"]
result = fit_behaviour_text(dataset, RunConfig().with_values(options), workdir=folder)
assert len(result.history) == 2 and all(np.isfinite(row["loss"]) for row in result.history), result.history
inputs = {name: tf.constant(["viewed: tea", ""]) for name in result.model.input_names}
before = result.model(inputs).numpy()
assert np.isfinite(before).all() and before.dtype == np.float32
hidden = result.model.mlp.get_layer("hidden_0")
assert hidden.compute_dtype == ("bfloat16" if sys.argv[3] == "bfloat16" else "float32")
assert all(weight.dtype in (tf.float32, tf.int32) for weight in result.model.weights)
print("FITTED")
"""


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("how", ["bfloat16", "mirrored"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_both_stages_fit(tiny_encoder, tmp_path, how, head):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(tiny_encoder), how, head]
    found = subprocess.run(command, cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True)
    assert "FITTED" in found.stdout, found.stderr[-3000:]
