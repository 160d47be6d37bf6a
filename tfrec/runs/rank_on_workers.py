"""The ranking of an evaluation, shared by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from tfrec.cluster import Workers, whole_batches, workers_of
from tfrec.config import RunConfig
from tfrec.data.dataset import load_dataset
from tfrec.data.histories import Queries
from tfrec.evaluation.rankings import Ranker, Rankings, batch_of, in_order_of_length, rank_queries
from tfrec.models.registry import family_of
from tfrec.retrieval.scorer import Scorer
from tfrec.runs.moved_run import run_on
from tfrec.runs.run import Run

PARTS_PER_WORKER = 2
"""A worker loads the model for its first part of an evaluation, and the queries of a part are sent to it."""


@dataclass(frozen=True)
class ScorerOfRun:
    """Where the scorer of a run comes from on another machine: its folder and that of the data, on shared storage."""

    run: str
    config: str
    data: str


@lru_cache(maxsize=1)
def _scorer(source: ScorerOfRun) -> Scorer:
    """The scorer, loaded once a process."""
    config = RunConfig.model_validate_json(source.config)
    dataset = family_of(config.model.kind).read_by(config, load_dataset(source.data))
    return run_on(Run(source.run).with_values(config.model_dump(mode="json")), dataset).scorer(dataset)


class RankOnWorkers:
    """`rank_queries` on the workers of a cluster: each ranks the catalogue for some queries, a number of whole batches.

    Batches are those of one process, so scores are the same to the last bit.

    Args:
        workers: The workers.
        scorer: The scorer of the run, which holds a model; others are sent as they are.
        source: Where workers load it from.
    """

    def __init__(self, workers: Workers, scorer: Scorer, source: ScorerOfRun) -> None:
        self._workers, self._scorer, self._source = workers, scorer, source

    def __call__(
        self,
        scorer: Scorer,
        queries: Queries,
        exclude_seen: Sequence[bool],
        *,
        num_items: int,
        width: int,
        batch_size: int,
    ) -> list[Rankings]:
        """As for `rank_queries`."""
        batch, order = batch_of(batch_size, num_items), in_order_of_length(queries)
        parts = [order[cut] for cut in whole_batches(len(order), batch, self._workers.count * PARTS_PER_WORKER)]
        given = self._workers.share(self._source if scorer is self._scorer else scorer)
        options = (tuple(exclude_seen), num_items, width, batch)
        calls = [(given, queries.take(rows), *options) for rows in parts]
        found = self._workers.map(_ranked, calls, f"Ranking ({scorer.name})")
        rankings = [Rankings.empty(queries, width) for _ in exclude_seen]
        for rows, part in zip(parts, found, strict=True):
            for ranking, each in zip(rankings, part, strict=True):
                ranking.put(rows, each, queries)
        return rankings


def _ranked(
    given: Scorer | ScorerOfRun, queries: Queries, exclude_seen: Sequence[bool], num_items: int, width: int, batch: int
) -> list[Rankings]:
    scorer = _scorer(given) if isinstance(given, ScorerOfRun) else given
    return rank_queries(scorer, queries, exclude_seen, num_items=num_items, width=width, batch_size=batch)


@contextmanager
def ranker_of(run: Run, scorer: Scorer, data: str) -> Iterator[Ranker]:
    """What ranks for an evaluation of a run, as its section `cluster` says: this process, or the workers of a cluster.

    Args:
        run: The run.
        scorer: Its scorer.
        data: The folder of the data.
    """
    if run.config.cluster.engine == "none":
        yield rank_queries
        return
    here = run.with_values({"cluster.engine": "none"}).config.model_dump_json()
    with workers_of(run.config.cluster) as workers:
        yield RankOnWorkers(workers, scorer, ScorerOfRun(str(run.path.absolute()), here, data))
