"""A run on a catalogue that it was not trained on, whose items it reads by their text."""

from __future__ import annotations

import copy

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.family import Ability
from tfrec.models.registry import family_of
from tfrec.models.shared.item_features import text_vectors_of
from tfrec.progress import say
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.runs.run import Run


def run_on(run: Run, dataset: PreparedDataset) -> Run:
    """The run itself if the dataset has its catalogue; else a run in memory with its model moved to the other one.

    A moved run reads the items by their text. Its neighbours, repeats and popularity are counted in the training
    sequences of the dataset, and its score weights are chosen on the validation queries, if there are enough of each.

    Args:
        run: The run.
        dataset: The data, as the run's models read them (`ModelFamily.read_by`).

    Raises:
        InvalidInput: The catalogues differ, and the model has learnt single items or has another shape.
    """
    if np.array_equal(run.item_ids, dataset.item_ids):
        return run
    family = family_of(run.kind)
    if not family.can(Ability.MOVE, run.config):
        raise InvalidInput(
            f"{dataset.path} has another catalogue than the run {run.path} ({dataset.num_items} items, expected "
            f"{len(run.item_ids)}). Use the data that the run was trained on, or train again. A next-item run without "
            "ids (model.use_id=false), such as one of several --data, can be used on any catalogue."
        )
    say(f"Encoding the texts of {dataset.num_items} items with {run.config.encoder.name}")
    moved = copy.copy(run)
    moved.is_moved = True
    moved.text_vectors = moved.untuned_text_vectors = text_vectors_of(dataset.texts, run.encoder(), run.config)
    moved.items, moved.segments = dataset.items, None
    moved.model = family.moved_model(run, dataset, moved.text_vectors)
    moved.manifest = {
        **run.manifest,
        "model": family.model_config(moved.model),
        "event_kinds": dataset.event_kinds,
        "data": dataset.manifest["fingerprint"],
        "split": dataset.manifest["split"],
        "exclude_seen": excludes_seen(run.config, dataset),
    }
    return moved
