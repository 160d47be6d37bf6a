#!/usr/bin/env bash
# cornac 3.0.1: GRU4Rec cannot be fitted to fewer sessions than its batch size, 512 by default.
#
# Guess: a small log trains in smaller batches, as with its SASRec.
# Seen: RuntimeError "Input batch size 100 doesn't match hidden0 batch size 512". The iterator gives the slots that have a
# session, the hidden state is made for all.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet cornac==3.0.1 torch
venv/bin/python - 2>/dev/null <<'PYTHON'
from cornac.data import SequentialDataset
from cornac.models import GRU4Rec, SASRec

events = [(user, user, (user * 7 + place) % 40, place) for user in range(100) for place in range(5)]


def fitted(model):
    try:
        model.fit(SequentialDataset.build(events, fmt="USIT"))
    except RuntimeError as error:
        return str(error)
    return "fitted"


found = [fitted(SASRec(n_epochs=1)), fitted(GRU4Rec(n_epochs=1, batch_size=50)), fitted(GRU4Rec(n_epochs=1))]
for name, seen in zip(("SASRec", "GRU4Rec, batches of 50", "GRU4Rec"), found, strict=True):
    print(f"{name}: {seen}")
if not (found[:2] == ["fitted"] * 2 and "batch size" in found[2]):
    raise SystemExit("CHANGED")
print("as found")
PYTHON
