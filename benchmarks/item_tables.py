"""How much smaller are item vectors in int8 and as product codes, and what is left of NDCG@10?

Trains a next-item model with the defaults on Amazon Scientific in $TFREC_BENCH_DATA (else on MovieLens-100K), or takes
`--run` with its `--prepared` data, and evaluates it by full ranking with the vectors of `export.item_table` in the
place of its own, in histories and as candidates. Prints one JSON line; a ratio is the share of NDCG@10 that is left, on
the test split.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from compress import prepared
from peers import machine

SPLITS = ("valid", "test")


def measure(run: Any, dataset: Any) -> dict[str, Any]:
    """NDCG@10 with exact vectors, and for each kind of table how much smaller it is and what is left."""
    import tensorflow as tf

    from tfrec.models.next_item.scorer import NextItemScorer
    from tfrec.retrieval.approximate.compact_table import TABLES

    vectors = run.model.history_vectors().numpy()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    scorer = NextItemScorer(run.model)
    queries = {split: dataset.queries(split) for split in SPLITS}
    exact = {split: _ndcg(scorer, vectors, each) for split, each in queries.items()}
    figures: dict[str, Any] = {"items": len(unit), "dim": unit.shape[1], "ndcg@10": exact}
    for kind, table_class in TABLES.items():
        table = table_class(unit)
        held = table.rows(tf.range(len(unit))).numpy() * lengths
        left = {split: round(_ndcg(scorer, held, each) / exact[split], 4) for split, each in queries.items()}
        figures[kind] = {"times_smaller": round(unit.nbytes / table.nbytes, 1), "left": left}
    return figures


def _ndcg(scorer: Any, vectors: np.ndarray, queries: Any) -> float:
    import tensorflow as tf

    from tfrec.evaluation import evaluate_ranking

    scorer._vectors = tf.constant(vectors, tf.float32)
    return float(evaluate_ranking(scorer, queries, num_items=scorer.num_items).metrics["ndcg@10"])


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="amazon_scientific", help="data set in $TFREC_BENCH_DATA")
    parser.add_argument("--run", help="a next-item run, instead of training one")
    parser.add_argument("--prepared", help="the prepared data of --run")
    options = parser.parse_args()
    import tfrec
    from tfrec.data.dataset import load_dataset

    with tempfile.TemporaryDirectory() as folder:
        dataset = load_dataset(options.prepared) if options.run else prepared(options.data, Path(folder))
        run = tfrec.load_run(options.run) if options.run else tfrec.train(dataset, Path(folder) / "run")
        figures = measure(run, dataset)
    ratios = {kind: figures[kind]["left"]["test"] for kind in ("int8", "pq")}
    print(json.dumps({"benchmark": "item_tables", "ratios": ratios, "figures": figures, "machine": machine()}))


if __name__ == "__main__":
    main()
