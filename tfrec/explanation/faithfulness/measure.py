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
from tfrec.explanation.explainer import WINDOW, Explainer, Lists, deletions_of
from tfrec.explanation.faithfulness import FAITHFULNESS_FILE
from tfrec.explanation.faithfulness.attributions import Asked, Method, exact_effects, methods, simple_methods
from tfrec.explanation.faithfulness.curves import curves, events_for_share, named_events, rank_agreement
from tfrec.explanation.faithfulness.intervals import mean_interval, means_by_group, ratio_interval, resampled
from tfrec.explanation.faithfulness.randomised import randomised
from tfrec.explanation.faithfulness.ranker import measure_ranker
from tfrec.explanation.faithfulness.summary import SERVED, methods_summary
from tfrec.explanation.next_item import deletions_of_model
from tfrec.files import check_output_file, write_json
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.family import Ability
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.registry import family_of
from tfrec.progress import track
from tfrec.runs.run import Run, load_run

OURS = "leave-one-out"
_BATCH = 32


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
    force: bool = False,
) -> dict[str, Any]:
    """Measures how true explanations are: what each method names is deleted, and the model is asked again.

    For each of a sample of users, one item of their list is drawn and explained by each method: leave-one-out, "served"
    (what exports answer; left out where it is leave-one-out), random, recency, item cosine, integrated gradients and
    attention rollout (of transformer blocks). Of a behaviour-text run that makes lists, whose events are deleted from
    the text, the last two and shuffled weights are left out. Of a click-ranker, the item of the newest event is ranked
    after the others, and features are deleted from the logit: by Shapley values (`explain_ranking`), leave-one-out and
    random.

    Args:
        run: A run, or its folder.
        data: The prepared data that the run was trained on, or its folder; or histories in the run's indices.
        users: int. Users to draw, of those with a history; all if there are no more.
        k: int. Length of the lists; a click-ranker makes none.
        removals: int. Largest set of events that is searched for without which the item leaves the list.
        others: Runs that differ in the seed alone, for the stability of leave-one-out; or their folders.
        seed: int. Of the sample, the drawn items, "random" and the shuffled weights.
        out: JSON file to write. None for `faithfulness.json` in the run's folder; "" for none.
        force: Whether an existing file `out` may be replaced; that in the run's folder always is.

    Returns:
        {"users", "units": "events" or "features", "ours": the first method, "events", "methods": {name: {measure:
        {"mean", "low", "high"}}}, "ratios": {"random", "best_other", ...: {"mean", "low", "high"}}: the fall of the
        score without the three units that the first method names, over that of others; "served_area": share of the
        deletion area; "counterfactuals": share of users whose item leaves the list, and mean size of the set;
        "randomised", "stability": Spearman's rank correlation with the weights of shuffled models and of `others`;
        "deciding_parts": for which share of the users, by activity, another item would be first without a part of the
        model; "slices": fall@3 of each method by activity and history length of the user and popularity of the item},
        without what does not apply. Intervals are of 95%, from a bootstrap over users.

    Raises:
        AlreadyExists: `out` exists and `force` is false.
        InvalidInput: The run is behaviour-text with the sigmoid head (`explain_words` weighs the words of a request), a
            number is below 1, or no user has a history.
    """
    if out:
        check_output_file(out, force)
    for name, value in (("users", users), ("k", k), ("removals", removals)):
        if not isinstance(value, Integral) or value < 1:
            raise InvalidInput(f"Expected {name} of at least 1, received {value!r}.")
    trained = load_run(run)
    ranks = isinstance(trained.model, ClickRanker)
    if not ranks and not family_of(trained.kind).can(Ability.RANK_CATALOGUE, trained.config):
        raise InvalidInput(
            f"{trained.path} is a {trained.kind} run that makes no lists. What the words of a request add is what "
            "tfrec.explanation.explain_words says, and it adds up."
        )
    histories, exclude_seen = histories_to_explain(trained, data)
    if ranks:
        summary = measure_ranker(trained, histories, int(users), seed)
    else:
        study = _Study(trained, [load_run(other) for other in others], int(k), int(removals), seed)
        summary = _measure_lists(study, histories, exclude_seen, int(users), seed)
    if out != "":
        write_json(Path(out) if out is not None else trained.path / FAITHFULNESS_FILE, summary)
    return summary


def _measure_lists(study: _Study, histories: Histories, exclude_seen: bool, users: int, seed: int) -> dict[str, Any]:
    """The summary of a model that makes lists."""
    rows = np.flatnonzero(histories.lengths > 0)
    if not len(rows):
        raise InvalidInput("No user has a history, so there is nothing to explain. Pass data with events.")
    rng = np.random.default_rng(seed)
    rows = rng.choice(rows, min(users, len(rows)), replace=False)
    rows = rows[np.argsort(histories.lengths[rows], kind="stable")]  # batches of similar lengths need little padding
    parts = [
        study.measured(histories, rows[start : start + _BATCH], exclude_seen, rng)
        for start in track(range(0, len(rows), _BATCH), "Measuring explanations")
    ]
    return _summary(_joined(parts), study.run, histories.lengths[rows], seed)


class _Study:
    """What is asked of each batch of users."""

    def __init__(self, run: Run, others: Sequence[Run], k: int, removals: int, seed: int) -> None:
        self.run, self.explainer = run, Explainer(run, removals=0)
        self.deletions: DeletionScorer = self.explainer.deletions
        self.search, self.k = Removals(self.deletions, k, removals), k
        self.others: list[Method] = [exact_effects(deletions_of(other)) for other in others]
        self.rescored, self.shuffled = self.deletions, None
        if isinstance(run.model, NextItemModel):
            self.rescored = RescoredDeletions.of_scorer(NextItemScorer(run.model), self.deletions.max_events)
            self.methods = methods(run.model, self.deletions, seed)
            self.shuffled = exact_effects(deletions_of_model(randomised(run.model, seed)))
        else:
            self.methods = simple_methods(self.deletions, family_of(run.kind).item_vectors(run.model), seed)

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
        unknown = np.full(len(rows), np.nan)
        stability = [rank_agreement(other(asked), weights[OURS], asked.lengths) for other in self.others]
        return {
            "methods": of_methods,
            "items": asked.items,
            "decides": self._deciding(lists),
            "removed": np.array([len(one) if one else 0 for one in sets]),
            "randomised": unknown
            if self.shuffled is None
            else rank_agreement(self.shuffled(asked), weights[OURS], asked.lengths),
            "stability": np.mean(stability, axis=0) if stability else unknown,
        }

    def _deciding(self, lists: Lists) -> dict[str, np.ndarray]:
        """For each part of the model, float `[rows]`: 1 where another item would be first without it, else 0."""
        full = np.ones([len(lists.rows), 1, 1], bool)
        parts = {
            name: part[:, 0] for name, part in self.deletions.parts(lists.histories, lists.rows, full, None).items()
        }
        if len(parts) < 2:  # a model of one part, which decides everything
            return {}
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
    resamples, fewest = resampled(len(lengths), seed), run.config.privacy.k
    groups = {
        "activity": activity_groups(lengths),
        "events in the history": np.where(lengths < 4, "1 to 3", np.where(lengths < 10, "4 to 9", "10 or more")),
        "popularity of the item": popularity_groups(run.item_counts)[found["items"]],
    }
    summary = {
        "units": "events",
        "events": {"window": WINDOW, "median": float(np.median(np.minimum(lengths, WINDOW)))},
        **methods_summary(found["methods"], OURS, groups, seed=seed, fewest=fewest),
        "counterfactuals": {
            "found": mean_interval((found["removed"] > 0).astype(float), resamples),
            "size": float(found["removed"][found["removed"] > 0].mean()) if found["removed"].any() else None,
        },
    }
    if found["decides"]:
        everyone = np.full(len(lengths), "everyone")
        summary["deciding_parts"] = {
            **means_by_group(found["decides"], everyone, seed, fewest),
            **means_by_group(found["decides"], groups["activity"], seed, fewest),
        }
    areas = {name: measures["deletion_area"] for name, measures in found["methods"].items()}
    if SERVED in areas:
        summary["served_area"] = ratio_interval(areas[SERVED], areas[OURS], resamples)
    for name in ("randomised", "stability"):
        if not np.isnan(found[name]).all():
            summary[name] = mean_interval(found[name], resamples)
    return summary
