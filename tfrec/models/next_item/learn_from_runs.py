"""The teachers of a training, from the runs of `training.teachers`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.losses.teachers import Teachers
from tfrec.models.next_item.warm_start import leaves_network_out
from tfrec.progress import say


def teachers_of(runs: Sequence[TrainedRun], dataset: PreparedDataset, config: RunConfig) -> Teachers | None:
    """The models of the runs as teachers; None without runs.

    Args:
        runs: Next-item runs.
        dataset: The data of the training.
        config: Sections `model` and `training`.

    Raises:
        InvalidInput: A run has other items or event kinds, or reads shorter histories.
    """
    if not runs:
        return None
    for run in runs:
        _refuse_other_data(run, dataset)
        if leaves_network_out(run):
            say(f"training.teachers: {run.path} leaves its network out, so it teaches counts and texts alone")
        if run.config.model.max_history < config.model.max_history:
            raise InvalidInput(
                f"training.teachers: {run.path} reads histories of {run.config.model.max_history} events, this "
                f"training {config.model.max_history}. Set model.max_history={run.config.model.max_history} or less."
            )
    options = config.training
    return Teachers(
        [run.model for run in runs],
        weight=options.teachers_weight,
        memory_in_loss=options.memory_in_loss,
        static_shapes=options.jit_compile,
    )


def _refuse_other_data(run: TrainedRun, dataset: PreparedDataset) -> None:
    """A teacher speaks of its items and kinds of events by their numbers, so they have to be the same ones."""
    for what, theirs, ours in (
        ("items", run.item_ids, dataset.item_ids),
        ("event kinds", run.event_kinds, dataset.event_kinds),
    ):
        if not np.array_equal(theirs, ours):
            raise InvalidInput(
                f"training.teachers: the {what} of {run.path} are not those of the dataset. Train the teachers on the "
                "same prepared data."
            )
