"""Trains from a run of other catalogues and anew, and keeps the fresh model only if validation says it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import TextEncoder
from tfrec.errors import InvalidInput
from tfrec.evaluation.significance import paired_difference
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.fit import fit_frozen
from tfrec.models.next_item.score_weights.choice import balance
from tfrec.models.next_item.warm_start import moves
from tfrec.models.shared.modalities import Modality
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import ENCODER_FOLDER

TRANSFERRED, FRESH = "transferred", "fresh"


def fit_transferred(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    *,
    workdir: Path,
    earlier: TrainedRun,
    resume: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    shortened: np.ndarray | None = None,
    modalities: Sequence[Modality] = (),
) -> FitResult:
    """Trains from the earlier run and then anew, each with half of the time budget, and keeps the better model.

    Both are also measured before their training: the first is then what the run knew elsewhere, the second text
    neighbours and counts alone. Each keeps its network only where it is worth its training (`worth_its_training`). What
    was learnt elsewhere often helps where data are scarce and adds nothing where there are plenty.

    Args:
        dataset, text_vectors, config, workdir, resume, after_epoch, shortened, modalities: As for `fit_next_item`.
        earlier: The run of `training.start_from`, which comes into another catalogue.

    Returns:
        The fresh model if it is ahead by a standard error, else the transferred one; `start` says which it is, and how
        good the others are.
    """
    starts: dict[str, TrainedRun | None] = {TRANSFERRED: earlier, FRESH: None}
    if not len(dataset.queries(schema.VALID)):
        say("There are no validation queries, so training starts from the run without a comparison")
        del starts[FRESH]
    monitor = "loss" if config.training.monitor == "loss" else "ndcg@10"
    loop = FitLoop(workdir, resume=resume, time_budget=config.training.time_budget, after_epoch=after_epoch)
    results, trained, ndcg = {}, {}, {}
    for number, (name, run) in enumerate(starts.items(), 1):
        before = len(loop.rows)
        options: dict[str, Any] = {"stage": name, "budget": number / len(starts), "modalities": modalities}
        result = fit_frozen(dataset, text_vectors, config, loop, shortened=shortened, earlier=run, **options)
        epochs = [row.get(f"valid_{monitor}") for row in loop.rows[before:]]
        trained[name] = not result.metrics_valid or result.metrics_valid[monitor] in epochs
        kept = balance(result, dataset, config)
        if kept is not None:
            ndcg[name] = kept.ndcg
        results[name] = result
    return _better(results, trained, "ndcg@10" if config.training.balance else monitor, ndcg)


def _better(
    results: dict[str, FitResult], trained: dict[str, bool], monitor: str, ndcg: Mapping[str, np.ndarray]
) -> FitResult:
    """The better result, with all of the history and what was compared.

    Args:
        results: The transferred one, and the fresh one if there is a comparison.
        trained: Whether each is an epoch of its training; if not, it is what it was before.
        monitor: The metric by which they are compared.
        ndcg: NDCG@10 of each validation query, `[queries]`. The fresh one then has to be ahead by a standard error of
            the paired differences. Empty: the better metric wins, and the first of equal ones.
    """
    values = {name: result.metrics_valid.get(monitor, 0.0) for name, result in results.items()}
    compared: dict[str, Any] = {}
    if len(ndcg) == 2:
        difference, error = paired_difference(ndcg[FRESH], ndcg[TRANSFERRED])
        chosen = FRESH if error is not None and difference > error else TRANSFERRED
        compared = {"difference": difference, "standard_error": error}
    else:
        sign = -1.0 if monitor == "loss" else 1.0
        chosen = max(values, key=lambda name: sign * values[name])
    result = results[chosen]
    result.history = list(results.values())[-1].history
    result.start = {"chosen": chosen, "trained": trained[chosen], f"valid_{monitor}": values, **compared}
    shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    say(f"Kept: {chosen}{'' if trained[chosen] else ', as it was before training'} ({monitor} on validation: {shown})")
    return result


def refuse_other_encoder(
    run: TrainedRun, dataset: PreparedDataset, encoder: TextEncoder | None, config: RunConfig
) -> None:
    """Raises `InvalidInput` if the run comes into another catalogue whose texts another encoder reads."""
    if encoder is None or not moves(run, dataset) or run.trained_with(encoder):
        return
    tuned = run.path / ENCODER_FOLDER
    theirs = tuned if tuned.is_dir() else run.manifest["encoder"]
    raise InvalidInput(
        f"training.start_from: {run.path} reads texts with the encoder {theirs} (hash "
        f"{str(run.manifest['encoder_hash'])[:12]}), this training with {config.encoder.name} (hash "
        f"{encoder.hash[:12]}). Pass --encoder {theirs}, or train without training.start_from."
    )
