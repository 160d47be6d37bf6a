"""`export`: writes a trained run as a version that TensorFlow Serving can load."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import uuid
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from tfrec.data.dataset import load_dataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.files import (
    AlreadyExists,
    OutputKind,
    check_output_folder,
    publish,
    staged_folder,
    sweep,
    write_json,
)
from tfrec.files.checksums import checksums
from tfrec.files.disk_full import disk_full_is_told
from tfrec.files.stored_folder import FILES, read_object
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.guard.servable_ops import MINIMUM_SERVER, TEXT_OPS, refuse_unservable, used_ops
from tfrec.serving.exporting.servable import ExportOptions, Servable
from tfrec.serving.exporting.server_config_files import check_model_name, write_serving_files
from tfrec.serving.saved_model.example_requests import EXAMPLES_FILE, Arrays, Example, to_json
from tfrec.serving.saved_model.guarded_export import CURE, EXPORT_FILE
from tfrec.serving.saved_model.signatures import call_signature
from tfrec.serving.saved_model.warmup import WARMUP_FILE, write_warmup
from tfrec.serving.version_folders import MAX_VERSION, version_folders
from tfrec.version import __version__

if TYPE_CHECKING:
    from tfrec.data.dataset import PreparedDataset
    from tfrec.runs import Run

EXPORT_OUTPUT: Final = OutputKind("an exported version", {EXPORT_FILE: ("name", "version")})
PACKAGES: Final = ("tensorflow", "tf_keras", "tensorflow-text", "tensorflow-hub", "numpy")
Format = Literal["saved-model", "litert", "litert-int8"]
WARMUP_BATCHES: Final = (1, 5)
"""Rows of the warm-up requests: one alone, and a batch."""


def export(
    run: Run | str | Path,
    out: str | Path,
    *,
    version: int | None = None,
    exclude_seen: bool | None = None,
    histories: Histories | PreparedDataset | str | Path | None = None,
    force: bool = False,
    ranker: Run | str | Path | None = None,
    format: Format = "saved-model",
) -> Path:
    """Writes `out/VERSION`, completely or not at all, and the configuration files of the server beside it.

    Args:
        run: A finished run of any model, or its folder. Its section `export` holds the sizes; `Run.with_values` changes
            them.
        out: Model folder, `saved_models/NAME`; NAME is the model's name in TF Serving.
        version: Positive integer; None for one more than the highest version in `out` when the export is complete.
        exclude_seen: Whether lists exclude the items of the history. None: as `retrieval.exclude_seen` says, where auto
            is what training or evaluation of the run decided, else true.
        histories: What to measure an approximate index (`export.index`) with: histories, or prepared data or its
            folder; None for histories of one item.
        force: Whether to replace an existing version of an export.
        ranker: Run of a click-ranker on the same catalogue, or its folder, which re-ranks the candidates of a next-item
            run.
        format: "saved-model" for TensorFlow Serving. "litert" writes `out` itself, without versions: LiteRT programs
            for devices (docs/devices.md). "litert-int8": the same, the encoder with int8 weights.

    Returns:
        The version folder; `out` for devices.

    Raises:
        InvalidInput: the version exists or is no positive integer, the filter attribute is no column of the items,
            the histories are of another catalogue, `retrieval.segment` is set but the run has no segments, the model
            has an op that TF Serving lacks, or the recall of the index is too low. Nothing is written then.
    """
    from tfrec.runs import load_run

    out = Path(out)
    if format != "saved-model":
        return _export_device(load_run(run), out, format, exclude_seen, force, version, ranker)
    number = next_version(out) if version is None else version
    if not 1 <= number <= MAX_VERSION:
        raise InvalidInput(f"Expected a positive integer up to {MAX_VERSION} as the version, received {number}.")
    check_model_name(out.name)
    sweep(out)  # of all versions: another number may have been taken since an export of this one was killed
    check_output_folder(out / str(number), EXPORT_OUTPUT, force)
    run, second = load_run(run), None if ranker is None else load_run(ranker)
    seen = _exclude_seen(run) if exclude_seen is None else exclude_seen
    measured_with = _histories(run, histories)
    if second is not None:
        check_ranker_fits(run, second)
    served = _servable(run, ExportOptions(seen, measured_with, second))
    with staged_folder(out / str(number)) as work:
        _write(work, out.name, served)
        _copy_card(run, work / "assets.extra")
        ops = used_ops(work)
        refuse_unservable(ops)
        facts = served.facts | {FILES: checksums(work)}
        if second is not None:
            facts["ranker"] = {**facts["ranker"], "run": run_id(second)}
        while True:
            write_json(work / EXPORT_FILE, {**_about(out.name, number, run, ops), **facts})
            try:
                publish(work, out / str(number), EXPORT_OUTPUT, force)
                break
            except AlreadyExists:  # of another export, which was quicker
                if version is not None:
                    raise
                number = next_version(out)
    with disk_full_is_told(out / "serving", f"{out / str(number)} is whole."):
        write_serving_files(out)
    return out / str(number)


def _export_device(
    run: Run, out: Path, format: str, exclude_seen: bool | None, force: bool, version: int | None, ranker: Any
) -> Path:
    from tfrec.serving.devices.export_litert import export_litert

    if format not in get_args(Format):
        raise InvalidInput(f"Expected format {', '.join(get_args(Format))}; received {format!r}.")
    if version is not None or ranker is not None:
        raise InvalidInput("An export for devices has no versions and no ranker. Leave out --version and --ranker.")
    seen = _exclude_seen(run) if exclude_seen is None else exclude_seen
    return export_litert(run, out, exclude_seen=seen, int8=format == "litert-int8", force=force)


def _histories(run: Run, given: Histories | PreparedDataset | str | Path | None) -> Histories | None:
    from tfrec.models.registry import family_of

    if given is None or isinstance(given, Histories):
        return given
    dataset = load_dataset(given)
    if not np.array_equal(dataset.item_ids, run.item_ids[: dataset.num_items]):  # beyond them are new items
        run.refuse_other_catalogue(dataset)
    return family_of(run.kind).read_by(run.config, dataset).histories()


def is_export_of(version: Path, run: Run) -> bool:
    """Whether `version` is an export of `run`, or of a copy of it with other options or more items."""
    return runs_of(version)[0] == run_id(run)


def runs_of(version: Path) -> tuple[str | None, str | None]:
    """The `run_id` of the runs that a version is an export of: the first stage, and the ranker if there is one.

    None for what is no export, for no ranker, and for a ranker in exports of older versions, which did not note it.
    """
    path = version / EXPORT_FILE
    about = read_object(path, {}, CURE) if path.is_file() else {}
    return about.get("run"), about.get("ranker", {}).get("run")


def run_id(run: Run) -> str:
    """What an export names its run by."""
    return manifest_id(run.manifest)


def manifest_id(manifest: Mapping[str, Any]) -> str:
    """Hash of a manifest, whose timings make it that of one training. (TensorFlow wraps dicts of what it exports.)"""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, default=dict).encode()).hexdigest()


def next_version(out: str | Path) -> int:
    """One more than the highest version in `out`; 1 if there is none. Numbers beyond int64 are no versions."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"Expected a folder to export to, {out} is a file. Choose another name.")
    number = max(version_folders(out) if out.is_dir() else (), default=0) + 1
    if number > MAX_VERSION:
        raise InvalidInput(f"Expected versions below {MAX_VERSION} in {out}; there is none after that. Rename it.")
    return number


def check_ranker_fits(run: Run, ranker: Run) -> None:
    """Raises `InvalidInput` unless `run` can be exported with `ranker`, over the same catalogue, behind it."""
    from tfrec.models.family import Ability
    from tfrec.models.registry import families_with, family_of
    from tfrec.runs.two_stage import check_ranker

    check_ranker(run, ranker)
    if not family_of(run.kind).can(Ability.EXPORT_TWO_STAGES, run.config):
        families = families_with(Ability.EXPORT_TWO_STAGES)
        raise InvalidInput(
            f"Expected a {families} run as the first stage, {run.path} is a run of {run.kind}. Pass one."
        )


def _servable(run: Run, options: ExportOptions) -> Servable:
    """What the export module of the run's family makes of it."""
    from tfrec.models.registry import family_of

    name = family_of(run.kind).export_module
    if name is None:
        raise InvalidInput(f"There is no export of {run.kind} runs; {run.path} is one.")
    servable: Servable = importlib.import_module(name).servable(run, options)
    return servable


def _write(work: Path, name: str, served: Servable) -> None:
    import tensorflow as tf

    module, requests = served.module, served.requests
    refuse_not_finite(((v.name, v.numpy()) for v in module.variables), f"The export of {name}", "Train the run again.")
    tf.saved_model.save(module, str(work), signatures=module.functions)
    _name_by_content(work / "fingerprint.pb")
    extra = work / "assets.extra"
    extra.mkdir()
    warmup = [(sig, {k: v[:n] for k, v in inputs.items()}) for sig, inputs in requests for n in WARMUP_BATCHES]
    write_warmup(extra / WARMUP_FILE, name, warmup)
    write_json(extra / EXAMPLES_FILE, [_example(module, signature, inputs) for signature, inputs in requests])


def _copy_card(run: Run, folder: Path) -> None:
    """The model card goes with the model; runs of older versions have none."""
    from tfrec.runs.model_card import MODEL_CARD_FILE

    if run.stored.has(MODEL_CARD_FILE):
        shutil.copyfile(run.stored.file(MODEL_CARD_FILE), folder / MODEL_CARD_FILE)


def _name_by_content(fingerprint: Path) -> None:
    """Gives an export a UUID made of its hashes, for the one that TensorFlow drew: the same run, the same bytes."""
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    content = FingerprintDef.FromString(fingerprint.read_bytes())
    content.uuid = ""
    content.uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, content.SerializeToString(deterministic=True).hex()))
    fingerprint.write_bytes(content.SerializeToString(deterministic=True))


def _example(module: Any, signature: str, inputs: Arrays) -> Example:
    outputs = call_signature(module, signature, inputs)
    return {
        "signature": signature,
        "inputs": {name: to_json(value) for name, value in inputs.items()},
        "outputs": {name: to_json(value) for name, value in sorted(outputs.items())},
    }


def _exclude_seen(run: Run) -> bool:
    choice = run.config.retrieval.exclude_seen
    if choice != "auto":
        return choice == "true"
    if "exclude_seen" in run.manifest:
        return bool(run.manifest["exclude_seen"])
    metrics = run.path / "metrics.json"
    protocol = read_object(metrics, {}, "Evaluate the run again.").get("protocol") if metrics.is_file() else None
    return bool((protocol or {}).get("exclude_seen_served", True))


def _about(name: str, number: int, run: Run, ops: list[str]) -> dict[str, Any]:
    versions = {"tfrec": __version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "name": name,
        "version": number,
        "kind": run.kind,
        "versions": versions,
        "minimum_server": MINIMUM_SERVER,
        "run": run_id(run),
        "encoder_sha256": run.manifest.get("encoder_hash"),
        **({"privacy": run.manifest["privacy"]} if "privacy" in run.manifest else {}),
        "ops": ops,
        "text_ops": [op for op in ops if op in TEXT_OPS],
    }
