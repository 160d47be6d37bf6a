"""What does a step of private training cost, beside a plain step of the same model?

A batch of people is trained on in turns: by a plain step on the mean gradient, and by a private one with the gradient
of each person, clipping and noise; once without and once with learned vectors of the items. Both have text neighbours
and the repeat bias, no co-occurrence neighbours and no dropout. Plain training makes batches of similar lengths, so the
plain step reads people of 9 events each. The private step reads a Poisson sample of people of all lengths, as many
events in all: geometric with a mean of 9, at most 50.

Prints one JSON line; a ratio above 1 means that the private step is faster. `figures` has the multiples of a plain step
(the aims are at most 1.15 without item vectors and 1.5 with them) and the part of a private step that the noise takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from peers import machine
from serve_timing import in_turns

LONGEST, MEAN, TEXT = 50, 9, 384


def make_model(items: int, dim: int, ids: bool) -> Any:
    """An untrained model with text of MiniLM's width and 32 text neighbours for each item."""
    from tfrec.models.next_item.model import NextItemModel

    rng = np.random.default_rng(0)
    model = NextItemModel(
        items, 1, TEXT, dim, max_history=LONGEST, dropout=0.0, item_dropout=0.0, use_id=ids, text_neighbours=32
    )
    model.items.start_from(rng.standard_normal((items, TEXT), np.float32))
    alike = rng.integers(0, items, (items, 32)).astype(np.int32)
    model.memory.remember(None, (alike, rng.random((items, 32)).astype(np.float32)))
    return model


def make_batch(items: int, lengths: np.ndarray) -> tuple[dict[str, Any], Any]:
    """Inputs and labels of people with so many events each."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    real = np.arange(lengths.max()) < lengths[:, None]
    history, labels = (np.where(real, rng.integers(0, items, real.shape), -1).astype(np.int32) for _ in range(2))
    kinds, gaps = np.where(real, 0, -1).astype(np.int32), np.zeros(real.shape, np.float32)
    inputs = {"history_items": history, "history_events": kinds, "history_gaps": gaps}
    return {name: tf.constant(values) for name, values in inputs.items()}, tf.constant(labels)


def steps(items: int, dim: int, people: int, ids: bool) -> dict[str, Callable[[], object]]:
    """A plain and a private step."""
    import tensorflow as tf

    from tfrec.keras import keras
    from tfrec.models.next_item.per_person_gradients import PerPersonGradients
    from tfrec.models.next_item.trainer import NextItemTrainer
    from tfrec.privacy.noise_source import NoiseSource
    from tfrec.privacy.private_trainer import PrivateTrainer

    private = make_model(items, dim, ids)
    drawn = np.minimum(1 + np.random.default_rng(1).geometric(1 / (MEAN - 1), people), LONGEST)
    batches = {
        "plain": make_batch(items, np.full(people, round(drawn.mean()))),
        "private": make_batch(items, np.sort(drawn)),  # sorted, as `PoissonBatches` has them
    }
    trainers = {
        "plain": NextItemTrainer(make_model(items, dim, ids)),
        "private": PrivateTrainer(private, PerPersonGradients(private), 0.5, 1.0, people, NoiseSource(bytes(32))),
    }
    calls: dict[str, Callable[[], object]] = {}
    for name, trainer in trainers.items():
        trainer.compile(keras.optimizers.Adam(1e-3))
        trainer.optimizer.build(trainer.trainable_variables)
        step = tf.function(trainer.train_step)
        calls[name] = lambda step=step, batch=batches[name]: step(batch)
    numbers = sum(variable.shape.num_elements() for variable in trainers["private"].trainable_variables)
    calls["noise"] = lambda: NoiseSource(bytes(32)).gaussian("gradients", 0, numbers)
    return calls


def main() -> None:
    """Measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=4385, help="items of the catalogue; Scientific has as many")
    parser.add_argument("--dim", type=int, default=256, help="width of the model")
    parser.add_argument("--people", type=int, default=256, help="people in a step; a multiple of 16")
    parser.add_argument("--seconds", type=float, default=120.0, help="time for each of the two comparisons")
    options = parser.parse_args()

    import tfrec  # noqa: F401  (chooses Keras 2)

    figures: dict[str, Any] = vars(options).copy()
    ratios = {}
    for name, ids in (("without_item_vectors", False), ("with_item_vectors", True)):
        timed = in_turns(steps(options.items, options.dim, options.people, ids), options.seconds)
        median = {step: statistics.median(values) for step, values in timed.items()}
        ratios[f"plain_step_{name}"] = median["plain"] / median["private"]
        figures |= {f"{step}_ms_{name}": 1e3 * value for step, value in median.items()}
        figures[f"private_over_plain_{name}"] = median["private"] / median["plain"]
    versions = {name: version(name) for name in ("tensorflow", "numpy", "cryptography")}
    print(
        json.dumps(
            {"benchmark": "privacy", "ratios": ratios, "figures": figures, "machine": machine(), "versions": versions}
        )
    )


if __name__ == "__main__":
    main()
