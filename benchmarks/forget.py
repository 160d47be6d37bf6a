"""What does erasure cost, does anything of the people stay, and what does it do to the lists of others?

For each seed, some people are drawn to be forgotten, and as many are kept out of everything, to compare with. A run is
trained on all but those (*before*), and `tfrec forget` takes the first ones out (*after*). With `--never` a third run
is trained on a log that they were never in, and its weights are compared with those of *after*. Membership is the AUC,
with its 95% interval, of telling those who are forgotten from those who were kept out, by the mean log-probability that
a model gives the next items of their training histories: above .5 before, .5 when nothing is left.

A second erasure, of `--requests` people from a run on everybody, is for the lists: NDCG@10 on the test events of those
who stay, before and after, and the 95% interval of the difference. Requests that come one by one end at the same data,
and so at the same run, as all at once (tests/data/test_erase.py).

With `--counts-only` models are built and not fitted, which takes seconds: neighbours, popularity and repeats, which are
the parts that hold pairs of single people exactly, are what is asked then.

Cost is the time of an erasure over that of preparing and training from nothing, texts encoded before. `--shards 5`
measures what a cheaper start would be: five models on a fifth of the people each, whose probabilities are averaged, so
that one person's erasure trains a fifth again (SISA, Bourtoule et al. 2021).

Prints a JSON line for each part and seed, and one with all. A ratio above 1: erasing costs less than training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import machine
from quality import DATA, tables

PLACES = 5
"""Steps of a history that a model is asked for, the newest ones."""


def built(family: Any, dataset: Any, config: Any, workdir: Path, context: Any) -> Any:
    """In the place of a fit: the model of the counts of the log (neighbours, popularity, repeats), not fitted."""
    from tfrec.models.next_item.build import build_next_item_model
    from tfrec.training.fit_result import FitResult

    return FitResult(build_next_item_model(dataset, context.text_vectors, config), metrics_valid={})


class Log:
    """A log of which people are left out.

    Args:
        name: Name of the data set.
        options: Options of all trainings.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.events, self.items = tables(name)
        self.options = options
        self.users = np.sort(self.events["user_id"].cast(pl.String).unique().to_numpy())

    def trained(self, home: Path, without: Sequence[str], seed: int) -> tuple[Any, float]:
        """A run `home/run` on the data `home/data`, and the seconds that both took, but for the encoding of texts."""
        from tfrec.data import prepare
        from tfrec.runs import train

        started = time.perf_counter()
        kept = self.events.filter(~pl.col("user_id").cast(pl.String).is_in(list(without)))
        data = prepare(kept, self.items, home / "data", split="leave-one-out")
        run = train(data, home / "run", {**self.options, "training.seed": seed})
        return run, time.perf_counter() - started - run.manifest["timings"]["encode_s"]


def erased(home: Path, users: Sequence[str]) -> tuple[Any, float]:
    """The run of a home after `tfrec forget`, and its seconds."""
    from tfrec.runs import Run
    from tfrec.workflows.forget import forget

    key = home.parent / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    started = time.perf_counter()
    forget(home, pl.DataFrame({"user_id": list(users)}), key=key)
    return Run(home / "run"), time.perf_counter() - started


def knowledge(run: Any, histories: Any) -> np.ndarray:
    """float64 `[users]`: the mean log-probability of the newest items of histories, each after what was before it."""
    from tfrec.models.next_item.scorer import NextItemScorer

    scorer, total, count = NextItemScorer(run.model), np.zeros(len(histories)), np.zeros(len(histories))
    for back in range(1, PLACES + 1):
        rows = np.flatnonzero(histories.lengths > back)
        lengths = histories.lengths[rows] - back
        scores = scorer.scores(histories.prefixes(rows, lengths), np.arange(len(rows))).astype(np.float64)
        own = scores[np.arange(len(rows)), histories.items[histories.offsets[:-1][rows] + lengths]]
        top = scores.max(axis=1)
        total[rows] += own - top - np.log(np.exp(scores - top[:, None]).sum(axis=1))
        count[rows] += 1
    return total / count


def membership(log: Log, seed: int, people: int, folder: Path, compared: bool = False) -> dict[str, Any]:
    """Whether the forgotten can be told from those who never were there: before, after, and never."""
    from tfrec.data import prepare
    from tfrec.privacy.lower_bound import membership_auc

    gone, outside = np.split(np.random.default_rng(seed).permutation(log.users)[: 2 * people], 2)
    everybody = prepare(log.events, log.items, folder / "all", split="leave-one-out").training()
    place = {user: row for row, user in enumerate(everybody.user_ids.astype(str))}
    asked = [
        everybody.prefixes(rows, everybody.lengths[rows]) for rows in ([place[u] for u in g] for g in (gone, outside))
    ]

    def auc(run: Any) -> dict[str, float]:
        return membership_auc(*(knowledge(run, histories) for histories in asked))

    home = folder / "home"
    home.mkdir()
    before, training = log.trained(home, outside, seed)
    found = {"before": auc(before)}
    after, erasing = erased(home, gone)
    found["after"] = auc(after)
    more: dict[str, Any] = {}
    if compared:
        never, _ = log.trained(folder / "never", [*gone, *outside], seed)
        found["never"] = auc(never)
        pairs = zip(after.model.get_weights(), never.model.get_weights(), strict=True)
        more = {"same_weights": all(np.array_equal(one, other) for one, other in pairs)}
    seconds = {"training": round(training, 1), "forget": round(erasing, 1)}
    return {"auc": found, **more, "people": people, "seconds": seconds}


def ndcg(scorer: Any, data: Any) -> pl.DataFrame:
    """user_id and ndcg@10 of the test queries."""
    from tfrec.evaluation import evaluate_ranking

    result = evaluate_ranking(scorer, data.queries("test"), num_items=data.num_items, ks=(10,), bootstrap=0)
    return result.per_user.select("user_id", "ndcg@10")


def requests(log: Log, seed: int, people: int, folder: Path) -> dict[str, Any]:
    """What an erasure does to the lists of those who stay."""
    from tfrec.data import load_dataset
    from tfrec.evaluation.significance import paired_bootstrap
    from tfrec.models.next_item.scorer import NextItemScorer

    home = folder / "home"
    home.mkdir()
    before, training = log.trained(home, [], seed)
    old = ndcg(NextItemScorer(before.model), load_dataset(home / "data"))
    after, erasing = erased(home, np.random.default_rng(seed).permutation(log.users)[:people])
    both = ndcg(NextItemScorer(after.model), load_dataset(home / "data")).join(old, "user_id", suffix="_before")
    first, second = (both[name].to_numpy()[None, :, None] for name in ("ndcg@10_before", "ndcg@10"))
    low, high = paired_bootstrap(first, second)[0]
    change = {"before": first.mean(), "after": second.mean(), "low": low, "high": high}
    seconds = {"training": round(training, 1), "forget": round(erasing, 1)}
    return {"ndcg@10": {name: float(value) for name, value in change.items()}, "people": people, "seconds": seconds}


class Averaged:
    """The mean of the probabilities that several models give the items."""

    def __init__(self, scorers: Sequence[Any]) -> None:
        self.scorers = scorers

    def scores(self, histories: Any, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        each = [scorer.scores(histories, rows) for scorer in self.scorers]
        each = [np.exp(scores - scores.max(axis=1, keepdims=True)) for scores in each]
        return np.mean([scores / scores.sum(axis=1, keepdims=True) for scores in each], axis=0).astype(np.float32)


def shards(log: Log, seed: int, count: int, folder: Path) -> dict[str, Any]:
    """NDCG@10 of one model on everybody, of the mean of models on a share of the people each, and of one of these."""
    from tfrec.data import load_dataset
    from tfrec.models.next_item.scorer import NextItemScorer

    whole, seconds = log.trained(folder / "whole", [], seed)
    parts = np.array_split(np.random.default_rng(seed).permutation(log.users), count)
    trained = [
        log.trained(folder / f"shard-{number}", np.setdiff1d(log.users, part), seed)
        for number, part in enumerate(parts)
    ]
    data = load_dataset(folder / "whole" / "data")
    scorers = [NextItemScorer(run.model) for run, _ in trained]
    found = {"whole": NextItemScorer(whole.model), "averaged": Averaged(scorers), "one": scorers[0]}
    means = {name: float(ndcg(scorer, data)["ndcg@10"].mean()) for name, scorer in found.items()}
    return {"shards": count, "ndcg@10": means, "seconds": {"whole": round(seconds, 1), "one": round(trained[0][1], 1)}}


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All lines."""
    log = Log(options.data, dict(value.partition("=")[::2] for value in options.set))
    parts = {
        "membership": (partial(membership, compared=options.never), options.people),
        "requests": (requests, options.requests),
    }
    parts |= {"shards": (shards, options.shards)}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for part, (measure, size) in parts.items():
            if size:
                with tempfile.TemporaryDirectory() as folder:
                    figures = measure(log, seed, size, Path(folder))
                yield {"part": part, "data": options.data, "seed": seed, **figures}


def main() -> None:
    """Measures, and prints the JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movielens-100k", choices=DATA, help="data set")
    parser.add_argument("--seeds", type=int, default=1, help="repetitions, each with people and a training of its own")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first")
    parser.add_argument("--people", type=int, default=200, help="forgotten, for the membership part; 0 leaves it out")
    parser.add_argument("--never", action="store_true", help="also train on a log without the forgotten")
    parser.add_argument("--counts-only", action="store_true", help="models of the counts of the log, not fitted")
    parser.add_argument("--requests", type=int, default=50, help="forgotten, for the lists of others; 0 leaves it out")
    parser.add_argument("--shards", type=int, default=0, help="models on a share of the people each")
    parser.add_argument("--set", action="append", default=[], help="options of all trainings, section.key=value")
    options = parser.parse_args()

    import tfrec  # noqa: F401  (chooses Keras 2)

    if options.counts_only:
        from tfrec.models.next_item.family import NextItemFamily

        NextItemFamily.fit = built  # type: ignore[method-assign,assignment]
    lines = []
    for line in measured(options):
        print(json.dumps(line), flush=True)
        lines.append(line)
    seconds = [line["seconds"] for line in lines if "forget" in line["seconds"]]
    ratios = (
        {"training_over_forget": float(np.median([s["training"] / s["forget"] for s in seconds]))} if seconds else {}
    )
    last = {"figures": {"lines": lines}, "machine": machine(), "versions": {"tensorflow": version("tensorflow")}}
    print(json.dumps({"benchmark": "forget", "ratios": ratios, **last}))


if __name__ == "__main__":
    main()
