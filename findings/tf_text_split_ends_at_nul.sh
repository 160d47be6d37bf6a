#!/usr/bin/env bash
# tensorflow-text 2.21.1: regex_split loses what stands after a NUL.
#
# Guess: strings of TensorFlow may hold any byte, so the parts and the delimiters together are the text.
# Seen: the text ends at the first NUL for regex_split, without an error; tf.strings.regex_replace and
# tf.strings.length, which use the same library for patterns, read all of it. A tokeniser made of it drops the rest.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0 tensorflow-text==2.21.1
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>/dev/null <<'PYTHON'
import tensorflow as tf
import tensorflow_text as tf_text

text = b"red\x00 shoe"
parts = tf_text.regex_split([text], " ", " ").to_list()[0]
replaced = tf.strings.regex_replace([text], " ", "_").numpy()[0]
print("regex_split:", parts, "regex_replace:", replaced, "length:", tf.strings.length([text]).numpy()[0])
if replaced != b"red\x00_shoe" or tf.strings.length([text]).numpy()[0] != len(text):
    raise SystemExit("CHANGED: the other ops")
if b"".join(parts) == text:
    raise SystemExit("CHANGED: nothing is lost")
print("as found")
PYTHON
