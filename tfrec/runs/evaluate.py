"""`evaluate`: measures a run and the baselines, and writes the metrics file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Queries
from tfrec.errors import InvalidInput
from tfrec.evaluation import RankingResult
from tfrec.evaluation.evaluate_ranking import evaluate_with
from tfrec.evaluation.rankings import Ranker, rank_queries
from tfrec.evaluation.small_groups import FEWEST, without_small_groups
from tfrec.evaluation.standing import MeasuredBaseline, standing
from tfrec.files import check_output_file, write_json
from tfrec.models.baselines.counting import (
    Cooccurrence,
    CooccurrenceText,
    LastItemText,
    Popularity,
    RecentCooccurrence,
    RecentPopularity,
)
from tfrec.models.baselines.ease_and_als import MOST_ITEMS, Als, Ease
from tfrec.models.family import Ability
from tfrec.models.registry import family_of
from tfrec.models.shared.recent_counts import half_lives
from tfrec.reporting.table_files import write_frame
from tfrec.retrieval.items_to_recommend import among, items_to_recommend
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.runs.cold_start import cold_slices
from tfrec.runs.metrics_by_group import beyond_accuracy, slice_report
from tfrec.runs.mlflow_tracking import add_to_record
from tfrec.runs.moved_run import run_on
from tfrec.runs.rank_on_workers import ranker_of
from tfrec.runs.run import Run, load_run
from tfrec.runs.two_stage import check_ranker, two_stage_protocol, two_stage_scorer

SEED = 0
"""Of bootstrap resamples, and of the draw of users who are measured: two runs on the same data have the same users."""
HEADLINE = ("recall", "ndcg", "mrr", "hit_rate", "coverage", "novelty")


def evaluate(
    run: Run | str | Path,
    data: PreparedDataset | str | Path,
    split: str = schema.TEST,
    out: str | Path | None = None,
    *,
    trained_baselines: bool = False,
    ranker: Run | str | Path | None = None,
) -> dict[str, Any]:
    """Evaluates a run on a split by full ranking, and the popularity, text and co-occurrence baselines with it.

    Targets that are gone from the catalogue are counted in the protocol and left out, as no list may hold them
    (`retrieval.only_catalogue`).

    Args:
        run: The trained run, or its folder.
        data: The prepared data that the run was trained on, or its folder.
        split: "valid" or "test".
        out: File for the metrics; by default `metrics.json` in the run's folder. The per-user top-k and the ranks of
            the targets are written to `predictions.parquet` in the run's folder.
        trained_baselines: Whether to fit EASE (up to 20,000 items) and ALS (extra `baselines`) as well; their metrics
            are under "baselines_trained".
        ranker: A click-ranker run on the same catalogue, or its folder. The metrics of the lists it re-ranks are under
            "two_stage".

    Returns:
        The contents of the metrics file; values are in 0…1, novelty is in bits.

    Raises:
        InvalidInput: The split is unknown or has no queries, the run or the data is not valid, their catalogues differ,
            or the folder of `out` does not exist.
    """
    if split not in (schema.VALID, schema.TEST):
        raise InvalidInput(f"Expected the split valid or test, received {split!r}.")
    if out is not None:
        check_output_file(out, force=True)
    prepared, run = load_dataset(data), load_run(run)
    family = family_of(run.kind)
    dataset = family.read_by(run.config, prepared)
    run = run_on(run, dataset)
    if run.is_moved and out is None:
        raise InvalidInput(
            f"{dataset.path} has another catalogue than {run.path}, whose own metrics stay as they are. Pass --out."
        )
    second = None if ranker is None else load_run(ranker)
    if second is not None:
        check_ranker(run, second)
    if family.can(Ability.RANK_CATALOGUE, run.config):
        scorer = run.scorer(dataset)
        with ranker_of(run, scorer, str(prepared.path.absolute())) as rank:
            metrics = _ranking_metrics(run, scorer, dataset, split, rank)
            if trained_baselines:
                queries, fitted = _queries(run, dataset, split), _trained_baselines(dataset)
                metrics["baselines_trained"] = _headlines(measure_baselines(fitted, queries, dataset, run, rank))
    else:
        metrics = family.evaluate(run, dataset, split)
    if second is not None:
        metrics["two_stage"] = _two_stage_metrics(run, second, dataset, split)
    file = Path(out or run.path / "metrics.json")
    write_json(file, metrics)
    if not run.is_moved:
        add_to_record(run.path, file, metrics, f"{split}.")
    return metrics


def _two_stage_metrics(run: Run, ranker: Run, dataset: PreparedDataset, split: str) -> dict[str, Any]:
    """Headline metrics of the re-ranked lists, and the ranker's protocol."""
    queries, measured = _queries(run, dataset, split), {}
    for name, masked in (("", run.config.evaluation.exclude_seen), ("_served", excludes_seen(run.config, dataset))):
        scorer = two_stage_scorer(run, ranker, dataset, exclude_seen=masked)
        (result,) = _measure(scorer, queries, dataset, run, (masked,), brief=bool(name))
        measured[name] = _headline(result)
    return {
        **measured[""],
        "ndcg@10_served": measured["_served"]["ndcg@10"],
        "protocol": two_stage_protocol(ranker),
    }


def _ranking_metrics(run: Run, scorer: Scorer, dataset: PreparedDataset, split: str, rank: Ranker) -> dict[str, Any]:
    every = _recommendable(run, dataset, split)
    queries = every.sample(run.config.evaluation.most_users, SEED)
    if not len(queries.user_ids):
        raise InvalidInput(f"The {split} split has no queries: no user has a history and a target. Add events.")
    masked = run.config.evaluation.exclude_seen
    served = excludes_seen(run.config, dataset)
    protocols = [masked] if masked == served else [masked, served]
    result, *others = _measure(scorer, queries, dataset, run, protocols, rank=rank)
    as_served = others[0] if others else result
    if not run.is_moved:
        write_frame(result.predictions, run.path / "predictions.parquet", force=True)
    fitted = _untrained_baselines(dataset, run.untuned_text_vectors)
    untrained = measure_baselines(fitted, queries, dataset, run, rank)
    return {
        **{name: float(value) for name, value in result.metrics.items() if name not in ("users", "items")},
        "ndcg@10_served": float(as_served.metrics["ndcg@10"]),
        "users": len(queries.user_ids),
        "items": dataset.num_items,
        "intervals": {name: [float(low), float(high)] for name, (low, high) in result.intervals.items()},
        "protocol": {
            "split": dataset.manifest["split"],
            "part": split,
            "ranking": "full",
            "exclude_seen": masked,
            "exclude_seen_served": served,
            "ties": "against the model",
            "targets": len(queries.target_items),
            **_left_out(every, dataset, split),
            **({"users_drawn_from": len(every)} if len(every) > len(queries) else {}),
            **({FEWEST: run.config.privacy.k} if run.config.privacy.k > 1 else {}),
        },
        "beyond": beyond_accuracy(result, dataset, run, queries),
        "slices": {
            **without_small_groups(cold_slices(scorer, dataset, run, split), run.config.privacy.k),
            **slice_report(result, dataset, run, queries, {name: found.result for name, found in untrained.items()}),
        },
        "baselines": _headlines(untrained),
        "standing": standing(result, untrained),
    }


def _queries(run: Run, dataset: PreparedDataset, split: str) -> Queries:
    """The queries that a split is measured by: `_recommendable`, at most `evaluation.most_users`."""
    return _recommendable(run, dataset, split).sample(run.config.evaluation.most_users, SEED)


def _recommendable(run: Run, dataset: PreparedDataset, split: str) -> Queries:
    """The queries of a split with the targets that may be recommended: no list holds the others."""
    return dataset.queries(split).with_targets_among(items_to_recommend(run.config, dataset.items))


def _left_out(queries: Queries, dataset: PreparedDataset, split: str) -> dict[str, int]:
    """How many targets are left out because the catalogue does not have them; nothing where there are none."""
    left = len(dataset.queries(split).target_items) - len(queries.target_items)
    return {"targets_not_in_catalogue": left} if left else {}


def _untrained_baselines(dataset: PreparedDataset, text_vectors: np.ndarray | None) -> dict[str, list[Scorer]]:
    """The fitted baselines, with one or several settings each.

    Without text vectors (float32 `[num_items, text_dim]`) there are only those that need none. Those with half-lives
    are for splits by time, where all queries are newer than the training.
    """
    fitted: dict[str, list[Scorer]] = {
        "popularity": [Popularity().fit(dataset)],
        "cooccurrence": [Cooccurrence().fit(dataset)],
    }
    if text_vectors is not None:
        fitted["text"] = [LastItemText().fit(dataset, text_vectors)]
        fitted["cooccurrence_text"] = [CooccurrenceText().fit(dataset, text_vectors)]
    tried = half_lives(dataset.training()) if dataset.manifest["split"] == schema.GLOBAL_TIME else []
    if tried:
        fitted["popularity_recent"] = [RecentPopularity(days).fit(dataset) for days in tried]
        fitted["cooccurrence_recent"] = [RecentCooccurrence(days).fit(dataset) for days in tried]
    return fitted


def _trained_baselines(dataset: PreparedDataset) -> dict[str, list[Scorer]]:
    fitted: dict[str, list[Scorer]] = {"ease": [Ease().fit(dataset)]} if dataset.num_items <= MOST_ITEMS else {}
    return {**fitted, "als": [Als().fit(dataset)]}


def measure_baselines(
    scorers: dict[str, list[Scorer]],
    queries: Queries,
    dataset: PreparedDataset,
    run: Run,
    rank: Ranker = rank_queries,
) -> dict[str, MeasuredBaseline]:
    """The result of each baseline under the settings that have the best NDCG@10 on validation.

    Args:
        scorers: The fitted scorers of each baseline by name, one for each setting.
        queries: The queries to evaluate.
        dataset: The prepared data.
        run: The run that the baselines are compared with. If it masks no seen items, each baseline may.
        rank: What ranks the catalogue.
    """
    valid, allowed = _queries(run, dataset, schema.VALID), items_to_recommend(run.config, dataset.items)
    measured: dict[str, MeasuredBaseline] = {}
    for name, fitted in scorers.items():
        masks = (True,) if run.config.evaluation.exclude_seen else (False, True)
        choices, best = [(scorer, mask) for scorer in fitted for mask in masks], None
        chosen, mask = choices[0]
        if len(valid.user_ids):
            results = [
                result.metrics["ndcg@10"]
                for scorer in fitted
                for result in _measure(among(scorer, allowed), valid, dataset, run, masks, brief=True, rank=rank)
            ]
            (chosen, mask), best = choices[int(np.argmax(results))], float(max(results))
        (result,) = _measure(among(chosen, allowed), queries, dataset, run, (mask,), rank=rank)
        half_life = getattr(chosen, "half_life", None)
        settings = {"exclude_seen": mask} | ({} if half_life is None else {"half_life_days": half_life})
        measured[name] = MeasuredBaseline(result, settings, best)
    return measured


def _headlines(measured: dict[str, MeasuredBaseline]) -> dict[str, dict[str, Any]]:
    """The headline metrics and the settings of measured baselines."""
    return {name: {**_headline(found.result), **found.settings} for name, found in measured.items()}


def _headline(result: RankingResult) -> dict[str, float]:
    return {name: float(value) for name, value in result.metrics.items() if name.split("@")[0] in HEADLINE}


def _measure(
    scorer: Scorer,
    queries: Queries,
    dataset: PreparedDataset,
    run: Run,
    exclude_seen: Sequence[bool],
    *,
    brief: bool = False,
    rank: Ranker = rank_queries,
) -> list[RankingResult]:
    """One result per value of `exclude_seen`; with `brief`, only metrics at 10, without intervals and lists."""
    options = run.config.evaluation
    return evaluate_with(
        rank,
        scorer,
        queries,
        exclude_seen,
        num_items=dataset.num_items,
        ks=(10,) if brief else sorted({10, *options.ks}),
        train_counts=None if brief else dataset.items[schema.TRAIN_COUNT].to_numpy(),
        bootstrap=(0 if brief else options.bootstrap, SEED),
        batch_size=options.batch_size,
        keep_predictions=0 if brief else 100,
    )
