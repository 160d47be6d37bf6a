"""`measure_faithfulness`: how true the explanations of a run are, beside other ways to explain, over many users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.evaluation.group_slices import activity_groups, popularity_groups
from tfrec.explanation.counterfactuals import Removals
from tfrec.explanation.deletions import DeletionScorer, RescoredDeletions, total
from tfrec.explanation.explain_lists import histories_to_explain
from tfrec.explanation.explainer import WINDOW, Explainer, Lists
from tfrec.explanation.faithfulness import FAITHFULNESS_FILE
from tfrec.explanation.faithfulness.attributions import Asked, Method, exact_effects, methods
from tfrec.explanation.faithfulness.curves import curves, events_for_share, named_events, rank_agreement
from tfrec.explanation.faithfulness.randomised import randomised
from tfrec.explanation.next_item import deletions_of_model
from tfrec.files import write_json
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.progress import track
from tfrec.runs.run import Run, load_run

OURS = "leave-one-out"
_BATCH = 32
_RESAMPLES = 1000


def measure_faithfulness(
    run: Run | str | Path,
    data: PreparedDataset | Histories | str | Path,
    *,
    users: int = 2000,
    k: int = 10,
    removals: int = 5,
    others: Sequence[Run | str | Path] = (),
    seed: int = 0,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Measures how true explanations are: what each method names is deleted, and the model is asked again.

    For each of a sample of users, one item of their list is drawn and explained by each method: leave-one-out, "served"
    (what exports answer; left out where it is leave-one-out), random, recency, item cosine, integrated gradients and
    attention rollout.

    Args:
        run: A next-item run, or its folder.
        data: The prepared data that the run was trained on, or its folder; or histories in the run's indices.
        users: int. Users to draw, of those with a history; all if there are no more.
        k: int. Length of the lists.
        removals: int. Largest set of events that is searched for without which the item leaves the list.
        others: Runs that differ in the seed alone, for the stability of leave-one-out; or their folders.
        seed: int. Of the sample, the drawn items, "random" and the shuffled weights.
        out: JSON file to write. None for `faithfulness.json` in the run's folder; "" for none.

    Returns:
        {"users", "items", "events", "methods": {name: {measure: {"mean", "low", "high"}}}, "ratios": {"random",
        "best_other", ...: {"mean", "low", "high"}}: the fall of the score without the three events that leave-one-out
        names, over that of others; "served_area": share of the deletion area; "counterfactuals": share of users whose
        item leaves the list, and mean size of the set; "randomised", "stability": Spearman's rank correlation with the
        weights of shuffled models and of `others`; "deciding_parts": for which share of the users, by activity, another
        item would be first without a part of the model; "slices": fall@3 of each method by activity and history length
        of the user and popularity of the item}. Intervals are of 95%, from a bootstrap over users.

    Raises:
        InvalidInput: The run is not a next-item run, a number is below 1, or no user has a history.
    """
    for name, value in (("users", users), ("k", k), ("removals", removals)):
        if not isinstance(value, Integral) or value < 1:
            raise InvalidInput(f"Expected {name} of at least 1, received {value!r}.")
    trained = load_run(run)
    if not isinstance(trained.model, NextItemModel):
        raise InvalidInput(
            f"Faithfulness is measured for next-item runs; {trained.path} is a {trained.kind} run. Pass one."
        )
    compared = [load_run(other).model for other in others]
    histories, exclude_seen = histories_to_explain(trained, data)
    rows = np.flatnonzero(histories.lengths > 0)
    if not len(rows):
        raise InvalidInput("No user has a history, so there is nothing to explain. Pass data with events.")
    rng = np.random.default_rng(seed)
    rows = rng.choice(rows, min(int(users), len(rows)), replace=False)
    rows = rows[np.argsort(histories.lengths[rows], kind="stable")]  # batches of similar lengths need little padding
    study = _Study(trained, compared, int(k), int(removals), seed)
    parts = [
        study.measured(histories, rows[start : start + _BATCH], exclude_seen, rng)
        for start in track(range(0, len(rows), _BATCH), "Measuring explanations")
    ]
    found = _joined(parts)
    summary = _summary(found, trained, histories.lengths[rows], seed)
    if out != "":
        write_json(Path(out) if out is not None else trained.path / FAITHFULNESS_FILE, summary)
    return summary


class _Study:
    """What is asked of each batch of users."""

    def __init__(self, run: Run, others: Sequence[NextItemModel], k: int, removals: int, seed: int) -> None:
        self.explainer = Explainer(run, removals=0)
        self.deletions: DeletionScorer = self.explainer.deletions
        self.rescored = RescoredDeletions.of_scorer(NextItemScorer(run.model), self.deletions.max_events)
        self.methods = methods(run.model, self.deletions, seed)
        self.search, self.k = Removals(self.deletions, k, removals), k
        self.shuffled = exact_effects(deletions_of_model(randomised(run.model, seed)))
        self.others: list[Method] = [exact_effects(deletions_of_model(model)) for model in others]

    def measured(
        self, histories: Histories, rows: np.ndarray, exclude_seen: bool, rng: np.random.Generator
    ) -> dict[str, Any]:
        """float `[rows]` by name, and those of each method; of rows with a list."""
        lists = self.explainer.lists(histories, rows, self.k, exclude_seen)
        count = (lists.items >= 0).sum(axis=1)
        drawn = (rng.random(len(rows)) * count).astype(int)
        asked = Asked(histories, rows, np.maximum(lists.items[np.arange(len(rows)), drawn], 0), WINDOW)
        weights = {name: method(asked) for name, method in self.methods.items()}
        named = {name: named_events(of_method, asked.lengths, 5) for name, of_method in weights.items()}
        of_methods = curves(self.deletions, self.rescored, asked, named)
        for name, of_method in weights.items():
            of_methods[name]["events_for_80%"] = events_for_share(of_method, asked.lengths)
            of_methods[name]["agreement"] = rank_agreement(of_method, weights[OURS], asked.lengths)
        sets = self.search.sets(histories, rows, asked.items, lists.excluded, WINDOW)
        stability = [rank_agreement(other(asked), weights[OURS], asked.lengths) for other in self.others]
        return {
            "methods": of_methods,
            "items": asked.items,
            "decides": self._deciding(lists),
            "removed": np.array([len(one) if one else 0 for one in sets]),
            "randomised": rank_agreement(self.shuffled(asked), weights[OURS], asked.lengths),
            "stability": np.mean(stability, axis=0) if stability else np.full(len(rows), np.nan),
        }

    def _deciding(self, lists: Lists) -> dict[str, np.ndarray]:
        """For each part of the model, float `[rows]`: 1 where another item would be first without it, else 0."""
        full = np.ones([len(lists.rows), 1, 1], bool)
        parts = {
            name: part[:, 0] for name, part in self.deletions.parts(lists.histories, lists.rows, full, None).items()
        }
        scores = np.where(lists.excluded, -np.inf, total(parts))
        first = scores.argmax(axis=1)
        return {name: ((scores - part).argmax(axis=1) != first).astype(float) for name, part in parts.items()}


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Batches one after the other."""
    first = parts[0]
    return {
        name: _joined([part[name] for part in parts])
        if isinstance(value, Mapping)
        else np.concatenate([part[name] for part in parts])
        for name, value in first.items()
    }


def _summary(found: Mapping[str, Any], run: Run, lengths: np.ndarray, seed: int) -> dict[str, Any]:
    of_methods, resamples = found["methods"], _resamples(len(lengths), seed)
    falls = {name: measures["fall@3"] for name, measures in of_methods.items()}
    cheap = [name for name in falls if name not in (OURS, "served")]
    best = max((name for name in cheap if name != "random"), key=lambda name: falls[name].mean())
    groups = {
        "activity": activity_groups(lengths),
        "events in the history": np.where(lengths < 4, "1 to 3", np.where(lengths < 10, "4 to 9", "10 or more")),
        "popularity of the item": popularity_groups(run.item_counts)[found["items"]],
    }
    summary = {
        "users": len(lengths),
        "events": {"window": WINDOW, "median": float(np.median(np.minimum(lengths, WINDOW)))},
        "methods": {
            name: {measure: _interval(values, resamples) for measure, values in measures.items()}
            for name, measures in of_methods.items()
        },
        "best_other": best,
        "ratios": {
            name: _ratio(falls[OURS], falls[other], resamples)
            for name, other in (("random", "random"), ("best_other", best), *((name, name) for name in cheap))
        },
        "counterfactuals": {
            "found": _interval((found["removed"] > 0).astype(float), resamples),
            "size": float(found["removed"][found["removed"] > 0].mean()) if found["removed"].any() else None,
        },
        "deciding_parts": {
            **_slices(found["decides"], np.full(len(lengths), "everyone"), seed),
            **_slices(found["decides"], groups["activity"], seed),
        },
        "randomised": _interval(found["randomised"], resamples),
        "slices": {name: _slices(falls, labels, seed) for name, labels in groups.items()},
    }
    areas = {name: measures["deletion_area"] for name, measures in of_methods.items()}
    if "served" in areas:
        summary["served_area"] = _ratio(areas["served"], areas[OURS], resamples)
    if not np.isnan(found["stability"]).all():
        summary["stability"] = _interval(found["stability"], resamples)
    return summary


def _slices(values: Mapping[str, np.ndarray], labels: np.ndarray, seed: int) -> dict[str, dict[str, Any]]:
    """The mean of each of the values in each group of users."""
    slices: dict[str, dict[str, Any]] = {}
    for group in sorted(set(labels)):
        inside = labels == group
        drawn = _resamples(int(inside.sum()), seed)
        means = {name: _interval(of_name[inside], drawn) for name, of_name in values.items()}
        slices[str(group)] = {"users": int(inside.sum()), **means}
    return slices


def _resamples(users: int, seed: int) -> np.ndarray:
    """Users drawn with replacement, int `[resamples, users]`."""
    return np.random.default_rng(seed).integers(0, users, [_RESAMPLES, users])


def _interval(values: np.ndarray, resamples: np.ndarray) -> dict[str, float | None]:
    """Mean and 95% interval over users; NaN values are ignored, and null stands for no value at all."""
    known = np.isfinite(values)
    if not known.any():
        return {"mean": None, "low": None, "high": None}
    sums, counts = np.where(known, values, 0.0)[resamples].sum(axis=1), known[resamples].sum(axis=1)
    low, high = np.quantile(sums[counts > 0] / counts[counts > 0], [0.025, 0.975])
    return {"mean": float(values[known].mean()), "low": float(low), "high": float(high)}


def _ratio(first: np.ndarray, second: np.ndarray, resamples: np.ndarray) -> dict[str, float | None]:
    """Ratio of the means with its 95% interval; null where the second is not above 0."""
    means = first[resamples].mean(axis=1), second[resamples].mean(axis=1)
    if second.mean() <= 0:
        return {"mean": None, "low": None, "high": None}
    low, high = np.quantile(means[0] / np.where(means[1] > 0, means[1], np.nan), [0.025, 0.975])
    return {"mean": float(first.mean() / second.mean()), "low": _known(low), "high": _known(high)}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
