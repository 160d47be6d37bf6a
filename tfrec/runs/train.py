"""`train`: trains a model on a prepared dataset and writes a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.cluster.ray_training import train_on_workers
from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset
from tfrec.data.joined_datasets import JoinedDatasets, load_datasets
from tfrec.encoders import ImageEncoder, TextEncoder, load_image_encoder
from tfrec.encoders.encoder_on_workers import EncoderOnWorkers
from tfrec.encoders.load import load_configured
from tfrec.errors import InvalidInput
from tfrec.files import check_output_folder, write_json, write_text
from tfrec.files.checksums import checksums
from tfrec.files.disk_full import disk_full_is_told
from tfrec.files.stored_folder import FILES, read_table
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.models.baselines.segment_popularity import segment_counts
from tfrec.models.family import Ability, FitContext, ModelFamily, named_weights
from tfrec.models.registry import families_with, family_of
from tfrec.models.shared.item_features import image_vectors_of, store_text_vectors, text_vectors_of
from tfrec.privacy.ledger import PRIVACY
from tfrec.progress import say
from tfrec.runs.manifest import manifest_of
from tfrec.runs.mlflow_tracking import mlflow_store, record_run
from tfrec.runs.model_card import MODEL_CARD_FILE, model_card
from tfrec.runs.partial_run import PartialRun
from tfrec.runs.run import Run
from tfrec.runs.tensorboard_projector import write_projector
from tfrec.runs.worker_process import train_in_worker, training_job
from tfrec.training.distribution import strategy
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import (
    CHECKPOINT_FOLDER,
    DATA_FILE,
    HISTORY_FILE,
    IMAGE_VECTORS_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    METRICS_VALID_FILE,
    RUN_OUTPUT,
    SEGMENTS_FILE,
    TENSORBOARD_FOLDER,
    TEXT_VECTORS_FILE,
    WEIGHTS_FILE,
)

_NOT_OF_THE_RUN = (MANIFEST_FILE, DATA_FILE, CHECKPOINT_FOLDER, TENSORBOARD_FOLDER)
"""What the manifest of a run does not list: itself, what publishing removes, and logs that nothing reads back."""


def train(
    data: PreparedDataset | str | Path | Sequence[PreparedDataset | str | Path],
    out: str | Path,
    config: ConfigSource = None,
    *,
    resume: bool = False,
    force: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
) -> Run:
    """Trains a model of the family `config.model.kind` and writes the run folder `out`.

    During training the run is in `OUT.partial`, with a checkpoint after every epoch; on success it is renamed to `out`.

    Args:
        data: The prepared data to train on, or its folder. With several, one model is trained on all of them, which
            reads items by their text alone and can be used on other catalogues (`recommend`, `training.start_from`).
        out: The run's folder. It must not exist, unless `force`.
        config: A RunConfig, a mapping of options such as {"training.epochs": 3} or a YAML file; None for the defaults.
            With `resume` it is ignored, and the interrupted run's configuration is used.
        resume: Whether to continue the interrupted run in `OUT.partial`.
        force: Whether to replace a run `out` and an interrupted one in `OUT.partial`. Other folders are never replaced.
        after_epoch: Called after each epoch with its number (from 0) and its metrics; may raise to stop. Used only by
            the families that `tfrec tune` supports.

    Returns:
        The finished Run.

    Raises:
        InvalidInput: `out` exists or cannot be written, another process is training it, there is nothing to resume, the
            interrupted run was trained on another dataset, the user table lacks the column `retrieval.segment`, or the
            model cannot start from `training.start_from`. With several datasets: one is given twice, their splits
            differ, or an option does not go with them. With `privacy` on: an option that cannot be private, or ε or
            δ that do not fit the data.
        Unavailable: `tracking.mlflow` is set, but MLflow is not installed or its store does not answer.
    """
    check_output_folder(out, RUN_OUTPUT, force)
    partial, datasets = PartialRun(Path(out)), load_datasets(data)
    given = as_run_config(config)
    _refuse_shards_elsewhere(given)
    if given.cluster.engine == "ray" and not given.cluster.table_shards:
        return _train_on_cluster(datasets, Path(out), given, resume=resume, force=force)
    dataset = datasets[0] if len(datasets) == 1 else JoinedDatasets(datasets)
    if resume:
        settings = partial.config_to_resume(dataset)
        _refuse_other_privacy(as_run_config(config), settings)
    else:
        settings = as_run_config(config)
        if settings.privacy.on:
            settings = family_of(settings.model.kind).as_private(settings)
        if dataset.domains:
            settings = family_of(settings.model.kind).as_domain_free(settings)
        partial.refuse_existing(force)
    strategy(settings.training.strategy)  # that of several workers has to come before anything is computed
    store = mlflow_store(settings.tracking)
    with (
        disk_full_is_told(partial.folder, partial.what_is_kept),
        partial.locked() if resume else partial.begun_with(dataset, settings, force),
    ):
        if not partial.is_complete:
            try:
                _train(dataset, partial.folder, settings, resume, after_epoch)
            except BaseException:
                partial.discard_if_nothing_to_resume()
                raise
        partial.publish(force)
    record_run(store, partial.out, settings, _history(partial.out))
    return Run(out)


def _train_on_cluster(
    datasets: Sequence[PreparedDataset], out: Path, config: RunConfig, *, resume: bool, force: bool
) -> Run:
    """Trains in several processes of a cluster; the other arguments are those of `train`."""
    job = training_job([each.path for each in datasets], out, config, resume=resume, force=force)
    if family_of(config.model.kind).reads_text_vectors(config):  # else each process would encode the whole catalogue
        encoder = _shared(load_configured(config.encoder), config)
        for dataset in datasets:
            store_text_vectors(dataset.texts, encoder, config)
    train_on_workers(_train_in_worker, job, config.cluster)
    return Run(out)


def _refuse_shards_elsewhere(config: RunConfig) -> None:
    frozen = config.model.kind == "next-item" and not config.encoder.trainable and not config.privacy.on
    if config.cluster.table_shards and not frozen:
        raise InvalidInput(
            "cluster.table_shards holds the id vectors of next-item models whose encoder is frozen, without privacy. "
            f"Received model.kind={config.model.kind}, encoder.trainable={config.encoder.trainable}, "
            f"privacy {'on' if config.privacy.on else 'off'}. Leave it out."
        )


def _train_in_worker(job: dict[str, Any]) -> None:
    train_in_worker(train, job)


def _refuse_other_privacy(given: RunConfig, interrupted: RunConfig) -> None:
    """The noise of the epochs that are done cannot be changed any more, so what is given must be what there was."""
    if given.privacy not in (RunConfig().privacy, interrupted.privacy):
        raise InvalidInput(
            f"The interrupted run has other privacy settings: {interrupted.privacy!r}; received {given.privacy!r}. "
            "Leave them out to continue with those of the run, or start again with --force, without --resume."
        )


def _train(
    dataset: PreparedDataset,
    folder: Path,
    config: RunConfig,
    resume: bool,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None,
) -> None:
    """Fits the model and writes the run's files to `folder`, the manifest last."""
    started, family = time.monotonic(), family_of(config.model.kind)
    dataset = _as_read(dataset, config, family)
    if config.retrieval.segment:
        segment_counts(dataset, config.retrieval.segment).write_parquet(folder / SEGMENTS_FILE)
    earlier = _run_to_start_from(config)
    encoder, text_vectors = _encoded_texts(dataset, config, family, folder)
    image_encoder, image_vectors = _encoded_images(dataset, config, family, folder)
    encoded = time.monotonic()
    teachers = _runs_to_learn_from(config)
    context = FitContext(encoder, text_vectors, image_vectors, earlier, teachers, resume, after_epoch)
    result = family.fit(dataset, config, folder, context)
    timings = {"encode_s": round(encoded - started, 1), "fit_s": round(time.monotonic() - encoded, 1)}
    _save(folder, dataset, config, family, result)
    manifest = manifest_of(dataset, config, family.model_config(result.model), result.encoder or encoder, image_encoder)
    card = model_card(config, manifest, result.ledger, dataset.num_items)
    write_text(folder / MODEL_CARD_FILE, card)
    manifest |= {"epochs": len(result.history), "timings": timings, FILES: checksums(folder, _NOT_OF_THE_RUN)}
    if result.start is not None:
        manifest["start"] = {**result.start, "from": config.training.start_from}
    if result.score_weights is not None:
        manifest["score_weights"] = result.score_weights
    if result.elsewhere is not None:
        manifest["elsewhere"] = result.elsewhere
    if teachers:
        manifest["teachers"] = [_named(run) for run in teachers]
    if result.ledger is not None:
        manifest[PRIVACY] = result.ledger.seal(manifest[FILES])
    write_json(folder / MANIFEST_FILE, manifest)


def _as_read(dataset: PreparedDataset, config: RunConfig, family: ModelFamily) -> PreparedDataset:
    """The dataset as the family's models read it; of several, each."""
    if isinstance(dataset, JoinedDatasets):
        return JoinedDatasets([family.read_by(config, each) for each in dataset.datasets])
    return family.read_by(config, dataset)


def _run_to_start_from(config: RunConfig) -> Run | None:
    """The run that `training.start_from` names; None without it."""
    path, kind = config.training.start_from, config.model.kind
    if path is None:
        return None
    if not family_of(kind).can(Ability.WARM_START, config):
        raise InvalidInput(
            f"training.start_from: {kind} models do not start from another run, {families_with(Ability.WARM_START)} "
            "models do. Leave it out."
        )
    return _run_of_kind("training.start_from", path, kind)


def _runs_to_learn_from(config: RunConfig) -> list[Run]:
    """The runs that `training.teachers` names."""
    paths, kind = config.training.teachers, config.model.kind
    if paths and not family_of(kind).can(Ability.LEARN_FROM_RUNS, config):
        raise InvalidInput(
            f"training.teachers: only {families_with(Ability.LEARN_FROM_RUNS)} models learn from other runs, and not "
            "with encoder.trainable, privacy or training.start_from. Leave it out."
        )
    return [_run_of_kind("training.teachers", path, kind) for path in paths]


def _named(run: Run) -> dict[str, str | None]:
    """A run by its path and the hash of its weights; null for one of an older version, which lists no hashes."""
    return {"run": str(run.path), "weights": run.manifest.get(FILES, {}).get(WEIGHTS_FILE)}


def _run_of_kind(option: str, path: str, kind: str) -> Run:
    run = Run(path)
    if run.kind != kind:
        raise InvalidInput(f"{option}: expected a {kind} run; {run.path} is a {run.kind} run.")
    return run


def _shared(encoder: TextEncoder, config: RunConfig) -> TextEncoder | EncoderOnWorkers:
    """The encoder, or the workers of a cluster in its place."""
    if config.cluster.engine == "none":
        return encoder
    return EncoderOnWorkers(encoder, config.encoder, config.cluster)


def _encoded_texts(
    dataset: PreparedDataset, config: RunConfig, family: ModelFamily, folder: Path
) -> tuple[TextEncoder | None, np.ndarray | None]:
    """The encoder and the catalogue's text vectors, which are saved with the run; None if the model needs none."""
    if not family.reads_text(config):
        return None, None
    encoder = load_configured(config.encoder)
    if not family.reads_text_vectors(config):
        return encoder, None
    say(f"Encoding the texts of {dataset.num_items} items with {config.encoder.name}")
    vectors = text_vectors_of(dataset.texts, _shared(encoder, config), config)
    return encoder, _kept(vectors, folder / TEXT_VECTORS_FILE)


def _encoded_images(
    dataset: PreparedDataset, config: RunConfig, family: ModelFamily, folder: Path
) -> tuple[ImageEncoder | None, np.ndarray | None]:
    """The image encoder and the vectors of the items' pictures, which are saved with the run; None without any."""
    if config.encoder.image is None:
        return None, None
    if not family.reads_images(config):
        raise InvalidInput(f"encoder.image: {config.model.kind} models read no pictures. Leave it out.")
    encoder = load_image_encoder(config.encoder.image, precision=config.encoder.image_precision)
    say(f"Encoding the pictures of {dataset.num_items} items with {config.encoder.image}")
    vectors = image_vectors_of(dataset.items, encoder, config)
    return encoder, _kept(vectors, folder / IMAGE_VECTORS_FILE)


def _kept(vectors: np.ndarray, path: Path) -> np.ndarray:
    """The vectors, which are saved with the run, as its file mapped into memory; changes stay in this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return np.asarray(np.load(path, mmap_mode="c"))


def _save(folder: Path, dataset: PreparedDataset, config: RunConfig, family: ModelFamily, result: FitResult) -> None:
    refuse_not_finite(
        named_weights(result.model),
        "The trained model",
        "Lower training.learning_rate, or look for wrong values in the data.",
    )
    family.save_model(result.model, folder)
    items = dataset.items if result.items is None else result.items
    items.write_parquet(folder / ITEMS_FILE)
    write_json(folder / METRICS_VALID_FILE, result.metrics_valid)
    vectors = family.item_vectors(result.model)
    if vectors is not None:
        write_projector(folder / TENSORBOARD_FOLDER, vectors, items, config.tracking.projector)


def _history(run: Path) -> list[dict[str, Any]]:
    """One row of metrics per epoch; empty for a model that is fitted without epochs."""
    if not (run / HISTORY_FILE).is_file():
        return []
    rows = read_table(run / HISTORY_FILE, "Train again.").to_dicts()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
