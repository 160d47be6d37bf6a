#!/usr/bin/env bash
# RecTools 0.19.0: EASEModel sums rows of its weights where the paper sums columns.
#
# Guess: the score of item j for a person is the sum of B[i, j] over the person's items i (Steck 2019, equation 8), as the
# weights are those of the paper.
# Seen: it is the sum of B[j, i]. B is not symmetric (column j is divided by P[j, j]), so lists are in another order. The
# ranker multiplies by the rows of what it is given, as for item factors; `recommend_to_items` has it right.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet rectools==0.19.0
venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import pandas as pd
from rectools.dataset import Dataset
from rectools.models import EASEModel

draw = np.random.default_rng(0)
pairs = [(user, item) for user in range(30) for item in set((draw.zipf(1.5, 6) - 1) % 8)]
events = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(weight=1.0, datetime="2020-01-01")
data = Dataset.construct(events)
model = EASEModel(regularization=1.0).fit(data)

taken = data.get_user_item_matrix().toarray()
inverse = np.linalg.inv(taken.T @ taken + np.eye(taken.shape[1]))
paper = -inverse / np.diag(inverse)
np.fill_diagonal(paper, 0)
lists = model.recommend(users=data.user_id_map.external_ids, dataset=data, k=8, filter_viewed=False)
users, items = data.user_id_map.convert_to_internal(lists.user_id), data.item_id_map.convert_to_internal(lists.item_id)
same = {
    "weights": np.allclose(model.weight, paper, atol=1e-4),
    "sums of columns": np.allclose((taken @ paper)[users, items], lists.score, atol=1e-4),
    "sums of rows": np.allclose((taken @ paper.T)[users, items], lists.score, atol=1e-4),
}
first = lists[lists["rank"] == 1].set_index("user_id")["item_id"]
best = data.item_id_map.convert_to_external((taken @ paper).argmax(axis=1))
print("like the paper's:", same)
print("people with another first item than by the paper:", int((first.to_numpy() != best).sum()), "of", len(first))
if same != {"weights": True, "sums of columns": False, "sums of rows": True}:
    raise SystemExit("CHANGED")
print("as found")
PYTHON
