"""How good are recommendations, compared with models of RecTools, implicit, Cornac and RecBole?

tfrec prepares, trains and evaluates with its defaults. The peers train on the same events in environments of their own
and make lists from the same histories (training and validation events). The same code measures all lists of the test
users: recall and NDCG over the full catalogue. Epochs and settings of the peers are chosen on the validation queries
that tfrec also uses. Each peer is measured with and without seen items, and the better result counts. Prints one JSON
line; a ratio of NDCG@10 above 1 means that tfrec is better. With `--seeds 0` the peers are measured alone.

With `--config` tfrec's options come from a file, as those of `benchmarks/recipes`, and `--length` gives RecTools'
models longer histories. With `--beside` one peer trains at the same time as tfrec, each on half of the cores, and tfrec
validates each epoch; `time_to_quality` is then the peer's seconds until its best validation NDCG@10 over tfrec's until
it has reached the same, training and validation counted on both sides.

With `--permuted` the events of each user are shuffled first, as the order in the file may give something away (that of
one day's purchases, for example). `own_sasrec` is then tfrec's model without text, memory, biases and score weights.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from peers import data_folder, machine, peer_python, run_peer
from quality_files import measure

PACKAGES = ["rectools[torch]==0.19.0", "implicit==0.7.2", "pyarrow==18.1.0"]
RECBOLE = ["recbole==1.2.1", "numpy==1.26.4", "scipy==1.11.4", "pandas==2.1.4", "pyarrow==18.1.0"]
CORNAC = ["cornac==3.0.1", "torch==2.14.1", "pandas==2.3.3", "pyarrow==18.1.0"]
ENVIRONMENTS = {"recommenders": PACKAGES, "recbole": RECBOLE, "cornac": CORNAC}


class Peer(NamedTuple):
    """A model, the script that fits it, and the environment of the script."""

    model: str
    script: str = "quality_peers.py"
    environment: str = "recommenders"


PEERS = {
    "rectools_sasrec": Peer("sasrec"),
    "rectools_gsasrec": Peer("gsasrec"),
    "rectools_bert4rec": Peer("bert4rec"),
    "rectools_unisrec": Peer("unisrec"),
    "rectools_ease": Peer("ease"),
    "implicit_als": Peer("als"),
    "cornac_sasrec": Peer("cornac-sasrec", "quality_cornac.py", "cornac"),
    "cornac_gru4rec": Peer("cornac-gru4rec", "quality_cornac.py", "cornac"),
    "recbole_lightgcn": Peer("lightgcn", "quality_recbole.py", "recbole"),
}
NAMES = ("recall@10", "ndcg@10", "recall@50", "fit_seconds", "processor_seconds")
FOLDERS = {
    "scientific": "amazon_scientific",
    "beauty": "amazon_beauty",
    "toys": "amazon_toys",
    "office": "amazon_office",
    "movielens-latest-small": "movielens_latest_small",
    "movielens-1m": "movielens_1m",
}
DATA = [*FOLDERS, "movielens-100k"]

OWN_SASREC = ["model.use_text=false", "model.neighbours=0", "model.repeat_bias=false", "model.popular=0"]
OWN_SASREC += ["training.balance=false"]
SEED = 7
"""Seed of the order of events with `--permuted`."""


def permuted(events: pl.DataFrame) -> pl.DataFrame:
    """The events with timestamps that give those of each user a random order, the same in every run."""
    order = np.random.default_rng(SEED).permutation(events.height)
    return events.with_columns(pl.Series("timestamp", order, pl.Int64))


def tables(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and items of a data set from `$TFREC_BENCH_DATA`; MovieLens-100K if it is not there."""
    from tfrec.data import read_movielens_100k
    from tfrec.downloads import movielens_100k_folder

    folder = data_folder(FOLDERS[name]) if name in FOLDERS else None
    if folder is None:
        return read_movielens_100k(movielens_100k_folder())
    return pl.read_parquet(folder / "events.parquet"), pl.read_parquet(folder / "items.parquet")


def dataset(name: str, split: str, out: Path, permute: bool = False) -> Any:
    """The data set of `tables`, prepared."""
    from tfrec.data import prepare

    events, items = tables(name)
    return prepare(permuted(events) if permute else events, items, out, split=split)


def hand_over(data: Any, folder: Path, split: str = "test") -> None:
    """Writes for the peers training events (train), histories (context) and targets of a split."""
    folder.mkdir(exist_ok=True)
    rows = {user: row for row, user in enumerate(data.histories().user_ids)}
    queries = data.queries(split)
    targets = {"user": np.repeat([rows[u] for u in queries.user_ids], np.diff(queries.target_offsets))}
    pl.DataFrame({**targets, "item": queries.target_items.astype(np.int64)}).write_parquet(folder / "targets.parquet")
    for name, histories in (("train", data.training()), ("context", queries.history)):
        user = np.repeat([rows[u] for u in histories.user_ids], histories.lengths)
        place = np.arange(len(user)) - np.repeat(histories.offsets[:-1], histories.lengths)
        frame = pl.DataFrame({"user": user, "item": histories.items.astype(np.int64), "position": place})
        frame.write_parquet(folder / f"{name}.parquet")


def text_vectors(data: Any, config: Any) -> np.ndarray:
    """The text vectors of all items, which tfrec reads and a peer may read; they are computed once."""
    from tfrec.encoders.load import load_configured
    from tfrec.models.shared.item_features import text_vectors_of

    return text_vectors_of(data.texts, load_configured(config.encoder), config)


def with_peer(peer: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fits a peer on the files of `hand_over`; it writes its lists beside them. Returns what it reports."""
    model, script, environment = PEERS[peer]
    arguments = [str(Path(__file__).with_name(script)), model, str(folder), "--minutes", str(options.minutes)]
    arguments += ["--length", str(options.length)]
    return json.loads(run_peer(peer_python(environment, ENVIRONMENTS[environment]), *arguments))


def lists_of(peer: str, folder: Path, masked: bool) -> dict[int, list[int]]:
    """The lists that a peer wrote."""
    name = f"{PEERS[peer].model}-masked" if masked else PEERS[peer].model
    ranked = pl.read_parquet(folder / f"{name}.parquet").sort("user", "rank")
    return dict(ranked.group_by("user", maintain_order=True).agg("item").iter_rows())


@contextmanager
def halves(pool: ThreadPoolExecutor, peer: str, folder: Path, options: argparse.Namespace) -> Iterator[Future[Any]]:
    """Fits a peer on one half of the cores while the caller goes on with the other half."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("--beside needs two cores or more.")
    middle = len(cores) // 2

    def fit() -> dict[str, Any]:
        os.sched_setaffinity(0, cores[middle:])  # of this thread, and so of the process it starts
        return with_peer(peer, folder, options)

    running = pool.submit(fit)
    os.sched_setaffinity(0, cores[:middle])
    try:
        yield running
    finally:
        os.sched_setaffinity(0, cores)


def with_tfrec(data: Any, folder: Path, seed: int, targets: dict[int, list[int]], config: Any) -> dict[str, Any]:
    """Metrics, seconds, validation by the seconds, and baselines of a run."""
    from tfrec.runs import evaluate, train

    curve: list[tuple[float, float]] = []

    def after_epoch(_: int, logs: dict[str, Any] | None) -> None:
        if logs and "valid_ndcg@10" in logs:
            curve.append((time.perf_counter() - started, float(logs["valid_ndcg@10"])))

    started, processor = time.perf_counter(), time.process_time()
    path = folder / f"run-{seed}-{len(os.listdir(folder))}"
    run = train(data, path, config.with_values({"training.seed": seed}), after_epoch=after_epoch)
    spent = {"fit_seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    metrics = evaluate(run, data)
    rows = {user: row for row, user in enumerate(data.histories().user_ids)}
    predictions = pl.read_parquet(run.path / "predictions.parquet")
    lists = {rows[u]: list(items) for u, items in zip(predictions["user_id"], predictions["items"], strict=True)}
    ours = measure(lists, targets)
    if abs(ours["ndcg@10"] - metrics["ndcg@10"]) > 1e-3:  # only ties at the end of a list may differ
        raise SystemExit(f"ndcg@10 is {ours['ndcg@10']} by the lists and {metrics['ndcg@10']} by evaluate.")
    told = {**spent, "curve": curve, "score_weights": run.manifest.get("score_weights")}
    return {**ours, **told, "baselines": metrics["baselines"]}


def main() -> None:
    """Parses the command line, measures, and prints the table and the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow
    from tfrec.config import RunConfig

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="scientific")
    parser.add_argument("--split", choices=["leave-one-out", "global-time"], default="leave-one-out")
    parser.add_argument("--seeds", type=int, default=1, help="number of tfrec runs, 0 for none; peers run once")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="seed of the first run, to add seeds to earlier figures"
    )
    parser.add_argument(
        "--minutes", type=float, default=8, help="longest training of a peer, processor time; not of ALS"
    )
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--permuted", action="store_true", help="shuffle the events of each user")
    parser.add_argument("--config", type=Path, help="options of tfrec, in place of its defaults")
    parser.add_argument("--length", type=int, default=50, help="history of the peers' sequential models")
    parser.add_argument("--beside", choices=["rectools_sasrec", "rectools_bert4rec"], help="peer trained meanwhile")
    options = parser.parse_args()
    if options.beside and not options.seeds:
        parser.error("--beside trains a peer beside tfrec; it needs --seeds 1 or more.")
    load_tensorflow(pool=True)  # as the commands do
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = dataset(options.data, options.split, folder / "data", options.permuted)
        hand_over(data, folder)
        hand_over(data, folder / "valid", split="valid")
        targets = dict(pl.read_parquet(folder / "targets.parquet").group_by("user").agg("item").iter_rows())
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        config = RunConfig.load(options.config) if options.config else RunConfig()
        table: dict[str, Any] = {}
        reports: dict[str, Any] = {}
        if options.beside:
            config = config.with_values({"training.validate_from": 0})
            with ThreadPoolExecutor(1) as pool, halves(pool, options.beside, folder, options) as running:
                runs = [with_tfrec(data, folder, seed, targets, config) for seed in seeds]
                reports[options.beside] = running.result()
        else:
            runs = [with_tfrec(data, folder, seed, targets, config) for seed in seeds]
        if options.permuted and runs:
            without = config.with_values(OWN_SASREC)
            own = [with_tfrec(data, folder, seed, targets, without) for seed in seeds]
            table["own_sasrec"] = {name: float(np.mean([run[name] for run in own])) for name in NAMES}
        if "rectools_unisrec" in options.peers:
            np.save(folder / "texts.npy", text_vectors(data, config))
        for peer in dict.fromkeys([*reports, *options.peers]):
            report = reports.get(peer) or with_peer(peer, folder, options)
            table[peer] = {**measure(lists_of(peer, folder, masked=False), targets), **report}
            table[f"{peer}_masked"] = measure(lists_of(peer, folder, masked=True), targets)
    print(json.dumps(summary(options, runs, table)))


def time_to_quality(ours: dict[str, Any], peer: dict[str, Any]) -> float | None:
    """The peer's seconds until its best validation over ours until the same; None if we never reach it."""
    seconds, best = max(peer["curve"], key=lambda point: point[1])
    reached = [own for own, value in ours["curve"] if value >= best]
    return seconds / reached[0] if reached else None


def means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and deviations over the runs of tfrec, and the curve and the choice of score weights of each."""
    mean = {name: float(np.mean([run[name] for run in runs])) for name in NAMES}
    deviations = {f"{name}_deviation": float(np.std([run[name] for run in runs])) for name in NAMES[:3]}
    chosen = [run["score_weights"] for run in runs]
    return {**mean, **deviations, "score_weights": chosen, "curve": runs[0]["curve"], "baselines": runs[0]["baselines"]}


def summary(options: argparse.Namespace, runs: list[dict[str, Any]], table: dict[str, Any]) -> dict[str, Any]:
    """The JSON line."""
    ours = means(runs) if runs else {}
    best = {
        peer: max(table[peer]["ndcg@10"], table[f"{peer}_masked"]["ndcg@10"])
        for peer in table
        if f"{peer}_masked" in table
    }
    best |= {"own_sasrec": table["own_sasrec"]["ndcg@10"]} if "own_sasrec" in table else {}
    used = options.data if options.data not in FOLDERS or data_folder(FOLDERS[options.data]) else "movielens-100k"
    asked = {name: getattr(options, name) for name in ("split", "permuted", "seeds", "first_seed", "minutes", "length")}
    return {
        "benchmark": "quality",
        "ratios": {peer: ours["ndcg@10"] / value for peer, value in best.items()} if runs else {},
        **({"time_to_quality": time_to_quality(runs[0], table[options.beside])} if options.beside else {}),
        "figures": {"data": used, **asked, "tfrec": ours, **table},
        "machine": machine(),
        "versions": {"peers": [package for packages in ENVIRONMENTS.values() for package in packages]},
    }


if __name__ == "__main__":
    main()
