"""Does what was learnt in some shops help in another, and how much data of its own does that shop need?

One domain of Amazon is left out, and one model is trained on the others (`tfrec train --data … --data …`). For shares
of the users of the domain that was left out, drawn at random, these are measured on the test events of all its users:

- `text`: the better of the untrained baselines with text, `text` and `cooccurrence_text`, as `evaluate` measures them;
- `zero_shot`: the model of the others, with what is counted from the share (nothing at 0%); score weights are chosen
  on the validation events of the share, if they suffice;
- `fresh`: a training on the share alone;
- `chosen`: a training that starts from the model of the others, and keeps it or the fresh one by validation;
- with `--unisrec`, RecTools' UniSRec on the same text vectors: trained on the share, and at 0% on the others.

With `--control`, this is repeated with a model of the others whose items are shuffled between all of their events:
texts and popularity are the same, and nothing else is left to transfer. Seen items are masked in all of them. Prints a
JSON line a row as it is measured, and one JSON line for all. What is in `--work` already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import data_folder, machine
from quality import hand_over, lists_of, text_vectors, with_peer
from quality_files import measure

import tfrec
from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries
from tfrec.data.joined_datasets import JoinedDatasets

DOMAINS = ("scientific", "office", "beauty", "toys")
TEXT_BASELINES = ("text", "cooccurrence_text")
SOURCE = {"training.negatives": "mixed", "training.sample": "512", "training.validate_from": "1"}
"""A step of the source scores few candidates, and the last epoch alone is validated."""


class ShareOfUsers(PreparedDataset):
    """A prepared dataset in which some users alone are trained and validated with; all of them are tested.

    Args:
        dataset: The dataset.
        percent: Percentage of the users.
        seed: Seed of the draw.
    """

    def __init__(self, dataset: PreparedDataset, percent: float, seed: int) -> None:
        super().__init__(dataset.path)
        users = dataset.histories().user_ids
        drawn = np.random.default_rng(seed).permutation(users)[: round(len(users) * percent / 100)]
        self._whole, self._kept = dataset, set(drawn.tolist())
        self.manifest = {**self.manifest, "fingerprint": f"{self.manifest['fingerprint']} {percent} {seed}"}

    def training(self) -> Histories:
        """The training sequences of the users that were drawn."""
        whole = self._whole.training()
        rows = self._rows(whole)
        return whole.prefixes(rows, whole.lengths[rows])

    def queries(self, split: str, slice: str = "warm") -> Queries:
        """The validation queries of the users that were drawn, and all test queries."""
        queries = self._whole.queries(split, slice)
        return queries if split == schema.TEST else queries.take(self._rows(queries.history))

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue, with the training events of the users that were drawn."""
        items = self._whole.items
        counts = np.bincount(self.training().items, minlength=items.height)
        return items.with_columns(pl.Series(schema.TRAIN_COUNT, counts, items[schema.TRAIN_COUNT].dtype))

    def _rows(self, histories: Histories) -> np.ndarray:
        return np.flatnonzero([user in self._kept for user in histories.user_ids])


def prepared(name: str, work: Path, shuffled: bool = False) -> PreparedDataset:
    """A domain, prepared; `shuffled`: the items are shuffled between all of its events."""
    out, folder = work / "data" / f"{name}{'-shuffled' * shuffled}" / name, data_folder(f"amazon_{name}")
    if folder is None:
        raise SystemExit(f"There is no amazon_{name} in $TFREC_BENCH_DATA.")
    if not out.is_dir():
        events, items = (pl.read_parquet(folder / f"{kind}.parquet") for kind in ("events", "items"))
        if shuffled:
            events = events.with_columns(pl.col("item_id").shuffle(seed=0))
        tfrec.prepare(events, items, out, split="leave-one-out")
    return tfrec.load_dataset(out)


def trained(data: Any, out: Path, values: dict[str, str]) -> Any:
    """The run in the folder, trained first if it is not there."""
    return tfrec.load_run(out) if out.is_dir() else tfrec.train(data, out, values, force=True)


def measured(run: Any, data: PreparedDataset, file: Path) -> dict[str, Any]:
    """The metrics in the file, measured first if it is not there."""
    if not file.is_file():
        tfrec.evaluate(run, data, out=file)
    return json.loads(file.read_text())


def unisrec(data: PreparedDataset, others: list[PreparedDataset], options: argparse.Namespace, folder: Path) -> dict:
    """The metrics of UniSRec on the test events of `data`; trained on the others, if there are any, else on `data`."""
    config = RunConfig().with_values({"encoder.name": options.encoder})
    trained_on, asked = (JoinedDatasets(others), folder / "elsewhere") if others else (data, folder)
    for each, place in ((trained_on, folder), (data, asked)):
        hand_over(each, place)
        np.save(place / "texts.npy", text_vectors(each, config))
    hand_over(trained_on, folder / "valid", split="valid")
    with_peer("rectools_unisrec", folder, argparse.Namespace(minutes=options.unisrec, length=50))
    targets = dict(pl.read_parquet(asked / "targets.parquet").group_by("user").agg("item").iter_rows())
    return measure(lists_of("rectools_unisrec", folder, masked=True), targets)


def rows_of(target: str, options: argparse.Namespace, work: Path, seed: int) -> list[dict[str, Any]]:
    """The rows of one target and seed; each is printed when it is measured."""
    common = {"training.seed": str(seed), "encoder.name": options.encoder, "evaluation.exclude_seen": "true"}
    common |= dict(value.split("=", 1) for value in options.set)
    source = {**SOURCE, **common, "training.epochs": str(options.source_epochs)}
    fit = {**common, "training.epochs": str(options.epochs)}
    whole, rows = prepared(target, work), []

    def add(share: float, start: str, metrics: dict[str, Any], control: bool = False, **more: Any) -> None:
        row = {"target": target, "seed": seed, "share": share, "start": start, "control": control}
        row |= {"ndcg@10": round(metrics["ndcg@10"], 5), **more}
        if "intervals" in metrics:
            low, high = metrics["intervals"]["ndcg@10"]
            row["se"] = round((high - low) / 3.92, 5)
        rows.append(row)
        print(json.dumps(row), flush=True)

    for control in (False, True) if options.control else (False,):
        others = [
            ShareOfUsers(prepared(name, work, control), options.source_share, seed)
            for name in DOMAINS
            if name != target
        ]
        run = trained(others, work / f"source-{target}-{seed}{'-control' * control}", source)
        for share in options.shares:
            data = ShareOfUsers(whole, share, seed)
            name = f"{target}-{share}-{seed}"
            suffix = "-control" * control
            metrics = measured(run, data, work / f"{name}-zero{suffix}.json")
            if not control:
                best = max(TEXT_BASELINES, key=lambda each: metrics["baselines"][each]["ndcg@10"])
                add(share, "text", metrics["baselines"][best], baseline=best)
                if options.unisrec:
                    with tempfile.TemporaryDirectory() as folder:
                        add(share, "unisrec", unisrec(data, [] if share else others, options, Path(folder)))
            add(share, "zero_shot", metrics, control)
            if not share:
                continue
            if not control:
                fresh = trained(data, work / f"{name}-fresh", fit)
                add(share, "fresh", measured(fresh, data, work / f"{name}-fresh.json"))
            start = {**fit, "training.start_from": str(run.path)}
            chosen = trained(data, work / f"{name}-chosen{suffix}", start)
            kept = chosen.manifest["start"]
            metrics = measured(chosen, data, work / f"{name}-chosen{suffix}.json")
            add(share, "chosen", metrics, control, kept=kept["chosen"], trained=kept["trained"])
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Median ratios of NDCG@10: above 1 means that what was transferred is ahead."""
    found: dict[str, list[float]] = {}
    for row in rows:
        against = {"zero_shot": "text", "chosen": "fresh"}.get(row["start"])
        for other in rows:
            same = all(row[name] == other[name] for name in ("target", "seed", "share"))
            if same and other["start"] == against and other["ndcg@10"]:
                name = f"{row['start']}_{row['share']}%{'_control' * row['control']}_vs_{against}"
                found.setdefault(name, []).append(row["ndcg@10"] / other["ndcg@10"])
    return {name: round(float(np.median(values)), 3) for name, values in found.items()}


def main() -> None:
    """Measures every target, and prints the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", choices=DOMAINS, default=["office"])
    parser.add_argument("--shares", nargs="+", type=float, default=[0, 5], help="percent of the target's users")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=18, help="of trainings in the target")
    parser.add_argument("--source-epochs", type=int, default=6)
    parser.add_argument("--source-share", type=float, default=100, help="percent of the users of the others")
    parser.add_argument("--unisrec", type=float, default=0, help="minutes of UniSRec, processor time; 0 for none")
    parser.add_argument("--encoder", default="minilm-l6")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", help="options of all trainings")
    parser.add_argument("--control", action="store_true", help="also with sources whose items are shuffled")
    parser.add_argument(
        "--work", type=Path, help="folder of data, runs and metrics, used again; default: a temporary one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        rows = [
            row for target in options.targets for seed in options.seeds for row in rows_of(target, options, work, seed)
        ]
    versions = {name: version(name) for name in ("tensorflow", "numpy")}
    summary = {"benchmark": "transfer", "ratios": ratios(rows), "figures": {"rows": rows}}
    print(json.dumps({**summary, "machine": machine(), "versions": versions}))


if __name__ == "__main__":
    main()
