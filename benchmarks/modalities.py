"""Do posters beside texts help, and can they hurt?

Trains a NextItemModel on movielens_100k_posters in $TFREC_BENCH_DATA (leave-one-out; a fifth of the items is kept out
of training, so that there are cold ones) with texts, with posters, with both, and with controls: posters in a random
order, and posters that are missing. By default `model.modality_weight=auto`, which leaves posters out that add nothing;
then the features are those of texts alone, and so is the run, which is not trained again. With --weight that weight is
forced, to see what is avoided.

Each condition prints a JSON line: NDCG@10 on all queries, and on cold items among the whole catalogue and among cold
ones, each with the paired difference from texts alone and its standard error. The last line sums up. A ratio above 1
means that texts with posters are ahead of texts alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import data_folder, machine

NAME = "movielens_100k_posters"
CONDITIONS = ("text", "image", "both", "shuffled", "missing_25", "missing_50", "missing_100")
IMAGE = "efficientnet-lite0"


def catalogue(folder: Path, condition: str, text: str, seed: int) -> pl.DataFrame:
    """The items of a condition, with their posters in the column `image`.

    Args:
        folder: The data set.
        condition: One of `CONDITIONS`.
        text: "full" for titles, genres and overviews; or the name of a single column.
        seed: Of the order and of what is missing.
    """
    items = pl.read_parquet(folder / "items.parquet").join(
        pl.read_parquet(folder / "images.parquet"), on="item_id", how="left"
    )
    if text != "full":
        items = items.select("item_id", text, "image")
    rng, images = np.random.default_rng(seed), items["image"].to_list()
    order = rng.permutation(len(images))
    if condition == "shuffled":
        images = [images[row] for row in order]
    if condition.startswith("missing"):
        for row in order[: len(images) * int(condition.split("_")[1]) // 100]:
            images[row] = None
    return items.with_columns(pl.Series("image", images, pl.Binary))


def settings(condition: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of a training."""
    chosen: dict[str, Any] = {"training.seed": arguments.seed, "model.modality_weight": arguments.weight}
    if arguments.epochs:
        chosen["training.epochs"] = arguments.epochs
    if condition != "text":
        chosen["encoder.image"] = IMAGE
    return chosen | {"model.use_text": condition != "image"}


def measured(run: Any, dataset: Any) -> dict[str, np.ndarray]:
    """NDCG@10 of each query: on all, on cold items, and on cold items among themselves."""
    from tfrec.evaluation import evaluate_ranking
    from tfrec.retrieval.items_to_recommend import CandidateScorer

    scorer, cold = run.scorer(dataset), dataset.items["train_count"].to_numpy() == 0
    slices = {"all": ("warm", scorer), "cold": ("cold_items", scorer)}
    slices["among_cold"] = ("cold_items", CandidateScorer(scorer, cold))
    options: dict[str, Any] = {"num_items": dataset.num_items, "ks": (10,), "bootstrap": 0, "keep_predictions": 0}
    return {
        name: evaluate_ranking(each, dataset.queries("test", slice), **options).per_user["ndcg@10"].to_numpy()
        for name, (slice, each) in slices.items()
    }


def compared(result: dict[str, np.ndarray], text: dict[str, np.ndarray]) -> dict[str, Any]:
    """Means, and the paired differences from texts alone with their standard errors."""
    line: dict[str, Any] = {}
    for name, values in result.items():
        difference = values - text[name]
        error = float(difference.std() / np.sqrt(len(difference)))
        line[name] = {"ndcg@10": float(values.mean()), "difference": float(difference.mean()), "error": error}
        line[name]["queries"] = len(values)
    return line


def prepared(condition: str, folder: Path, work: Path, arguments: argparse.Namespace) -> Any:
    """The data set of a condition."""
    import tfrec

    items = catalogue(folder, condition, arguments.text, arguments.seed)
    options = {"split": "leave-one-out", "config": {"data.held_out_items": arguments.held_out}}
    return tfrec.prepare(folder / "events.parquet", items, work / condition, **options)


def chosen_weight(dataset: Any, config: Any) -> float:
    """The weight of posters beside texts that `model.modality_weight=auto` chooses."""
    from tfrec.encoders import load_image_encoder
    from tfrec.encoders.load import load_configured
    from tfrec.models.shared.item_features import image_vectors_of, item_modalities, text_vectors_of
    from tfrec.models.shared.modality_weights import choose_modality_weights

    texts = text_vectors_of(dataset.texts, load_configured(config.encoder), config)
    given = item_modalities(dataset, texts, image_vectors_of(dataset.items, load_image_encoder(IMAGE), config))
    return sum(choose_modality_weights(given, dataset.training(), config.training.seed))  # of none or one


def run_condition(
    condition: str, folder: Path, work: Path, arguments: argparse.Namespace, text: dict[str, np.ndarray] | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains and measures; the results of `text` stand for those of a run with the same features."""
    import tfrec
    from tfrec.config import RunConfig

    config = RunConfig().with_values(settings(condition, arguments))
    dataset, about = prepared(condition, folder, work, arguments), {}
    if condition not in ("text", "image"):
        weight = chosen_weight(dataset, config) if arguments.weight == "auto" else float(arguments.weight)
        about = {"weight": weight}
        if text is not None and not weight:
            return text, {**about, "same_run_as": "text"}
    if arguments.choose_only:
        return {}, about
    started = time.monotonic()
    run = tfrec.train(dataset, work / f"run_{condition}", config)
    return measured(run, dataset), {**about, "train_s": round(time.monotonic() - started)}


def main() -> None:
    """Parses the command line, measures the conditions and prints the JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS, help="text is always first")
    parser.add_argument("--text", choices=("full", "title", "genres"), default="full", help="what texts consist of")
    parser.add_argument("--weight", default="auto", help="model.modality_weight: auto, or a number that is forced")
    parser.add_argument("--epochs", type=int, help="training.epochs instead of the default")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of the items without training events")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--choose-only", action="store_true", help="train nothing, and print the weights")
    arguments = parser.parse_args()
    folder = data_folder(NAME)
    if folder is None:
        raise SystemExit(f"{NAME} is not in $TFREC_BENCH_DATA; its posters are not shipped with the project.")
    lines: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as work:
        text = None
        for condition in ("text", *(name for name in arguments.conditions if name != "text")):
            result, about = run_condition(condition, folder, Path(work), arguments, text)
            text = result if text is None else text
            lines[condition] = {**compared(result, text), **about}
            print(json.dumps({"condition": condition, "text": arguments.text, **lines[condition]}), flush=True)
    both, alone = lines.get("both"), lines["text"]
    names = ("all", "cold", "among_cold") if both and not arguments.choose_only else ()
    found = {name: (both[name]["ndcg@10"], alone[name]["ndcg@10"]) for name in names} if both else {}
    ratios = {name: ours / theirs for name, (ours, theirs) in found.items() if theirs}
    versions = {name: version(name) for name in ("tensorflow", "numpy")}
    figures = {"data": NAME, **vars(arguments), "conditions": lines}
    print(
        json.dumps(
            {
                "benchmark": "modalities",
                "ratios": ratios,
                "figures": figures,
                "machine": machine(),
                "versions": versions,
            }
        )
    )


if __name__ == "__main__":
    main()
