"""How much each part of a NextItemModel's score counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tfrec.models.next_item.model import NextItemModel
from tfrec.training.temporary_weights import restored


@dataclass(frozen=True)
class Balance:
    """The strengths of the parts: `cosine` a factor on the network, `popularity` the weight of `PopularityBias`, the
    others as `NeighbourMemory` and `RepeatBias` name them. A part that the model lacks has 0."""

    cosine: float = 1.0
    weight: float = 0.0
    text_weight: float = 0.0
    decay: float = 0.8
    discount: float = 0.0
    newest: float = 0.0
    others: float = 0.0
    slope: float = 0.0
    popularity: float = 0.0

    @classmethod
    def of(cls, model: NextItemModel) -> Balance:
        """As the model has them now."""
        found: dict[str, float] = {}
        if model.memory is not None:
            found["decay"] = float(model.memory.decay.numpy())
            found |= {"discount": float(model.memory.discount.numpy())} if model.memory.k else {}
            found |= {name: float(getattr(model.memory, name)) for name in model.memory.parts}
        if model.repeats is not None:
            found |= dict(zip(("newest", "others", "slope"), map(float, model.repeats.numbers), strict=False))
        if model.popularity is not None:
            found["popularity"] = float(model.popularity.weight.numpy())
        return cls(**found)

    def put(self, model: NextItemModel) -> None:
        """Sets the model's strengths; the factor on the network goes into its temperature, and counts from there."""
        model.log_temperature.assign_sub(np.log(self.cosine))
        if model.memory is not None:
            discount = self.discount if model.memory.k else None
            parts = {name: getattr(self, name) for name in model.memory.parts}
            model.memory.assign(decay=self.decay, discount=discount, **parts)
        if model.repeats is not None:
            model.repeats.assign([self.newest, self.others, self.slope])
        if model.popularity is not None:
            model.popularity.weight.assign(self.popularity)


@contextmanager
def balanced(model: NextItemModel, by: Balance) -> Iterator[None]:
    """The model with other strengths; afterwards they are to the bit what they were."""
    variables = [model.log_temperature]
    variables += [] if model.memory is None else model.memory.strengths
    variables += [] if model.repeats is None else [model.repeats.scaled]
    variables += [] if model.popularity is None else [model.popularity.weight]
    with restored(variables):
        by.put(model)
        yield
