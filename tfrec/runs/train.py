"""`train`: from a PreparedDataset and a configuration to a Run folder."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.encoders import TextEncoder, load_encoder
from tfrec.errors import InvalidInput
from tfrec.files import refuse_existing, write_json
from tfrec.models.baselines.segment_popularity import segment_counts
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.shared.item_features import embedding_columns, item_features, shortened_features, text_vectors_of
from tfrec.progress import say
from tfrec.retrieval import should_exclude_seen
from tfrec.runs.mlflow_tracking import record_run, store_of
from tfrec.runs.run import Run
from tfrec.runs.tensorboard_projector import item_space, write_projector
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import (
    CONFIG_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    SEGMENTS_FILE,
    TENSORBOARD_FOLDER,
    TEXT_VECTORS_FILE,
    WEIGHTS_FILE,
)
from tfrec.version import __version__

PINNED = ("tensorflow", "tf_keras", "tensorflow-text", "tensorflow-hub", "tensorflow-recommenders")


def train(
    data: PreparedDataset | str | Path,
    out: str | Path,
    config: ConfigSource = None,
    *,
    resume: bool = False,
    force: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
) -> Run:
    """Trains the model that `config.model.kind` names and writes the Run folder `out`.

    While it trains, the run lives in `OUT.partial`, with a checkpoint after every epoch; success renames it to `out`.

    Args:
        data: The prepared data to train on, or its folder.
        out: The run's folder. Must not exist, unless `force`.
        config: A RunConfig, a mapping of options such as {"training.epochs": 3} or a YAML file; None for the defaults.
            With `resume`, the interrupted run's own configuration holds.
        resume: Go on with `OUT.partial`.
        force: Replace `out`, and throw away an interrupted `OUT.partial`.
        after_epoch: next-item, frozen encoder: called with the epoch (from 0) and its metrics; may raise to stop.

    Returns:
        The finished Run.

    Raises:
        InvalidInput: `out` exists; there is nothing to resume; the dataset is not the one of the interrupted run; the
            users lack the column `retrieval.segment`.
        Unavailable: `tracking.mlflow` is set, and MLflow is not installed or its store does not answer.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    dataset, config = load_dataset(data), as_run_config(config)
    refuse_existing(out, force)
    if resume:
        config = _interrupted_config(partial, dataset)
    elif partial.exists() and not force:
        raise InvalidInput(f"{partial} holds an interrupted run. Pass --resume to go on, or --force to start again.")
    store = store_of(config.tracking)
    if partial.exists() and not resume:
        shutil.rmtree(partial)
    started = time.monotonic()
    try:
        if not resume:
            partial.mkdir(parents=True)
            config.save(partial / CONFIG_FILE)
            write_json(partial / "data.json", {"fingerprint": dataset.manifest["fingerprint"]})
            if config.retrieval.segment:
                segment_counts(dataset, config.retrieval.segment).write_parquet(partial / SEGMENTS_FILE)
        earlier = Run(config.training.start_from) if config.training.start_from else None
        encoder, text_vectors = _texts(dataset, config, partial)
        encoded = time.monotonic()
        if config.model.kind == "behaviour-text":
            from tfrec.models.behaviour_text.fit import fit_behaviour_text

            result = fit_behaviour_text(dataset, config, workdir=partial, resume=resume)
        elif config.model.kind == "click-ranker":
            from tfrec.models.click_ranker.fit import fit_click_ranker

            result = fit_click_ranker(dataset, text_vectors, config, workdir=partial, resume=resume)
        elif config.encoder.trainable:
            if columns := embedding_columns(dataset):
                raise InvalidInput(f"encoder.trainable reads text alone, the items have {columns}. Leave one out.")
            from tfrec.models.next_item.fit_end_to_end import fit_end_to_end

            result, encoder = fit_end_to_end(
                dataset, encoder, text_vectors, config, workdir=partial, resume=resume, earlier=earlier
            )
        else:
            features = item_features(dataset, text_vectors)
            shortened = None if encoder is None else shortened_features(dataset, encoder, config, features)
            result = fit_next_item(
                dataset,
                features,
                config,
                workdir=partial,
                resume=resume,
                after_epoch=after_epoch,
                shortened=shortened,
                earlier=earlier,
            )
        timings = {"encode_s": round(encoded - started, 1), "fit_s": round(time.monotonic() - encoded, 1)}
        _finish(partial, dataset, config, result, encoder.hash if encoder else None, timings)
    except BaseException:
        if not (partial / "checkpoint").exists():  # nothing to resume from: leave nothing
            shutil.rmtree(partial, ignore_errors=True)
        raise
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    record_run(store, out, config, result.history)
    return Run(out)


def _interrupted_config(partial: Path, dataset: PreparedDataset) -> RunConfig:
    from tfrec.files import read_json

    if not (partial / CONFIG_FILE).is_file():
        raise InvalidInput(f"There is no interrupted run to resume: {partial} does not exist. Leave --resume out.")
    expected = read_json(partial / "data.json")["fingerprint"]
    if expected != dataset.manifest["fingerprint"]:
        raise InvalidInput(f"{dataset.path} is not the dataset that {partial} was trained on. Pass that one.")
    return RunConfig.load(partial / CONFIG_FILE)


def _texts(dataset: PreparedDataset, config: RunConfig, partial: Path) -> tuple[TextEncoder | None, np.ndarray | None]:
    """The encoder, and, but for BehaviourTextModel, the catalogue's text vectors, which the run keeps."""
    knobs = config.model
    if knobs.kind != "behaviour-text" and not knobs.use_text:
        return None, None
    encoder = load_encoder(config.encoder.name, precision=config.encoder.precision)
    if knobs.kind == "behaviour-text":
        return encoder, None
    say(f"Text vectors of {dataset.num_items} items with {config.encoder.name}")
    vectors = text_vectors_of(dataset.texts, encoder, config)
    path = partial / TEXT_VECTORS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return encoder, vectors


def _finish(
    partial: Path,
    dataset: PreparedDataset,
    config: RunConfig,
    result: FitResult,
    encoder_hash: str | None,
    timings: dict[str, float],
) -> None:
    (partial / WEIGHTS_FILE).parent.mkdir(parents=True, exist_ok=True)
    result.model.save_weights(str(partial / WEIGHTS_FILE))
    dataset.items.write_parquet(partial / ITEMS_FILE)
    write_json(partial / "metrics_valid.json", result.metrics_valid)
    if (vectors := item_space(result.model)) is not None:
        write_projector(partial / TENSORBOARD_FOLDER, vectors, dataset.items, config.tracking.projector)
    shutil.rmtree(partial / "checkpoint", ignore_errors=True)
    (partial / "data.json").unlink(missing_ok=True)
    manifest: dict[str, Any] = {
        "kind": config.model.kind,
        "event_kinds": dataset.event_kinds,
        "model": result.model.get_config() if config.model.kind != "behaviour-text" else None,
        "data": dataset.manifest["fingerprint"],
        "split": dataset.manifest["split"],
        "encoder": config.encoder.name,
        "encoder_hash": encoder_hash,
        "seed": config.training.seed,
        "epochs": len(result.history),
        "timings": timings,
        "versions": {"tfrec": __version__, **{name: _version(name) for name in PINNED}},
        "exclude_seen": _exclude_seen(config, dataset),
        "git_commit": _git_commit(),
    }
    write_json(partial / MANIFEST_FILE, manifest)


def _exclude_seen(config: RunConfig, dataset: PreparedDataset) -> bool:
    """What the export will do with seen items; kept here because an export has no dataset to look at."""
    choice = config.retrieval.exclude_seen
    return should_exclude_seen(dataset) if choice == "auto" else choice == "true"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the code that trained, where it runs from a checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
