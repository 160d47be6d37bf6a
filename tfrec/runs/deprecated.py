"""Deprecated names of this package; CONTRIBUTING.md says how long they stay."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.runs.evaluate import evaluate
from tfrec.runs.run import Run


def evaluate_run(
    run: Run,
    dataset: PreparedDataset,
    split: str = schema.TEST,
    out: str | Path | None = None,
    *,
    trained_baselines: bool = False,
    ranker: Run | None = None,
) -> dict[str, Any]:
    """Deprecated: use `evaluate`, which also accepts folders."""
    warnings.warn(
        "evaluate_run is deprecated and goes in tfrec 0.4; use evaluate(run, data).", DeprecationWarning, stacklevel=2
    )
    return evaluate(run, dataset, split, out, trained_baselines=trained_baselines, ranker=ranker)
