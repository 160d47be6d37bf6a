"""Do posters make those films alike that the same people take, where the films are new and nothing is trained?

On movielens_100k_posters in $TFREC_BENCH_DATA, a fifth of the films is hidden at a time, and what people took of it is
looked for among it by the likeness to the newest ten of their other films: that of texts, of posters, and of both with
a weight, as `model.modality_weight` has it. Controls are posters in random orders, and vectors that mean nothing. The
films are dealt into fifths several times. `cold` are the films that the split held out, with what people took of them
last: few queries, kept for a single look.

Each line has NDCG@10 and the paired difference from texts alone with its standard error over people, and, for hidden
films, the least and the largest difference over the deals, as films are a sample too. The last line sums up. A ratio
above 1 means that the best weight of posters on hidden films is ahead of texts alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from modalities import IMAGE, NAME, prepared
from peers import data_folder, machine

WEIGHTS = (0.25, 0.5, 0.75, 1.0)
FOLDS, NEWEST, K = 5, 10, 10
DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))


class Task(NamedTuple):
    """What each person's newest films are, and what to find among some films.

    Attributes:
        newest: float32 `[people, num_items]`, 1 for a person's newest films.
        hidden: int `[m]`, the films to rank.
        taken: bool `[people, m]`, what is to be found.
    """

    newest: np.ndarray
    hidden: np.ndarray
    taken: np.ndarray


def task(histories: list[np.ndarray], hidden: np.ndarray, num_items: int, taken: list[np.ndarray]) -> Task:
    """The task of finding `taken` among `hidden` by the histories' other films."""
    newest, found = np.zeros((len(histories), num_items), np.float32), np.zeros((len(histories), num_items), bool)
    for person, (history, targets) in enumerate(zip(histories, taken, strict=True)):
        newest[person, history[~np.isin(history, hidden)][-NEWEST:]] = 1
        found[person, targets] = True
    return Task(newest, hidden, found[:, hidden])


def deals(histories: list[np.ndarray], items: np.ndarray, num_items: int, seed: int) -> list[Task]:
    """A task for each fifth of the items."""
    folds = np.array_split(np.random.default_rng(seed).permutation(items), FOLDS)
    return [task(histories, np.sort(fold), num_items, histories) for fold in folds]


def ndcg(kernel: np.ndarray, tasks: list[Task]) -> np.ndarray:
    """NDCG@10 of each person, the mean over the tasks in which there is something to find by something; else NaN."""
    results = np.full((len(tasks), len(tasks[0].newest)), np.nan)
    for row, (newest, hidden, taken) in enumerate(tasks):
        best = np.argsort(-(newest @ kernel[:, hidden]), axis=1, kind="stable")[:, :K]
        gains = np.take_along_axis(taken, best, axis=1) @ DISCOUNTS
        counts = taken.sum(axis=1)
        asked = (counts > 0) & newest.any(axis=1)
        results[row, asked] = gains[asked] / np.cumsum(DISCOUNTS)[np.minimum(counts[asked], K) - 1]
    return np.nanmean(results[:, np.isfinite(results).any(axis=0)], axis=0)


def kernel(units: list[np.ndarray], weights: list[float]) -> np.ndarray:
    """Likeness of all pairs of items: the kernel of the cosines, weighted by the squares of the weights."""
    from tfrec.models.shared.neighbours import kernel_of

    present = np.stack([np.any(unit != 0, axis=1) for unit in units], axis=1)
    lengths = np.sqrt(np.maximum(present @ np.square(weights), 1e-12)).astype(np.float32)
    cosines = sum(np.float32(weight**2) * (unit @ unit.T) for unit, weight in zip(units, weights, strict=True))
    return kernel_of(cosines / (lengths[:, None] * lengths))


def shuffled(unit: np.ndarray, seed: int) -> np.ndarray:
    """Posters in a random order among the films that have one."""
    rows, changed = np.flatnonzero(np.any(unit != 0, axis=1)), unit.copy()
    changed[rows] = unit[np.random.default_rng(seed).permutation(rows)]
    return changed


def conditions(text: np.ndarray, image: np.ndarray, orders: int) -> dict[str, np.ndarray]:
    """The likeness of each condition."""
    from tfrec.retrieval.unit_vectors import unit_vectors

    meaningless = unit_vectors(np.random.default_rng(0).normal(size=text.shape).astype(np.float32))
    found = {
        "text": kernel([text], [1.0]),
        "meaningless": kernel([meaningless], [1.0]),
        "image": kernel([image], [1.0]),
    }
    found |= {f"both_{weight:g}": kernel([text, image], [1.0, weight]) for weight in WEIGHTS}
    for order in range(orders):
        found |= {f"shuffled_{order}_{weight:g}": kernel([text, shuffled(image, order)], [1.0, weight])
                  for weight in (0.5, 1.0)}  # fmt: skip
    return found


def unit_modalities(dataset: Any) -> list[np.ndarray]:
    """Unit vectors of texts and posters by which films are alike."""
    from tfrec.config import RunConfig
    from tfrec.encoders import load_image_encoder
    from tfrec.encoders.load import load_configured
    from tfrec.models.shared.item_features import image_vectors_of, item_modalities, text_vectors_of
    from tfrec.models.shared.modalities import neighbour_vectors
    from tfrec.retrieval.unit_vectors import unit_vectors

    config = RunConfig()
    texts = text_vectors_of(dataset.texts, load_configured(config.encoder), config)
    given = item_modalities(dataset, texts, image_vectors_of(dataset.items, load_image_encoder(IMAGE), config))
    return [unit_vectors(neighbour_vectors(vectors, ())) for _, vectors in given]


def compared(result: np.ndarray, text: np.ndarray) -> dict[str, float]:
    """The mean, and the paired difference from texts alone with its standard error."""
    gain = result - text
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return {"ndcg@10": float(result.mean()), "difference": float(gain.mean()), "error": error}


def measured(dataset: Any, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The lines of the benchmark."""
    training, cold = dataset.training(), dataset.items["train_count"].to_numpy() == 0
    histories, num_items = np.split(training.items, training.offsets[1:-1]), dataset.num_items
    hidden = [deals(histories, np.flatnonzero(~cold), num_items, seed) for seed in range(arguments.deals)]
    queries = dataset.queries("test", "cold_items")
    past = np.split(queries.history.items, queries.history.offsets[1:-1])
    targets = np.split(queries.target_items, queries.target_offsets[1:-1])
    last = [task(past, np.flatnonzero(cold), num_items, targets)]
    lines: dict[str, dict[str, Any]] = {}
    alone: dict[str, np.ndarray] = {}
    for name, likeness in conditions(*unit_modalities(dataset), arguments.orders).items():
        by_deal = [ndcg(likeness, tasks) for tasks in hidden]
        results = {"hidden": np.mean(by_deal, axis=0), "cold": ndcg(likeness, last)}
        alone = alone or {**results, "deals": np.array([each.mean() for each in by_deal])}
        gains = [float(each.mean()) - before for each, before in zip(by_deal, alone["deals"], strict=True)]
        lines[name] = {part: compared(values, alone[part]) for part, values in results.items()}
        lines[name]["hidden"] |= {"least": min(gains), "largest": max(gains)}
        print(json.dumps({"condition": name, **lines[name]}), flush=True)
    return lines


def main() -> None:
    """Parses the command line, measures, and prints the JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", choices=("full", "title", "genres"), default="full", help="what texts consist of")
    parser.add_argument("--deals", type=int, default=5, help="how often the films are dealt into fifths")
    parser.add_argument("--orders", type=int, default=3, help="random orders of the posters")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of the films without training events")
    arguments = parser.parse_args()
    folder = data_folder(NAME)
    if folder is None:
        raise SystemExit(f"{NAME} is not in $TFREC_BENCH_DATA; its posters are not shipped with the project.")
    arguments.seed = 0
    with tempfile.TemporaryDirectory() as work:
        lines = measured(prepared("both", folder, Path(work), arguments), arguments)
    best = max((name for name in lines if name.startswith("both")), key=lambda name: lines[name]["hidden"]["ndcg@10"])
    ratios = {part: lines[best][part]["ndcg@10"] / lines["text"][part]["ndcg@10"] for part in ("hidden", "cold")}
    figures = {"data": NAME, **vars(arguments), "best": best, "conditions": lines}
    versions = {"numpy": version("numpy")}
    about = {"benchmark": "picture_likeness", "ratios": ratios, "figures": figures}
    print(json.dumps({**about, "machine": machine(), "versions": versions}))


if __name__ == "__main__":
    main()
