"""Which behaviours a model can learn: target event kinds that occur in training, and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.progress import say


def target_counts(dataset: PreparedDataset) -> dict[str, dict[str, int]]:
    """For each kind that is ever a target, the number of target events in training ("train") and overall ("all")."""
    training, whole = dataset.training(), dataset.histories()
    size = len(dataset.event_kinds)
    trained = np.bincount(training.events[training.is_target], minlength=size)
    overall = np.bincount(whole.events[whole.is_target], minlength=size)
    return {
        kind: {"train": int(trained[i]), "all": int(overall[i])}
        for i, kind in enumerate(dataset.event_kinds)
        if overall[i]
    }


def behaviours_to_learn(dataset: PreparedDataset, requested: Sequence[str] | None) -> list[str]:
    """The heads of a ClickRanker: first those in `schema.FUNNEL`, in its order, then the others.

    Args:
        dataset: Provides the training events.
        requested: `ranker.behaviours`; None for every target kind. Kinds that never occur in training are then left
            out, with a warning.

    Raises:
        InvalidInput: A requested behaviour never occurs in training, or there is none at all.
    """
    counts = target_counts(dataset)
    learnt = [kind for kind, count in counts.items() if count["train"]]
    if requested is None:
        warn_of_unlearnt(dataset)
    elif missing := [kind for kind in requested if kind not in learnt]:
        raise InvalidInput(
            f"ranker.behaviours names {_listed(missing)}, which is no target of any training event; training has "
            f"{_listed(learnt)}. Leave it out, or see data.targets."
        )
    chosen = list(dict.fromkeys(learnt if requested is None else requested))
    if not chosen:
        raise InvalidInput("No training event is a target: nothing to learn from. Add events, or set data.targets.")
    return sorted(chosen, key=lambda kind: schema.FUNNEL.index(kind) if kind in schema.FUNNEL else len(schema.FUNNEL))


def warn_of_unlearnt(dataset: PreparedDataset) -> None:
    """Warns about target kinds that never occur in training, so that no model can learn them."""
    unlearnt = {kind: count["all"] for kind, count in target_counts(dataset).items() if not count["train"]}
    if unlearnt:
        named = ", ".join(f"{kind!r} ({count} events)" for kind, count in unlearnt.items())
        say(f"Warning: {named} never occurs in training, so it cannot be learnt. Its targets are still evaluated.")


def behaviour_weights(dataset: PreparedDataset, weights: Mapping[str, float]) -> np.ndarray:
    """The weights of `training.behaviour_weights` as an array, float32 `[event kinds]`; the default weight is 1.

    Raises:
        InvalidInput: A named kind never occurs in training, or a weight is negative.
    """
    learnt = [kind for kind, count in target_counts(dataset).items() if count["train"]]
    for kind, weight in weights.items():
        if kind not in learnt or weight < 0:
            raise InvalidInput(
                f"training.behaviour_weights has {kind!r}: {weight:g}; expected a weight of at least 0 for one of "
                f"{_listed(learnt)}, the targets that occur in training."
            )
    return np.array([weights.get(kind, 1.0) for kind in dataset.event_kinds], np.float32)


def label_shares(dataset: PreparedDataset, weights: Mapping[str, float]) -> np.ndarray | None:
    """Share of the targets of each event kind to train on per epoch, float32 `[event kinds]`; None to use all.

    The kind with the highest weight has share 1, the others are proportional to their weights. In expectation this
    equals, up to a constant factor, a loss with these weights on its targets. It works with any loss, and kinds with
    small weights take less time.
    """
    table, counts = behaviour_weights(dataset, weights), target_counts(dataset)
    learnt = [i for i, kind in enumerate(dataset.event_kinds) if kind in counts and counts[kind]["train"]]
    highest = table[learnt].max(initial=0)
    if (table[learnt] == highest).all():
        return None
    return np.minimum(table / highest, 1)


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(map(repr, kinds)) or "none"
