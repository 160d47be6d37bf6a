"""`compare_encoders`: which encoder suits a catalogue, by what its text vectors recommend there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tfrec import schema
from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.encoders import TextEncoder, load_encoder
from tfrec.errors import InvalidInput
from tfrec.evaluation import compare_systems
from tfrec.models.shared.item_features import text_vectors_of
from tfrec.runs.evaluate import evaluate
from tfrec.runs.train import train
from tfrec.workflows.text_recommender import folder_bytes, ndcg_of, rank_by_text, texts_per_second

METRIC = "ndcg@10"


def compare_encoders(
    data: PreparedDataset | str | Path,
    encoders: Sequence[str],
    *,
    split: str = schema.VALID,
    runs: str | Path | None = None,
    seeds: Sequence[int] = (0,),
    config: ConfigSource = None,
) -> pl.DataFrame:
    """Compares encoders on a user's own data: quality with paired intervals, speed and size.

    "text" is the untrained recommender of the items whose text is nearest to that of the history's last item. Whether
    it leaves out the items of the history is decided once, by what is better for the first encoder on validation.

    Args:
        data: Prepared data, or its folder.
        encoders: Presets, encoder folders or TF-Hub pairs. The first is what the others are compared with.
        split: "valid" or "test". Choose on "valid".
        runs: Folder for a trained model of each encoder and seed; None compares the untrained recommender only. Runs
            that are there already are evaluated again, not trained again.
        seeds: Seeds of the trained models.
        config: Configuration of the trained models, and `encoder.seq_length`; None for the defaults.

    Returns:
        One row per recommender ("text", and "trained" with `runs`) and encoder: recommender, encoder, dim, megabytes,
        texts_per_second, ndcg@10, difference from the first encoder, low and high (95% interval of the difference,
        paired by user), relative, p_adjusted (Holm). The last five are null for the first encoder.

    Raises:
        InvalidInput: Fewer than two encoders, one twice, one that cannot be loaded, or a split without queries.
        Unavailable: A download is needed but not possible.

    Example:
        >>> compare_encoders("data/shop", ["minilm-l6", "encoders/shop"])  # doctest: +SKIP
    """
    names, dataset, settings = [str(name) for name in encoders], load_dataset(data), as_run_config(config)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidInput(
            f"Expected at least two different encoders to compare; received {', '.join(names) or 'none'}."
        )
    if not len(dataset.queries(split)):
        raise InvalidInput(f"The {split} split of the data has no queries, so encoders cannot be compared on it.")
    loaded = [load_encoder(name, precision=settings.encoder.precision) for name in names]
    lists = {"text": _untrained(dataset, dict(zip(names, loaded)), split, config=settings)}
    if runs is not None:
        lists["trained"] = _trained(dataset, names, split, Path(runs), seeds, settings)
    speeds = texts_per_second(loaded, dataset.texts, settings.encoder.seq_length)
    facts = pl.DataFrame(
        {
            "encoder": names,
            "dim": [encoder.dim for encoder in loaded],
            "megabytes": [folder_bytes(encoder) / 1e6 for encoder in loaded],
            "texts_per_second": speeds,
        }
    )
    return pl.concat([_rows(kind, systems, facts) for kind, systems in lists.items()])


def _untrained(
    dataset: PreparedDataset, encoders: dict[str, TextEncoder], split: str, config: RunConfig
) -> dict[str, list[pl.DataFrame]]:
    vectors = {name: text_vectors_of(dataset.texts, encoder, config) for name, encoder in encoders.items()}
    first = next(iter(vectors.values()))
    free, masked = (ndcg_of(result) for result in rank_by_text(dataset, first, schema.VALID))
    return {
        name: [rank_by_text(dataset, each, split)[int(masked >= free)].predictions] for name, each in vectors.items()
    }


def _trained(
    dataset: PreparedDataset, names: Sequence[str], split: str, runs: Path, seeds: Sequence[int], config: RunConfig
) -> dict[str, list[pl.DataFrame]]:
    systems: dict[str, list[pl.DataFrame]] = {}
    for place, name in enumerate(names):
        for seed in seeds:
            folder = runs / f"{place}-{Path(name).name}-{seed}"
            if not folder.is_dir():
                train(dataset, folder, config.with_values({"encoder.name": name, "training.seed": seed}))
            evaluate(folder, dataset, split)
            systems.setdefault(name, []).append(pl.read_parquet(folder / "predictions.parquet"))
    return systems


def _rows(kind: str, systems: dict[str, list[pl.DataFrame]], facts: pl.DataFrame) -> pl.DataFrame:
    table = compare_systems(systems, metrics=[METRIC])
    kept = ["difference", "low", "high", "relative", "p_adjusted"]
    first = {"encoder": table["baseline"][0], METRIC: table["baseline_value"][0]}
    others = table.select(pl.col("system").alias("encoder"), pl.col("value").alias(METRIC), *kept)
    quality = pl.concat([pl.DataFrame(first), others], how="diagonal")
    return facts.join(quality, on="encoder", how="left", maintain_order="left").select(
        pl.lit(kind).alias("recommender"), pl.all()
    )
