"""Candidates from the domain of a batch, for a training on several domains; and the sampler that options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from tfrec.config import TrainingConfig
from tfrec.models.next_item.domains import domain_of
from tfrec.models.next_item.losses.candidate_sampler import Candidates, CandidateSampler, expected_candidates
from tfrec.progress import say


class DomainSampler:
    """Draws the candidates of a step from the domain of its batch, all of whose histories must be of that domain.

    An item of another shop is no alternative to those of a history, and to tell it from them is no art.

    Args:
        samplers: The sampler of each domain, over the items of the domain alone; None scores all of them.
        sizes: Number of items of each domain, in catalogue order.

    Example:
        >>> sampler = DomainSampler([None, None], sizes=[3, 2])
        >>> sampler.draw(tf.constant([4, -1, 3]), step=0).items.numpy()
        array([3, 4], dtype=int32)
    """

    def __init__(self, samplers: Sequence[CandidateSampler | None], sizes: Sequence[int]) -> None:
        self.samplers, self.sizes = list(samplers), list(sizes)
        self._first = np.cumsum([0, *sizes]).tolist()

    def draw(
        self,
        labels: tf.Tensor,
        step: tf.Tensor | int,
        required: tf.Tensor | None = None,
        static_shapes: bool = False,
    ) -> Candidates:
        """The candidates of a step, as `CandidateSampler.draw` gives them, in indices of the joined catalogue.

        Args:
            labels, step, required: As for `CandidateSampler.draw`; at least one item is not −1.
            static_shapes: bool. Must be false: domains differ in size.
        """
        if static_shapes:
            raise ValueError("Expected static_shapes=False: the number of candidates depends on the domain.")
        items = labels if required is None else tf.concat([labels, required], axis=0)
        branches = [partial(self._draw_within, number, labels, step, items) for number in range(len(self.sizes))]
        return Candidates(*tf.switch_case(domain_of(tf.reduce_max(items), self.sizes), branches))

    def _draw_within(self, domain: int, labels: tf.Tensor, step: tf.Tensor | int, required: tf.Tensor) -> Candidates:
        first, sampler = self._first[domain], self.samplers[domain]
        if sampler is None:
            return Candidates(tf.range(first, first + self.sizes[domain]), tf.zeros([self.sizes[domain]]))
        labels, required = (tf.where(items >= 0, items - first, -1) for items in (labels, required))
        drawn = sampler.draw(labels, step, required)
        return Candidates(drawn.items + first, drawn.log_weights)


def build_sampler(options: TrainingConfig, counts: np.ndarray, targets: int, steps: int) -> CandidateSampler | None:
    """The sampler that `training.negatives` asks for; None scores the whole catalogue.

    Args:
        options: Section `training`.
        counts: int `[num_items]`, training events of each item.
        targets: int. Targets of an epoch.
        steps: int. Steps of an epoch.
    """
    candidates = expected_candidates(counts, targets / max(steps, 1), options.sample)
    negatives = options.negatives_for(targets, len(counts), candidates)
    if negatives == "all":
        return None
    if negatives != options.negatives:
        say(
            f"Each step draws {options.sample} negatives (training.negatives=mixed): scoring the whole catalogue "
            "would take long"
        )
    return CandidateSampler(negatives, counts, options.sample, options.seed)
