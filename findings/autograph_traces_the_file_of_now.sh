#!/usr/bin/env bash
# TensorFlow 2.21.0: a tf.function runs what its file says at the first call, not what was imported.
#
# Guess: the function that was imported is traced, x + 1, whatever becomes of its file.
# Seen: AutoGraph reads the source again when it traces. A file that was changed in between, as by a pull or an upgrade
# beneath a running training, is what runs: x + 2, without a word. Plain Python and autograph=False run x + 1.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0
cat > shop.py <<'PYTHON'
def price(x):
    return x + 1
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 PYTHONPATH=. venv/bin/python - 2>/dev/null <<'PYTHON'
from pathlib import Path

import shop
import tensorflow as tf

source = Path("shop.py")
source.write_text(source.read_text().replace("x + 1", "x + 2"))
one = tf.constant(0)
found = {
    "Python": int(shop.price(one)),
    "autograph=False": int(tf.function(shop.price, autograph=False)(one)),
    "tf.function": int(tf.function(shop.price)(one)),
}
print(found)
if found != {"Python": 1, "autograph=False": 1, "tf.function": 2}:
    raise SystemExit("CHANGED")
print("as found")
PYTHON
