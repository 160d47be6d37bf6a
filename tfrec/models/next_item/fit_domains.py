"""Trains on several domains, and finds out what that is worth in one that training has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.joined_datasets import JoinedDatasets
from tfrec.data.without_training import WithoutTraining
from tfrec.evaluation.standing import UNTRAINED
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.fit import fit_frozen
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.choice import balance, choose_score_weights
from tfrec.models.next_item.score_weights.search import MIN_TARGETS, sampled_score_parts
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.models.next_item.warm_start import copy_network
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop
from tfrec.training.fit_result import FitResult
from tfrec.training.run_layout import CHECKPOINT_FOLDER

ELSEWHERE = "elsewhere"
"""Of the manifest: the score weights for other catalogues. Also the folder of the training that they come from."""

LEAST_LEAD = 0.05
FIRST_DAY_DECAYS = (0.6, 0.5, 0.4, 0.3, 0.7, 0.8, 0.9)
"""Decays that are compared where nothing is counted yet; the first of equal ones is chosen."""

_CARRIED = ("weight", "text_weight", "decay", "discount")
"""Score weights that hold in other catalogues. Repeats and popularity are of the catalogue."""


def fit_domains(
    dataset: JoinedDatasets,
    text_vectors: np.ndarray,
    config: RunConfig,
    *,
    workdir: Path,
    resume: bool = False,
    after_epoch: Callable[[int, dict[str, Any] | None], None] | None = None,
    shortened: np.ndarray | None = None,
) -> FitResult:
    """Trains on all domains, and then a second network without one of them, which is tried there.

    In the domains that it was trained on a network looks better than it is in any other, so the score weights that are
    chosen there trust it too much elsewhere. A second network, which has not seen the smallest of the domains, shows
    how much of what is learnt in the others holds there, beside the texts alone: `FitResult.elsewhere` has the score
    weights for catalogues without validation queries of their own. (Leave-one-domain-out model selection: Gulrajani &
    Lopez-Paz 2021, https://arxiv.org/abs/2007.01434.) The network of the run itself has seen all domains.

    Args:
        dataset, text_vectors, config, workdir, resume, after_epoch, shortened: As for `fit_next_item`. With a
            `training.time_budget` each of the two networks has half of it.

    Returns:
        As `fit_next_item`; `elsewhere` is None if no domain can be left out.
    """
    held_out = domain_to_hold_out(dataset) if config.training.balance else None
    minutes = config.training.time_budget
    if held_out is not None and minutes is not None:
        minutes /= 2
    loop = FitLoop(workdir, resume=resume, time_budget=minutes, after_epoch=after_epoch)
    result = fit_frozen(dataset, text_vectors, config, loop, shortened=shortened)
    balance(result, dataset, config)
    if held_out is not None:
        parts = _Parts.of(dataset, held_out)
        say(f"Training again without {parts.name}, which shows how much of the others holds in a catalogue that is new")
        # A history of its own, which goes with the checkpoints: that of the run is that of its model.
        loop = FitLoop(workdir / CHECKPOINT_FOLDER / ELSEWHERE, resume=resume, time_budget=minutes)
        shortened = None if shortened is None else shortened[:, parts.kept]
        second = fit_frozen(parts.others, text_vectors[parts.kept], config, loop, shortened=shortened)
        result.elsewhere = _tried(second.model, parts, dataset, text_vectors, config)
    return result


def domain_to_hold_out(dataset: JoinedDatasets) -> int | None:
    """The number of the domain with the fewest training events that has validation queries enough for a search.

    The less is left out, the closer is the second network to that of the run. None if none has enough, or if there
    would be nothing left to train on.
    """
    lengths = [each.training().lengths for each in dataset.datasets]
    events = [int(each[each > 1].sum()) for each in lengths]  # a single event of a user is nothing to train on
    enough = [len(each.queries(schema.VALID).target_items) >= MIN_TARGETS for each in dataset.datasets]
    usable = [number for number, have in enumerate(enough) if have and sum(events) > events[number]]
    return min(usable, key=lambda number: events[number]) if len(events) > 1 and usable else None


def adopt_elsewhere(model: NextItemModel, run: TrainedRun) -> None:
    """Gives a model that moved into another catalogue the score weights that its run found for such a one."""
    found = run.manifest[ELSEWHERE]["score_weights"]
    replace(ScoreWeights.from_model(model), **{name: found[name] for name in _CARRIED}).assign_to(model)
    model.log_temperature.assign(found["log_temperature"])


@dataclass(frozen=True)
class _Parts:
    """One domain, and all others.

    Attributes:
        name: That of the one.
        one: Its dataset, without its training sequences.
        others: The others, joined.
        kept: bool `[num_items]`, the items of the others.
    """

    name: str
    one: PreparedDataset
    others: JoinedDatasets
    kept: np.ndarray

    @classmethod
    def of(cls, dataset: JoinedDatasets, number: int) -> _Parts:
        names, sizes = [*dataset.domains], [*dataset.domains.values()]
        others = JoinedDatasets([each for place, each in enumerate(dataset.datasets) if place != number])
        kept = np.repeat(np.arange(len(sizes)) != number, sizes)
        return cls(names[number], WithoutTraining(dataset.datasets[number]), others, kept)


def _tried(
    network: NextItemModel, parts: _Parts, dataset: JoinedDatasets, text_vectors: np.ndarray, config: RunConfig
) -> dict[str, Any]:
    """The score weights for catalogues that are new: with the network if it holds where it has not been."""
    model = build_next_item_model(parts.one, text_vectors[~parts.kept], config)
    copy_network(model, network, parts.one.event_kinds, parts.others.event_kinds)
    _, compared = choose_score_weights(model, parts.one, config)
    if compared is not None and not holds_elsewhere(compared):
        compared["chosen"] = UNTRAINED
        model.log_temperature.assign(network.log_temperature)  # the choice has changed it
        first_day_weights(dataset, text_vectors, config).assign_to(model)
        say(f"In catalogues that are new, texts count alone: in {parts.name} the network is not clearly better")
    weights = {name: float(value) for name, value in asdict(ScoreWeights.from_model(model)).items() if name in _CARRIED}
    weights["log_temperature"] = float(model.log_temperature.numpy())
    return {"held_out": parts.name, **(compared or {}), "score_weights": weights}


def holds_elsewhere(compared: Mapping[str, Any]) -> bool:
    """Whether the lead of a network in a domain that it has not seen lets one expect a lead in others.

    It has to be twice its standard error, and 5% of what texts alone have: one domain stands for all others here, and
    they differ by more than its people do.

    Args:
        compared: What `choose_score_weights` returns for the manifest.
    """
    error, untrained = compared["standard_error"], compared["valid_ndcg@10"][UNTRAINED]
    return error is not None and compared["difference"] > max(2 * error, LEAST_LEAD * untrained)


def first_day_weights(dataset: JoinedDatasets, text_vectors: np.ndarray, config: RunConfig) -> ScoreWeights:
    """The score weights of texts alone, with the decay that is best on the first day of the domains, all equal."""
    found, start = np.zeros(len(FIRST_DAY_DECAYS)), ScoreWeights()
    parts = np.split(text_vectors, np.cumsum([*dataset.domains.values()])[:-1])
    for each, vectors in zip(dataset.datasets, parts, strict=True):
        first_day = WithoutTraining(each)
        model = build_next_item_model(first_day, vectors, config)
        start = ScoreWeights.from_model(model).without_network()
        queries = first_day.queries(schema.VALID)
        scores = sampled_score_parts(model, queries, config.evaluation.exclude_seen, config.training.seed)
        if scores is not None:
            ndcg = [scores.ndcg(replace(start, decay=decay)).mean() for decay in FIRST_DAY_DECAYS]
            found += np.array(ndcg) / max(*ndcg, 1e-9)
    return replace(start, decay=FIRST_DAY_DECAYS[int(np.argmax(found))])
