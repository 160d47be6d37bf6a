"""How fast the popularity bias of a NextItemModel may fade: the half-lives among which validation chooses."""

from __future__ import annotations

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Queries
from tfrec.evaluation import evaluate_protocols
from tfrec.models.baselines.counting import RecentPopularity
from tfrec.models.shared.recent_counts import half_lives


def half_lives_to_compare(dataset: PreparedDataset, queries: Queries, config: RunConfig) -> list[float | None]:
    """The half-lives of `model.popularity_half_life`, in days; None stands for plain counts, no entry for no choice.

    Only in a split by time are all queries newer than the training, so that "recent" means the same for all of them.
    With "auto" these are plain counts and the half-life with which popularity alone has the best NDCG@10, because a
    search for score weights takes a thousand times as long as measuring popularity.

    Args:
        dataset: The training sequences.
        queries: Validation queries.
        config: Sections `model` and `evaluation`.
    """
    option = config.model.popularity_half_life
    if option is None or dataset.manifest["split"] != schema.GLOBAL_TIME:
        return []
    if option != "auto":
        return [float(option)]
    tried = half_lives(dataset.training())
    if not tried or not len(queries):
        return []
    measured = [_ndcg(RecentPopularity(days).fit(dataset), queries, config) for days in tried]
    return [None, tried[int(np.argmax(measured))]]


def _ndcg(popularity: RecentPopularity, queries: Queries, config: RunConfig) -> float:
    """NDCG@10 of popularity alone, with seen items masked or not, whichever is better and allowed."""
    masks = (True,) if config.evaluation.exclude_seen else (False, True)
    results = evaluate_protocols(
        *(popularity, queries, masks),
        num_items=popularity.num_items,
        ks=(10,),
        bootstrap=0,
        batch_size=config.evaluation.batch_size,
        keep_predictions=0,
    )
    return max(result.metrics["ndcg@10"] for result in results)
