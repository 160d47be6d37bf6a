"""The promotion gate: measures champion and challenger on the same window and decides whether to promote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RetrainConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.evaluation import RankingResult, compare_systems, evaluate_ranking
from tfrec.models.baselines.counting import Popularity
from tfrec.models.registry import family_of
from tfrec.retrieval.items_to_recommend import among, items_to_recommend
from tfrec.retrieval.scorer import Scorer
from tfrec.runs.run import Run

CHAMPION, CHALLENGER = "champion", "challenger"
POPULARITY = "popularity"


class AsServed:
    """A Scorer that answers requests over today's catalogue as the server of an earlier model does.

    Items that the model does not know are dropped from histories and never recommended (−inf). Event kinds that it does
    not know are read as unknown. A history of which nothing is left gets the model's popular items.

    Args:
        scorer: Scorer of the earlier model, which keeps to the catalogue that it was exported with.
        run: Its run, for catalogue, event kinds and item counts.
        dataset: Today's data.
    """

    name = CHAMPION

    def __init__(self, scorer: Scorer, run: Run, dataset: PreparedDataset) -> None:
        self.scorer, self.num_items = scorer, dataset.num_items
        counts, allowed = run.item_counts.astype(np.float32), items_to_recommend(run.config, run.items)
        self._counts = counts if allowed is None else np.where(allowed, counts, np.float32(-np.inf))
        place = dict(zip(run.item_ids.tolist(), range(len(run.item_ids)), strict=True))
        self._theirs = np.array([place.get(item, -1) for item in dataset.item_ids.tolist()], np.int32)
        known = run.event_kinds
        kinds = [known.index(kind) if kind in known else schema.PADDING for kind in dataset.event_kinds]
        self._kinds = np.array(kinds, np.int16)

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        rows = np.asarray(rows)
        known = histories.prefixes(rows, histories.lengths[rows]).without(self._theirs < 0)
        theirs = replace(known, items=self._theirs[known.items], events=self._kinds[known.events])
        result = np.full((len(rows), self.num_items), -np.inf, np.float32)
        ours = np.flatnonzero(self._theirs >= 0)
        scores = np.array(self.scorer.scores(theirs, np.arange(len(rows))))
        scores[theirs.lengths == 0] = self._counts
        result[:, ours] = scores[:, self._theirs[ours]]
        return result


def evaluate_gate(
    dataset: PreparedDataset, challenger: Run, champion: Run | None, config: RetrainConfig, chosen_until: int | None
) -> dict[str, Any]:
    """Measures champion and challenger on the test window of `dataset` and decides whether to promote.

    Both are measured as they are served: each with its own rule about seen items, and the champion with the catalogue
    it was exported with. Targets that are gone from today's catalogue are left out: a champion that still recommends
    them wastes those places. Without a champion, the challenger is compared with popularity; with
    `retrain.beat_popularity=false` that comparison is reported but decides nothing.

    Args:
        dataset: Data that the challenger was trained on. Neither model has been trained on its test window.
        challenger: The new run.
        champion: The served run; None before the first promotion.
        config: Metrics and limits of the gate.
        chosen_until: Time (µs) up to which the champion was trained and validated; tells whether the window is new to
            the champion.

    Returns:
        promote (bool), reasons (against it), rival ("champion" or "popularity"), users, new_to_champion (bool), and
        metrics: for each metric champion, challenger, difference, low, high, floor (the lowest value that low may
        have) and holds.

    Raises:
        InvalidInput: the window has no user with a history and a target.
    """
    dataset = family_of(challenger.config.model.kind).read_by(challenger.config, dataset)
    allowed = items_to_recommend(challenger.config, dataset.items)
    queries = dataset.queries(schema.TEST).with_targets_among(allowed)
    if not len(queries):
        raise InvalidInput("The newest window has no user with a history and a known target. Wait for more events.")
    seen = challenger.manifest["exclude_seen"]
    metrics = list(dict.fromkeys([config.metric, *config.guardrails]))
    ks = sorted({int(name.split("@")[1]) for name in metrics})

    def measure(scorer: Scorer, exclude_seen: bool) -> RankingResult:
        return evaluate_ranking(
            scorer,
            queries,
            num_items=dataset.num_items,
            exclude_seen=exclude_seen,
            ks=ks,
            bootstrap=0,
            batch_size=challenger.config.evaluation.batch_size,
            keep_predictions=0,
        )

    ours = measure(challenger.scorer(dataset), seen)
    if champion is None:
        theirs = measure(among(Popularity().fit(dataset), allowed), seen)
    else:
        theirs = measure(AsServed(champion.scorer(), champion, dataset), champion.manifest["exclude_seen"])
    rows = compare_metrics(theirs, ours, metrics, config.tolerance, challenger.config.training.seed)
    must_hold = champion is not None or config.beat_popularity
    reasons = reasons_against(rows if must_hold else [], len(queries), config)
    start = dataset.manifest["cuts"].get(schema.TEST)
    return {
        "promote": not reasons,
        "reasons": reasons,
        "rival": POPULARITY if champion is None else CHAMPION,
        "users": len(queries),
        "new_to_champion": champion is None or chosen_until is None or chosen_until <= start,
        "metrics": rows,
    }


def compare_metrics(
    theirs: RankingResult, ours: RankingResult, metrics: list[str], tolerance: float, seed: int = 0
) -> list[dict[str, Any]]:
    """Compares two evaluations: for each metric both values, the difference with its 95% interval, floor and holds.

    Differences are paired by user. Coverage is no mean over users, so it has no interval, and its difference itself
    must reach the floor.

    Args:
        theirs: Evaluation of the champion.
        ours: Evaluation of the challenger, on the same queries.
        metrics: Names such as ndcg@10.
        tolerance: Share of the champion's value by which `low` may be negative.
        seed: Seed of the bootstrap.
    """
    paired = [name for name in metrics if not name.startswith("coverage@")]
    systems = {CHAMPION: [theirs.predictions], CHALLENGER: [ours.predictions]}
    table = compare_systems(systems, metrics=paired, flips=1, seed=seed)
    row_of = {row["metric"]: row for row in table.to_dicts()}
    rows = []
    for name in metrics:
        row = row_of.get(name)
        before, after = theirs.metrics.get(name), ours.metrics.get(name)
        if row is not None:
            before, after = row["baseline_value"], row["value"]
        assert before is not None and after is not None
        low, high = (row["low"], row["high"]) if row is not None else (None, None)
        floor = -tolerance * before
        reached = after - before if low is None else low
        rows.append(
            {
                "metric": name,
                "champion": round(before, 6),
                "challenger": round(after, 6),
                "difference": round(after - before, 6),
                "low": None if low is None else round(low, 6),
                "high": None if high is None else round(high, 6),
                "floor": round(floor, 6),
                "holds": bool(reached >= floor),
            }
        )
    return rows


def reasons_against(rows: list[dict[str, Any]], users: int, config: RetrainConfig) -> list[str]:
    """The reasons against a promotion; empty if the challenger passes.

    No interval may reach below its floor. The difference of the first metric must also not be negative: with floors
    alone, the served model could get a little worse in every run.

    Args:
        rows: Of `compare_metrics`, the deciding metric first.
        users: Users in the window.
        config: Limits of the gate.

    Example:
        >>> row = {"metric": "ndcg@10", "difference": -0.01, "low": -0.02, "high": 0.0, "floor": -0.03, "holds": True}
        >>> reasons_against([row], 100, RetrainConfig())
        ['ndcg@10 fell: -0.0100 (95% interval -0.0200 to +0.0000)']
    """
    reasons = []
    if users < config.min_users:
        reasons.append(f"only {users} users in the newest window, expected {config.min_users}")
    for place, row in enumerate(rows):
        interval = "" if row["low"] is None else f" (95% interval {row['low']:+.4f} to {row['high']:+.4f})"
        if place == 0 and row["difference"] < 0:
            reasons.append(f"{row['metric']} fell: {row['difference']:+.4f}{interval}")
        elif not row["holds"]:
            reasons.append(f"{row['metric']}: {row['difference']:+.4f}{interval} reaches below {row['floor']:+.4f}")
    return reasons
