"""A mechanism: one kind of answer that was computed from people's events, and the noise that was added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfrec.errors import InvalidInput

NOISES = ("gaussian", "laplace")


@dataclass(frozen=True)
class Mechanism:
    """Noisy sums over people, each of whom adds at most a known amount.

    Attributes:
        name: What was computed, such as "gradients".
        multiplier: Standard deviation of the Gaussian noise, or scale of the Laplace noise, as a multiple of the most
            that one person can add to a sum: in Euclidean norm for Gaussian noise, in absolute values for Laplace.
        sampling: The probability with which each person is in a sum, independently of all others (Poisson sampling).
        times: Number of sums that were released.
        noise: "gaussian" or "laplace".
        batches: "poisson". Other ways to make batches have no ε here, and are refused.

    Raises:
        InvalidInput: A value is out of its range, batches are shuffled, or Laplace noise comes with sampling.

    Example:
        >>> Mechanism("gradients", multiplier=1.1, sampling=0.01, times=1000).to_dict()["times"]
        1000
    """

    name: str
    multiplier: float
    sampling: float = 1.0
    times: int = 1
    noise: str = "gaussian"
    batches: str = "poisson"

    def __post_init__(self) -> None:
        sampled = 0 < self.sampling < 1 or (self.sampling == 1)
        if self.noise not in NOISES or not (self.multiplier > 0 and sampled and self.times >= 1):
            raise InvalidInput(
                f"A mechanism needs noise of {' or '.join(NOISES)}, a multiplier above 0, a sampling probability of at "
                f"most 1 and at least one release; received {self}."
            )
        if self.batches != "poisson":
            raise InvalidInput(
                f"No ε is known that is of use for {self.batches} batches. That of Poisson sampling is no bound for "
                "them: at a multiplier of 0.8 and 11 epochs it is 3.5, where shuffled batches have 8 at least. Sample "
                "each person independently of all others, and set batches='poisson'."
            )
        if self.noise == "laplace" and self.sampling < 1:
            raise InvalidInput(f"Laplace noise is counted for sums over everybody only; received {self}.")

    def to_dict(self) -> dict[str, Any]:
        """The mechanism as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Mechanism:
        """The mechanism of which `to_dict` made `values`."""
        return cls(**values)
