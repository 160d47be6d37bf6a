"""Which behaviours a model can learn: the target kinds that occur in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.progress import say


def target_counts(dataset: PreparedDataset) -> dict[str, dict[str, int]]:
    """Target events of each kind in training and in all, for the kinds that are a target anywhere."""
    training, whole = dataset.training(), dataset.histories()
    size = len(dataset.event_kinds)
    learnt = np.bincount(training.events[training.is_target], minlength=size)
    every = np.bincount(whole.events[whole.is_target], minlength=size)
    return {
        kind: {"train": int(learnt[i]), "all": int(every[i])} for i, kind in enumerate(dataset.event_kinds) if every[i]
    }


def behaviours_to_learn(dataset: PreparedDataset, wanted: Sequence[str] | None) -> list[str]:
    """The heads of a ClickRanker: `schema.FUNNEL` first, in its order, then the others.

    Args:
        dataset: Its training events.
        wanted: `ranker.behaviours`; None for every target kind. Those that never occur in training are left out then,
            which is said.

    Raises:
        InvalidInput: a wanted behaviour never occurs in training, or there is none at all.
    """
    counts = target_counts(dataset)
    learnt = [kind for kind, count in counts.items() if count["train"]]
    if wanted is None:
        warn_of_unlearnt(dataset)
    elif missing := [kind for kind in wanted if kind not in learnt]:
        raise InvalidInput(
            f"ranker.behaviours names {_listed(missing)}, which is no target of any training event; training has "
            f"{_listed(learnt)}. Leave it out, or see data.targets."
        )
    chosen = list(dict.fromkeys(learnt if wanted is None else wanted))
    if not chosen:
        raise InvalidInput("No training event is a target: nothing to learn from. Add events, or set data.targets.")
    return sorted(chosen, key=lambda kind: schema.FUNNEL.index(kind) if kind in schema.FUNNEL else len(schema.FUNNEL))


def warn_of_unlearnt(dataset: PreparedDataset) -> None:
    """Says which target kinds occur, but never in training, so that no model learns them."""
    unlearnt = {kind: count["all"] for kind, count in target_counts(dataset).items() if not count["train"]}
    if unlearnt:
        named = ", ".join(f"{kind!r} ({count} events)" for kind, count in unlearnt.items())
        say(f"Warning: {named} never occurs in training, so it cannot be learnt. Its targets are still measured.")


def behaviour_weights(dataset: PreparedDataset, weights: Mapping[str, float]) -> np.ndarray:
    """float32 `[event kinds]`: `training.behaviour_weights`, 1 where a kind is not named.

    Raises:
        InvalidInput: a named kind never occurs in training, or a weight is negative.
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
    """Chance that a target of each event kind is learnt in an epoch, float32 `[event kinds]`; None for all of them.

    The highest weight has 1, the others their part of it. In expectation that is the loss with these weights on its
    positions, up to a factor; it holds for every loss, and kinds of small weight cost less time.
    """
    table, counts = behaviour_weights(dataset, weights), target_counts(dataset)
    learnt = [i for i, kind in enumerate(dataset.event_kinds) if kind in counts and counts[kind]["train"]]
    highest = table[learnt].max(initial=0)
    if (table[learnt] == highest).all():
        return None
    return np.minimum(table / highest, 1)


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(map(repr, kinds)) or "none"
