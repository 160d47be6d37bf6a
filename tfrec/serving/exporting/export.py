"""`export`: writes a trained run as a version that TensorFlow Serving can load."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import load_dataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, read_json, refuse_existing, write_json
from tfrec.serving.exporting.export_ranker import check_ranker_fits, export_click_ranker, ranker_arguments
from tfrec.serving.exporting.server_config_files import write_serving_files
from tfrec.serving.saved_model.allowed_ops import MINIMUM_SERVER, TEXT_OPS, refuse_unservable, used_ops
from tfrec.serving.saved_model.example_requests import EXAMPLES_FILE, Arrays, Example, example_requests, to_json
from tfrec.serving.saved_model.signatures import describe_signatures, input_widths
from tfrec.serving.saved_model.warmup import WARMUP_FILE, write_warmup
from tfrec.version import __version__

if TYPE_CHECKING:
    from tfrec.data.dataset import PreparedDataset
    from tfrec.models.baselines.segment_popularity import PopularLists
    from tfrec.runs import Run
    from tfrec.serving.modules.behaviour_text import BehaviourTextServing
    from tfrec.serving.modules.item_index import Catalogue
    from tfrec.serving.modules.next_item import NextItemServing

EXPORT_FILE: Final = "tfrec.json"
PACKAGES: Final = ("tensorflow", "tf_keras", "tensorflow-text", "tensorflow-hub", "numpy")
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
) -> Path:
    """Writes `out/VERSION`, completely or not at all, and the configuration files of the server beside it.

    Args:
        run: A finished run of any model, or its folder. Its section `export` holds the sizes; `Run.with_values` changes
            them.
        out: Model folder, `saved_models/NAME`; NAME is the model's name in TF Serving.
        version: Positive integer; None for one more than the highest version in `out`.
        exclude_seen: Whether lists exclude the items of the history. None: as `retrieval.exclude_seen` says, where auto
            is what training or evaluation of the run decided, else true.
        histories: What to measure an approximate index (`export.index`) with: histories, or prepared data or its
            folder; None for histories of one item.
        force: Whether to replace an existing version.
        ranker: Run of a click-ranker on the same catalogue, or its folder, which re-ranks the candidates of a next-item
            run.

    Returns:
        The version folder.

    Raises:
        InvalidInput: the version exists or is no positive integer, the filter attribute is no column of the items,
            the histories are of another catalogue, `retrieval.segment` is set but the run has no segments, the model
            has an op that TF Serving lacks, or the recall of the index is too low. Nothing is written then.
    """
    from tfrec.runs import load_run

    out = Path(out)
    number = next_version(out) if version is None else version
    if number < 1:
        raise InvalidInput(f"Expected a positive integer as the version, received {number}.")
    folder = out / str(number)
    refuse_existing(folder, force)
    run, second = load_run(run), None if ranker is None else load_run(ranker)
    seen = _exclude_seen(run) if exclude_seen is None else exclude_seen
    measured_with = _histories(run, histories)
    if second is not None:
        check_ranker_fits(run, second)
    if run.kind == "click-ranker":
        module, facts, requests = export_click_ranker(run, _catalogue(run))
    elif run.kind == "next-item":
        module, facts, requests = _next_item(run, seen, measured_with, second)
    else:
        module, facts, requests = _behaviour_text(run)
    with atomic_folder(folder, force) as work:
        _write(work, out.name, module, requests)
        ops = used_ops(work)
        refuse_unservable(ops)
        write_json(work / EXPORT_FILE, {**_about(out.name, number, run, ops), **facts})
    write_serving_files(out)
    return folder


def _histories(run: Run, given: Histories | PreparedDataset | str | Path | None) -> Histories | None:
    if given is None or isinstance(given, Histories):
        return given
    dataset = load_dataset(given)
    if not np.array_equal(dataset.item_ids, run.item_ids[: dataset.num_items]):  # beyond them are new items
        run.refuse_other_catalogue(dataset)
    return dataset.histories()


def next_version(out: str | Path) -> int:
    """One more than the highest version in `out`; 1 if there is none."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"Expected a folder to export to, {out} is a file. Choose another name.")
    versions = [int(p.name) for p in out.iterdir() if p.name.isdecimal()] if out.is_dir() else []
    return max(versions, default=0) + 1


def _write(work: Path, name: str, module: Any, requests: list[Any]) -> None:
    import tensorflow as tf

    tf.saved_model.save(module, str(work), signatures=module.functions)
    extra = work / "assets.extra"
    extra.mkdir()
    warmup = [(sig, {k: v[:n] for k, v in inputs.items()}) for sig, inputs in requests for n in WARMUP_BATCHES]
    write_warmup(extra / WARMUP_FILE, name, warmup)
    write_json(extra / EXAMPLES_FILE, [_example(module, signature, inputs) for signature, inputs in requests])


def _example(module: Any, signature: str, inputs: Arrays) -> Example:
    import tensorflow as tf

    tensors = {name: tf.constant(value.tolist(), tf.string) for name, value in inputs.items()}
    outputs = module.functions[signature](**tensors)
    return {
        "signature": signature,
        "inputs": {name: to_json(value) for name, value in inputs.items()},
        "outputs": {name: to_json(value.numpy()) for name, value in sorted(outputs.items())},
    }


def _next_item(
    run: Run, exclude_seen: bool, histories: Histories | None, ranker: Run | None
) -> tuple[NextItemServing | BehaviourTextServing, dict[str, Any], list[tuple[str, Arrays]]]:
    from tfrec.serving.exporting.build_index import build_index
    from tfrec.serving.modules.next_item import NextItemServing
    from tfrec.serving.modules.two_stage import TwoStageServing

    sizes, catalogue = run.config.export, _catalogue(run)
    if sizes.history_length is None:
        sizes = sizes.model_copy(update={"history_length": run.model.memory_history})
    popular = _popular_lists(run, sizes.max_k + sizes.exclude_length)
    search, report = build_index(run.model, sizes, exclude_seen=exclude_seen, histories=histories)
    module_class, about = (
        (NextItemServing, {}) if ranker is None else (TwoStageServing, ranker_arguments(ranker, sizes))
    )
    module = module_class(
        run.model,
        catalogue,
        event_kinds=run.event_kinds,
        config=sizes,
        exclude_seen=exclude_seen,
        encoder=run.encoder() if run.config.model.use_text else None,
        seq_length=run.config.encoder.seq_length,
        chunk_size=run.config.retrieval.chunk_size,
        search=search,
        popular=popular,
        **about,
    )
    values = sorted({value for row in catalogue.attribute or [] for value in row if value})
    requests = example_requests(
        input_widths(module),
        item_ids=catalogue.item_ids,
        event_kinds=run.event_kinds,
        texts=[text for text in catalogue.texts if text] or ["text"],
        attribute_values=values,
        segments=popular.segments if popular else (),
    )
    facts = {
        "exclude_seen": exclude_seen,
        "index": report.as_dict() if report else {"kind": "exact"},
        "filter_attribute": sizes.filter_attribute,
        "segment": run.config.retrieval.segment,
        "event_kinds": run.event_kinds,
        "sizes": {
            "max_k": module.k,
            "history_length": sizes.history_length,
            "exclude_length": sizes.exclude_length,
            "candidates_length": sizes.candidates_length,
            "allow_length": sizes.allow_length,
        },
        "catalogue": {"items": len(catalogue.item_ids), "sha256": catalogue.sha256()},
        "signatures": describe_signatures(module),
    }
    if ranker is not None:
        facts["ranker"] = {"behaviours": about["ranker"].weights, **{k: v for k, v in about.items() if k != "ranker"}}
    return module, facts, requests


def _behaviour_text(run: Run) -> tuple[BehaviourTextServing, dict[str, Any], list[tuple[str, Arrays]]]:
    from tfrec.data.behaviour_text import behaviour_text
    from tfrec.serving.modules.behaviour_text import BehaviourTextServing

    head, catalogue = run.config.model.head, _catalogue(run)
    ids = catalogue.item_ids if head == "softmax" else ()
    module = BehaviourTextServing(run.model, head, ids, run.config.export.max_k)
    kinds, texts = run.event_kinds or ["view"], [text for text in catalogue.texts if text] or ["text"]
    pairs = [(texts[i], texts[(i + 1) % len(texts)]) for i in range(min(20, len(texts)))]
    behaviours = [behaviour_text([kinds[0], kinds[-1]], pair) for pair in pairs]
    requests = example_requests(input_widths(module), texts=behaviours)
    facts = {
        "head": head,
        "event_kinds": run.event_kinds,
        "sizes": {"max_k": module.k},
        "catalogue": {"items": len(catalogue.item_ids), "sha256": catalogue.sha256()},
        "signatures": describe_signatures(module),
    }
    return module, facts, requests


def _catalogue(run: Run) -> Catalogue:
    from tfrec.serving.modules.item_index import Catalogue

    column = run.config.export.filter_attribute
    ids = [str(item) for item in run.item_ids]
    return Catalogue(
        item_ids=ids,
        texts=[text or "" for text in run.items[schema.TEXT].to_list()],
        counts=run.item_counts,
        attribute=_attribute(run.items, column) if column and run.kind == "next-item" else None,
    )


def _popular_lists(run: Run, most: int) -> PopularLists | None:
    """The `most` most popular items of each segment; None without `retrieval.segment`."""
    from tfrec.models.baselines.segment_popularity import SegmentPopularity

    column = run.config.retrieval.segment
    if column is None:
        return None
    if run.segments is None:
        raise InvalidInput(
            f"retrieval.segment is {column!r}, but {run.path} was trained without it. Train with --set "
            f"retrieval.segment={column}, or leave the option out."
        )
    return SegmentPopularity(run.segments, run.item_counts, {}).lists(most)


def _attribute(items: pl.DataFrame, column: str) -> Sequence[Sequence[str]]:
    """The values of each item in a column of single values or of lists, as strings."""
    if column not in items.columns:
        raise InvalidInput(
            f"export.filter_attribute is {column!r}, but the items have only {', '.join(items.columns)}. "
            f"Name one of these, or leave the option out."
        )
    rows = [row if isinstance(row, list) else [row] for row in items[column].to_list()]
    return [[str(value) for value in row if value is not None] for row in rows]


def _exclude_seen(run: Run) -> bool:
    choice = run.config.retrieval.exclude_seen
    if choice != "auto":
        return choice == "true"
    if "exclude_seen" in run.manifest:
        return bool(run.manifest["exclude_seen"])
    metrics = run.path / "metrics.json"
    protocol = read_json(metrics).get("protocol", {}) if metrics.is_file() else {}
    return bool(protocol.get("exclude_seen_served", True))


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
        "encoder_sha256": run.manifest.get("encoder_hash"),
        "ops": ops,
        "text_ops": [op for op in ops if op in TEXT_OPS],
    }
