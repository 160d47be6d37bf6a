#!/usr/bin/env bash
# tf_keras 2.21.0: clipnorm measures the gradient of an embedding before rows of the same id are added up.
#
# Guess: a gradient of norm 4 (four events on one item, 1 each) is clipped to 1, sparse or dense.
# Seen: the sparse gradient holds four rows of 1, whose norm is 2. It is divided by 2 and not by 4, and the four rows are
# added afterwards: the step is 2 long with clipnorm=1. The same gradient as a dense tensor makes a step of 1.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0 tf_keras==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>/dev/null <<'PYTHON'
import tensorflow as tf
import tf_keras as keras


def step(dense):
    """How far one step of plain SGD with clipnorm=1 moves the row of an item that four events are on."""
    table = tf.Variable(tf.zeros([3, 1]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(table, [2, 2, 2, 2]))
    gradient = tape.gradient(loss, table)
    if dense:
        gradient = tf.convert_to_tensor(gradient)
    keras.optimizers.SGD(1.0, clipnorm=1.0).apply_gradients([(gradient, table)])
    return -float(table[2, 0])


found = {"sparse": step(False), "dense": step(True)}
print(found)
if found != {"sparse": 2.0, "dense": 1.0}:
    raise SystemExit("CHANGED")
print("as found")
PYTHON
