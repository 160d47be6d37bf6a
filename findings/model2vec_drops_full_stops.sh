#!/usr/bin/env bash
# tokenlearn-static-model 0.1.1: its own encoder counts full stops, model2vec 0.10.0 on the same files drops them.
#
# Guess: two readers of one folder (tokenizer.json and a table of vectors) give one vector.
# Seen: tokenizer.json has a Unigram model whose unk_id is the piece ".". model2vec leaves out every token with the id of
# the unknown one, and so all full stops that are full stops.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tokenlearn-static-model==0.1.1 model2vec==0.10.0
venv/bin/python - 2>/dev/null <<'PYTHON'
import json
from pathlib import Path

import numpy as np
import static_model
from model2vec import StaticModel

folder = Path(static_model.__file__).parent / "model"
model = json.loads((folder / "tokenizer.json").read_text())["model"]
print("the unknown piece is", model["vocab"][model["unk_id"]])
read = StaticModel.from_pretrained(str(folder), normalize=True)


def cosine(text):
    own, other = np.asarray(static_model.get_embeddings([text]))[0], read.encode([text])[0]
    return float(own @ other / np.linalg.norm(own) / np.linalg.norm(other))


plain, stops = cosine("red shoes"), cosine("red shoes. new.")
print(f"cosine of the two encoders: {plain:.4f} without a full stop, {stops:.4f} with two")
if not (plain > 0.9999 and stops < 0.99):
    raise SystemExit("CHANGED")
print("as found")
PYTHON
