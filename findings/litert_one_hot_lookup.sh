#!/usr/bin/env bash
# TensorFlow 2.21.0's LiteRT converter: a product with tf.one_hot has no row for -1 any more.
#
# Guess: tf.one_hot(-1, n) is a row of zeros, so its product with a table is 0, converted or not.
# Seen: the product becomes EMBEDDING_LOOKUP, which raises "index out of bounds" at -1. Padding with -1, which is common in
# recommenders, works in TensorFlow and in TensorFlow Serving, and is an error on the device.
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


def lookup(rows, table):
    return tf.matmul(tf.one_hot(rows, 3), table)


table, rows = np.arange(1, 7, dtype=np.float32).reshape(3, 2), np.array([2, -1, 0], np.int32)
print("TensorFlow:", lookup(rows, table).numpy().tolist())
ops, call = converted(lookup, ("rows", rows), ("table", table))
print(ops)
try:
    print("LiteRT:", call().tolist())
except RuntimeError as error:
    print("LiteRT:", error)
    if "out of bounds" not in str(error) or ops != ["EMBEDDING_LOOKUP"]:
        raise SystemExit("CHANGED: the error")
    print("as found")
else:
    raise SystemExit("CHANGED: no error")
PYTHON
