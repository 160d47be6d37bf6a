"""The ledger of a private training, of whatever family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfrec.config import RunConfig
from tfrec.privacy.budget import COUNTS, GRADIENTS, NEIGHBOURS, SELECTION
from tfrec.privacy.ledger import Ledger
from tfrec.privacy.mechanism import Mechanism

PUBLIC = (
    "the catalogue: item ids, texts and columns, text vectors and text neighbours",
    "the event kinds",
    "the number of people, and what follows from it: batch size, sampling probability and number of steps",
    "the times at which the log is split, and which rows preparation dropped by rules over several people",
    "the configuration",
)
UNCOVERED = (
    "metrics, predictions and reports of an evaluation, which read the held-out events without noise",
    "drift reports and gates of a retraining, and hyper-parameters chosen by comparing runs",
    "an encoder that was adapted to the same log before",
    "the fingerprint of the prepared data in the manifest, and how long training took",
    "lists made for a person from the history that the person is asked about",
    "a later training on the same people: the ε of both add up",
)


def training_ledger(
    config: RunConfig,
    mechanisms: Mapping[str, Mechanism],
    *,
    people: int,
    batch: int,
    kept: str,
    example: str,
    off: Sequence[str],
) -> Ledger:
    """The ledger of a training.

    Args:
        config: Its configuration.
        mechanisms: Everything that was computed with noise.
        people: Number of people in the training data.
        batch: Number of people in a step, on average.
        kept: Which weights the run has: "start", "start with counts" or "trained weights".
        example: What a gradient of one person is of, such as "a window of 51 events".
        off: What a training without privacy computes from events, and this one does not.
    """
    adds = {
        GRADIENTS: f"one gradient a step, of {example}, clipped to norm {config.privacy.clip:g}",
        COUNTS: "one vector over all items, of norm 1",
        NEIGHBOURS: "one vector over all pairs of items, of norm 1",
        SELECTION: "a difference of NDCG@10, from −1 to 1, for each comparison",
    }
    return Ledger(
        delta=config.privacy.delta,
        mechanisms=tuple(mechanisms.values()),
        details={
            "clip": config.privacy.clip,
            "people": people,
            "batch": batch,
            "kept": kept,
            "person_adds": {name: what for name, what in adds.items() if name in mechanisms},
            "noise_from": "ChaCha20 under a key of the operating system, deleted at the end",
        },
        public=PUBLIC,
        off=tuple(off),
        uncovered=UNCOVERED,
    )
