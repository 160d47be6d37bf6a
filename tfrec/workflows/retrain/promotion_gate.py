"""Champion and challenger on the same newest window, and whether the challenger may take over."""

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
from tfrec.retrieval.scorer import Scorer
from tfrec.runs.run import Run

CHAMPION, CHALLENGER = "champion", "challenger"
POPULARITY = "popularity"


class AsServed:
    """A model of an earlier catalogue over today's, as its server answers today's requests.

    Items it does not know are left out of the histories and never recommended (−inf); event kinds it does not know are
    read as no kind; a history of which nothing is left is answered with its popular items.

    Args:
        scorer: The model.
        run: Where it is from: its catalogue, event kinds and counts.
        dataset: Today's catalogue and event kinds.
    """

    name = CHAMPION

    def __init__(self, scorer: Scorer, run: Run, dataset: PreparedDataset) -> None:
        self.scorer, self.num_items = scorer, dataset.num_items
        self._counts = run.item_counts.astype(np.float32)
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
        found = np.full((len(rows), self.num_items), -np.inf, np.float32)
        ours = np.flatnonzero(self._theirs >= 0)
        scores = np.array(self.scorer.scores(theirs, np.arange(len(rows))))
        scores[theirs.lengths == 0] = self._counts
        found[:, ours] = scores[:, self._theirs[ours]]
        return found


def judge(
    dataset: PreparedDataset, challenger: Run, champion: Run | None, config: RetrainConfig, chosen_until: int | None
) -> dict[str, Any]:
    """Measures both on the test window of `dataset` and decides.

    Both as they are served: each with its own choice about seen items, the champion with the catalogue it has. Without
    a champion, popularity takes its place; without `beat_popularity` too, it is shown and decides nothing.

    Args:
        dataset: The data that the challenger was trained on; neither model has seen its test window.
        challenger: The new run.
        champion: The served one.
        config: What the gate asks for.
        chosen_until: Time (µs) up to which the champion was trained and validated, to tell whether the window is new
            to it.

    Returns:
        promote (bool), reasons (why not), rival, users, new_to_champion (bool), metrics: a row each with metric,
        champion, challenger, difference, low, high, floor (what `low` has to reach), holds.

    Raises:
        InvalidInput: the window has no user with a history and a target.
    """
    queries = dataset.queries(schema.TEST)
    if not len(queries):
        raise InvalidInput("The newest window has no user with a history and a known target. Wait for more events.")
    seen = challenger.manifest["exclude_seen"]
    metrics = list(dict.fromkeys([config.metric, *config.guardrails]))
    ks = sorted({int(name.split("@")[1]) for name in metrics})

    def measured(scorer: Scorer, exclude_seen: bool) -> RankingResult:
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

    ours = measured(challenger.scorer(dataset), seen)
    if champion is None:
        theirs = measured(Popularity().fit(dataset), seen)
    else:
        theirs = measured(AsServed(champion.scorer(), champion, dataset), champion.manifest["exclude_seen"])
    rows = compared(theirs, ours, metrics, config.tolerance, challenger.config.training.seed)
    bound = champion is not None or config.beat_popularity
    reasons = refusals(rows if bound else [], len(queries), config)
    start = dataset.manifest["cuts"].get(schema.TEST)
    return {
        "promote": not reasons,
        "reasons": reasons,
        "rival": POPULARITY if champion is None else CHAMPION,
        "users": len(queries),
        "new_to_champion": champion is None or chosen_until is None or chosen_until <= start,
        "metrics": rows,
    }


def compared(
    theirs: RankingResult, ours: RankingResult, metrics: list[str], tolerance: float, seed: int = 0
) -> list[dict[str, Any]]:
    """A row a metric: both values, the difference with its 95% interval paired by user, the floor, whether it holds.

    Coverage belongs to no user: it has no interval, and its difference itself has to reach the floor.
    """
    paired = [name for name in metrics if not name.startswith("coverage@")]
    systems = {CHAMPION: [theirs.predictions], CHALLENGER: [ours.predictions]}
    table = compare_systems(systems, metrics=paired, flips=1, seed=seed)
    found = {row["metric"]: row for row in table.to_dicts()}
    rows = []
    for name in metrics:
        row = found.get(name)
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


def refusals(rows: list[dict[str, Any]], users: int, config: RetrainConfig) -> list[str]:
    """Why the challenger may not take over; empty where it may.

    The first row is that of the metric, whose difference must not be below 0: with the floor alone, a model could lose
    a little each night. No row may reach below its floor.

    Example:
        >>> row = {"metric": "ndcg@10", "difference": -0.01, "low": -0.02, "high": 0.0, "floor": -0.03, "holds": True}
        >>> refusals([row], 100, RetrainConfig())
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
