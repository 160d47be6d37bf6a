"""Compares systems with a baseline on the same queries: differences, intervals, corrected p-values, effect sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.evaluation.beyond_accuracy import flat_ranks
from tfrec.evaluation.list_metrics import precision_metrics
from tfrec.evaluation.ranking_metrics import ranking_metrics
from tfrec.evaluation.significance import adjust, paired_bootstrap, paired_permutation


def compare_systems(
    systems: Mapping[str, Sequence[pl.DataFrame]],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = ("ndcg@10", "recall@10"),
    correction: str = "holm",
    resamples: int = 2000,
    flips: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compares every system with the baseline on every metric, paired by user. Seeds are repeated measurements.

    A user's value is the mean over the seeds of a system. Intervals come from `paired_bootstrap`, which resamples users
    and seeds, and p-values from `paired_permutation`, which flips the signs of users' differences. The p-values of the
    whole table are corrected together.

    Args:
        systems: System name to predictions, one frame per seed (`RankingResult.predictions` or predictions.parquet).
        baseline: Name of the baseline. Defaults to the first system.
        metrics: recall, ndcg, mrr, hit_rate, precision or map, with a cutoff, e.g. "ndcg@10".
        correction: "holm", "benjamini-hochberg" or "none".
        resamples: int. Number of bootstrap resamples.
        flips: int. Number of random sign flips of the permutation test.
        seed: int. Seed of both tests.

    Returns:
        One row per system and metric: system, baseline, metric, users, seeds, value, baseline_value, difference, low
        and high (95% interval of the difference), relative (difference divided by the baseline's value), effect_size
        (d_z: mean divided by standard deviation of the users' differences; 0 if all are 0), seed_sd (standard deviation
        of the system's mean over its seeds; NaN with one seed), wins, ties, losses (users), p, p_adjusted.

    Raises:
        InvalidInput: Fewer than two systems, an unknown baseline or metric, or predictions for different users or
            targets.

    Example:
        >>> def run(*ranks):
        ...     return pl.DataFrame({"user_id": ["a", "b"], "targets": [[1], [2]], "ranks": [[r] for r in ranks]})
        >>> compare_systems({"A": [run(1, 2)], "B": [run(1, 1)]}, metrics=["mrr@10"])["difference"].to_list()
        [0.25]
    """
    names = list(systems)
    if len(names) < 2:
        raise InvalidInput(f"Expected at least two systems to compare, received {len(names)}.")
    baseline = names[0] if baseline is None else baseline
    if baseline not in systems:
        raise InvalidInput(f"Expected the baseline to be one of {', '.join(names)}; received {baseline!r}.")
    anchor = systems[baseline][0].select(schema.USER_ID, "targets")
    values = {
        name: np.stack([_values(frame, anchor, name, metrics) for frame in frames]) for name, frames in systems.items()
    }
    rows = []
    for name in names:
        if name != baseline:
            rows += _compare(name, baseline, values, metrics, resamples, flips, seed)
    table = pl.DataFrame(rows)
    return table.with_columns(pl.Series("p_adjusted", adjust(table["p"].to_numpy(), correction)))


def _compare(
    name: str,
    baseline: str,
    values: Mapping[str, np.ndarray],
    metrics: Sequence[str],
    resamples: int,
    flips: int,
    seed: int,
) -> list[dict[str, object]]:
    theirs, ours = values[baseline], values[name]
    differences = ours.mean(axis=0) - theirs.mean(axis=0)
    bounds = paired_bootstrap(theirs, ours, resamples=resamples, seed=seed)
    p_values = paired_permutation(differences, flips=flips, seed=seed)
    by_seed = ours.mean(axis=1)
    rows: list[dict[str, object]] = []
    for place, metric in enumerate(metrics):
        d = differences[:, place]
        deviation = d.std(ddof=1) if len(d) > 1 else 0.0
        before = float(theirs[..., place].mean())
        rows.append(
            {
                "system": name,
                "baseline": baseline,
                "metric": metric,
                "users": len(d),
                "seeds": len(ours),
                "value": float(ours[..., place].mean()),
                "baseline_value": before,
                "difference": float(d.mean()),
                "low": float(bounds[place, 0]),
                "high": float(bounds[place, 1]),
                "relative": float(d.mean() / before) if before else float("nan"),
                "effect_size": float(d.mean() / deviation) if deviation > 1e-12 else 0.0,
                "seed_sd": float(by_seed[:, place].std(ddof=1)) if len(ours) > 1 else float("nan"),
                "wins": int((d > 1e-12).sum()),
                "ties": int((np.abs(d) <= 1e-12).sum()),
                "losses": int((d < -1e-12).sum()),
                "p": float(p_values[place]),
            }
        )
    return rows


def _values(frame: pl.DataFrame, anchor: pl.DataFrame, name: str, metrics: Sequence[str]) -> np.ndarray:
    """Metric values of each user, float64 `[users, metrics]`, in the order of `anchor`."""
    _require_same(frame, anchor, name)
    aligned = anchor.select(schema.USER_ID).join(frame, on=schema.USER_ID, how="left", maintain_order="left")
    ranks, offsets = flat_ranks(aligned)
    columns = []
    for metric in metrics:
        kind, _, k = metric.partition("@")
        if not k.isdigit() or int(k) < 1:
            raise InvalidInput(f"Expected a metric such as ndcg@10, received {metric!r}.")
        known = {**ranking_metrics(ranks, offsets, int(k)), **precision_metrics(ranks, offsets, int(k))}
        if kind not in known:
            raise InvalidInput(f"Expected one of {', '.join(known)}, such as ndcg@10; received {metric!r}.")
        columns.append(known[kind])
    return np.stack(columns, axis=1)


def _require_same(frame: pl.DataFrame, anchor: pl.DataFrame, name: str) -> None:
    for table in (frame, anchor):
        repeated = table.height - table[schema.USER_ID].n_unique()
        if repeated:
            raise InvalidInput(f"Expected one query per user; in {name} {repeated} rows repeat a user.")
    mine, theirs = set(frame[schema.USER_ID].to_list()), set(anchor[schema.USER_ID].to_list())
    if mine != theirs:
        only, missing = sorted(mine - theirs), sorted(theirs - mine)
        raise InvalidInput(
            f"{name} was evaluated on other users than the baseline: {len(only)} only here, {len(missing)} only there "
            f"(e.g. {(only + missing)[0]!r}). Evaluate both on the same data and split."
        )
    paired = anchor.join(frame, on=schema.USER_ID, suffix="_other")
    different = paired.filter(pl.col("targets").list.sort() != pl.col("targets_other").list.sort()).height
    if different:
        raise InvalidInput(
            f"{different} of {paired.height} users have other targets in {name} than in the baseline. "
            "Evaluate both on the same data and split."
        )
