#!/usr/bin/env bash
# TensorFlow 2.21.0's LiteRT converter: tf.tensor_scatter_nd_add gives other sums where many updates are at one place.
#
# Guess: a converted program adds the same numbers, in another order at most.
# Seen: the op becomes gather, add, scatter, subtract: the old value is added once for each update, and then taken off as
# often as there are updates. In float32, 20,000 updates of 0 make .0967 of .03. With four updates nothing is seen.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter


def converted(function, *values):
    """Ops of the LiteRT program that the converter makes, and a call of it."""
    graph = tf.function(function).get_concrete_function(*(tf.TensorSpec(v.shape, v.dtype, n) for n, v in values))
    program = Interpreter(model_content=tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert())
    program.allocate_tensors()
    for detail in program.get_input_details():
        program.set_tensor(detail["index"], dict(values)[detail["name"]])

    def call():
        program.invoke()
        return program.get_tensor(program.get_output_details()[0]["index"])

    return [op["op_name"] for op in program._get_ops_details()], call


def scatter(table, rows, updates):
    return tf.tensor_scatter_nd_add(table, rows, updates)


table, many = np.array([0.03, 0.5], np.float32), 20_000
changed = {}
for updates in (4, many):
    rows, zeros = np.zeros((updates, 1), np.int32), np.zeros(updates, np.float32)
    ops, call = converted(scatter, ("table", table), ("rows", rows), ("updates", zeros))
    changed[updates] = float(call()[0])
    print(updates, "updates of 0: TensorFlow", float(scatter(table, rows, zeros)[0]), "LiteRT", changed[updates])
print(ops)
if not (abs(changed[4] - 0.03) < 1e-6 and changed[many] > 0.05):
    raise SystemExit("CHANGED")
print("as found")
PYTHON
