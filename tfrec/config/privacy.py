"""Options of private training: the bound on what a run may tell about a person, and what it is spent on."""

from __future__ import annotations

from pydantic import Field

from tfrec.config.base import Section


class PrivacyConfig(Section):
    """Differential privacy of a run, which `epsilon` or `noise` switches on. It protects all events of a person."""

    epsilon: float | None = Field(
        None,
        gt=0,
        description="next-item, and behaviour-text with the softmax head: train so that the run's ε stays below this. "
        "null: no private training.",
    )
    delta: float = Field(
        1e-5,
        gt=0,
        lt=1,
        description="Probability by which the bound may fail; must be below one over the number of people.",
    )
    clip: float = Field(0.5, gt=0, description="Norm to which the gradient of one person is clipped.")
    noise: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of the noise on a sum of gradients, as a multiple of `clip`. null: the least "
        "that keeps to `epsilon`.",
    )
    ids: bool = Field(
        False,
        description="next-item: whether items get learned vectors of their own. Their texts are public, these are not, "
        "and cost memory and noise.",
    )
    counts: float = Field(
        0.3,
        ge=0,
        lt=0.5,
        description="Share of ε spent on noisy counts of the items. What is popular by them has a part in all scores, "
        "and is all that users without a history get. 0: no counts.",
    )
    neighbours: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Share of ε spent on noisy co-occurrence neighbours, `model.neighbours` an item, in catalogues of "
        "at most 30,000 items. 0: none. 1: all that counts and selection leave; nothing is trained then, which is best "
        "with few people.",
    )
    selection: float = Field(
        0.1,
        ge=0,
        lt=0.5,
        description="Share of ε spent on asking validation, with noise, whether the trained weights are better than "
        "the start with noisy counts, and whether that is worse than the start without. 0: keep the trained weights.",
    )

    k: int = Field(
        1,
        ge=1,
        description="Fewest people of whom a report shows anything: smaller groups are left out, and so are examples "
        "of single users and of rows. 1: all is shown.",
    )

    @property
    def on(self) -> bool:
        """Whether training is private.

        Example:
            >>> PrivacyConfig().on, PrivacyConfig(epsilon=8).on
            (False, True)
        """
        return self.epsilon is not None or self.noise is not None
