"""`export(format="litert")`: writes a run as LiteRT programs, which run without TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec import schema
from tfrec.encoders.litert import convert
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, check_output_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.models.family import Ability
from tfrec.models.registry import families_with, family_of
from tfrec.models.shared.unread_impressions import hides_impressions
from tfrec.serving.devices.device_folder import (
    DEVICE_FILE,
    DEVICE_OUTPUT,
    ENCODER_FILE,
    EXAMPLES_FILE,
    ITEMS_FILE,
    RECOMMENDER_FILE,
)
from tfrec.serving.devices.device_requests import Numbers
from tfrec.serving.devices.prove import proven_lists, proven_vectors
from tfrec.serving.devices.stored_examples import DeviceExample, write_examples
from tfrec.serving.devices.tokenizer_file import write_tokenizer
from tfrec.serving.exporting.servable import ExportOptions, Servable, catalogue_of
from tfrec.serving.modules.device import DeviceEncoder, DeviceRecommender
from tfrec.version import __version__

if TYPE_CHECKING:
    from tfrec.runs import Run
    from tfrec.serving.modules.item_index import Catalogue


def export_litert(run: Run, out: Path, *, exclude_seen: bool, int8: bool, force: bool) -> Path:
    """Writes an export for devices, completely or not at all.

    Its answers are compared with those of the export for servers first.

    Args:
        run: A next-item run.
        out: The folder.
        exclude_seen: Whether lists exclude the items of the history.
        int8: Whether the encoder has int8 weights.
        force: Whether to replace an existing export for devices.

    Returns:
        The folder.

    Raises:
        InvalidInput: The run is of another kind, has options that devices lack, or LiteRT gives other answers.
    """
    _refuse_what_only_servers_do(run)
    check_output_folder(out, DEVICE_OUTPUT, force)
    from tfrec.serving.exporting.export_next_item import servable

    served = servable(run, ExportOptions(exclude_seen))
    with atomic_folder(out, DEVICE_OUTPUT, force) as work:
        facts, examples = _write_programs(work, run, served, exclude_seen, int8)
        write_examples(work / EXAMPLES_FILE, examples)
        about = {"format": "litert", "kind": run.kind, "versions": {"tfrec": __version__}, **facts}
        write_json(work / DEVICE_FILE, about | {FILES: checksums(work)})
    return out


def _refuse_what_only_servers_do(run: Run) -> None:
    if not family_of(run.kind).can(Ability.EXPORT_DEVICE, run.config):
        families = families_with(Ability.EXPORT_DEVICE)
        raise InvalidInput(f"Expected a {families} run to export for devices, {run.path} is a run of {run.kind}.")
    options = run.config.export
    wrong = [
        name
        for name, is_set in (
            (f"export.index={options.index}", options.index != "exact"),
            (f"export.item_table={options.item_table}", options.item_table != "float32"),
            (f"export.diversity={options.diversity}", options.diversity > 0),
            (f"export.filter_attribute={options.filter_attribute}", options.filter_attribute is not None),
            (f"retrieval.segment={run.config.retrieval.segment}", run.config.retrieval.segment is not None),
        )
        if is_set
    ]
    if wrong:
        raise InvalidInput(f"{wrong[0]} works on servers only. Leave it out of an export for devices, with --set.")


def _write_programs(
    work: Path, run: Run, served: Servable, exclude_seen: bool, int8: bool
) -> tuple[dict[str, Any], list[DeviceExample]]:
    catalogue = catalogue_of(run)
    numbers = Numbers(catalogue.item_ids, run.event_kinds, catalogue.texts)
    recommender = _recommender(run, catalogue, served, exclude_seen)
    program = convert(recommender.functions, recommender)
    examples = proven_lists(program, served, numbers)
    (work / RECOMMENDER_FILE).write_bytes(program)
    lines = zip(catalogue.item_ids, catalogue.texts, strict=True)
    text = "".join(json.dumps({"item_id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in lines)
    (work / ITEMS_FILE).write_text(text, encoding="utf-8", errors="replace")
    facts: dict[str, Any] = {
        "programs": {RECOMMENDER_FILE: sorted(recommender.functions)},
        "event_kinds": run.event_kinds,
        "exclude_seen": exclude_seen,
        "sizes": {
            "max_k": recommender.k,
            "history_length": recommender.history_length,
            "exclude_length": recommender.exclude_length,
        },
        "catalogue": {"items": len(catalogue.item_ids), "sha256": catalogue.sha256()},
    }
    if run.config.model.use_text:
        about, more = _write_encoder(work, run, served, int8)
        facts["programs"][ENCODER_FILE], facts["encoder"] = about.pop("signatures"), about
        examples += more
    return facts, examples


def _recommender(run: Run, catalogue: Catalogue, served: Servable, exclude_seen: bool) -> DeviceRecommender:
    hidden = hides_impressions(run.config, run.event_kinds)
    return DeviceRecommender(
        run.model,
        catalogue.counts,
        k=served.module.k,
        history_length=served.module.config.history_length,
        exclude_length=served.module.config.exclude_length,
        exclude_seen=exclude_seen,
        allow=catalogue.allow,
        unread=run.event_kinds.index(schema.IMPRESSION) if hidden else -1,
    )


def _write_encoder(work: Path, run: Run, served: Servable, int8: bool) -> tuple[dict[str, Any], list[DeviceExample]]:
    encoder = run.encoder()
    length = min(run.config.encoder.seq_length, encoder.max_seq_length)
    module = DeviceEncoder(encoder, length)
    program = convert(module.functions, module, int8=int8)
    examples, cosine = proven_vectors(program, served, encoder, length, int8)
    (work / ENCODER_FILE).write_bytes(program)
    return {
        "signatures": sorted(module.functions),
        "weights": "int8" if int8 else "float32",
        "seq_length": length,
        "dim": encoder.dim,
        "lowest_cosine": round(cosine, 6),
        "prompt": encoder.prompts.get("item", ""),
        "tokenizer": write_tokenizer(Path(encoder.preprocessor_handle), work),
    }, examples
