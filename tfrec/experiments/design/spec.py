"""ExperimentSpec: the plan of an experiment, in one YAML file. Unknown keys are an error."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tfrec.config.base import Section
from tfrec.config.inputs import InputConfig
from tfrec.config.yaml_documents import read_yaml
from tfrec.data.reading.timestamps import EARLIEST
from tfrec.errors import InvalidInput

EXPOSURES = "exposures"
"""Value of `per` for a ratio whose denominator is the user's exposures rather than an event of the outcome log."""


class MetricSpec(Section):
    """A metric: per user the count, the sum or the presence of an event, or with `per` a ratio of two totals.

    A ratio is total over total (all clicks / all impressions), not the mean of the users' ratios.
    """

    name: str = Field(min_length=1)
    event: str = Field(min_length=1, description="Event kind of the outcome log.")
    aggregate: Literal["count", "sum", "any"] = Field("count", description="sum: of the value column; any: 0 or 1.")
    per: str | None = Field(None, description="Event kind counted in the denominator, or 'exposures'.")
    role: Literal["primary", "secondary", "guardrail"] = "secondary"
    better: Literal["higher", "lower"] = "higher"
    margin: float = Field(0.0, ge=0, lt=1, description="guardrail: acceptable relative loss.")
    winsorise: float | None = Field(None, gt=0.5, lt=1, description="Quantile over all users to clip values at.")
    covariate: bool = Field(True, description="Whether to use CUPED, with the same metric before exposure.")


class ExperimentSpec(Section):
    """The plan of an experiment: arms, traffic, metrics and error rates, fixed before it starts.

    Example:
        >>> metric = {"name": "clicks", "event": "click", "role": "primary"}
        >>> ExperimentSpec.from_dict({"name": "new-ranker", "metrics": [metric]}).control
        'control'
    """

    name: str = Field(min_length=1)
    salt: str | None = Field(
        None, description="Salt of the arms; defaults to the name. A new salt reassigns all users."
    )
    arms: dict[str, float] = Field(
        default_factory=lambda: {"control": 0.5, "treatment": 0.5}, description="Shares; the first is the control."
    )
    layer: str = Field("default", description="Experiments in one layer exclude each other; layers are independent.")
    traffic: tuple[float, float] = Field((0.0, 1.0), description="The part of the layer that this experiment uses.")
    ramp: float = Field(1.0, ge=0, le=1, description="Share of that part to admit; raising it only adds users.")
    metrics: list[MetricSpec] = Field(min_length=1)
    segments: list[str] = Field(default_factory=list, description="User columns in which effects may differ.")
    alpha: float = Field(0.05, gt=0, lt=0.5)
    power: float = Field(0.8, gt=0.5, lt=1)
    correction: Literal["holm", "benjamini-hochberg", "none"] = "holm"
    planned_users: int = Field(10_000, ge=2, description="Number of users at which the fixed-horizon test is valid.")
    covariate_days: int = Field(14, ge=0, description="Days before a user's first exposure that CUPED uses.")
    outcome_days: int | None = Field(None, ge=1, description="Days after first exposure that count; None: all days.")
    prior_sd: float = Field(0.05, gt=0, description="Standard deviation of the Bayesian prior of relative effects.")
    simulated: bool = Field(False, description="Whether the logs are simulated; every report then says so.")
    exposures: InputConfig = Field(
        default_factory=InputConfig, description="How the log of exposures is read: columns, separator, time_format, …"
    )
    outcomes: InputConfig = Field(default_factory=InputConfig, description="How the log of outcomes is read.")
    users: InputConfig = Field(default_factory=InputConfig, description="How the table of users is read.")
    earliest: date = Field(EARLIEST, description="Earlier times are wrong: left out if few, refused if many.")
    latest: date | None = Field(None, description="Later times are wrong, as for earliest. None: tomorrow.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.arms) < 2 or min(self.arms.values()) <= 0 or abs(sum(self.arms.values()) - 1) > 1e-9:
            raise ValueError("arms must be at least two, with shares above 0 that sum to 1")
        low, high = self.traffic
        if not 0 <= low < high <= 1:
            raise ValueError("traffic must be two numbers with 0 <= from < to <= 1")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError("metric names must be distinct")
        return self

    @property
    def control(self) -> str:
        """The arm that the others are compared with: the first."""
        return next(iter(self.arms))

    @property
    def arm_salt(self) -> str:
        """The salt that is hashed with the user id to choose the arm."""
        return self.salt or self.name

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExperimentSpec:
        """Builds and validates a spec. Raises `InvalidInput` that names each invalid key."""
        return cls.model_validate(values)

    @classmethod
    def load(cls, path: str | Path) -> ExperimentSpec:
        """Reads a spec from a YAML file. Raises `InvalidInput` if the file is missing or invalid."""
        values = read_yaml(path, "the experiment")
        if not isinstance(values, dict):
            raise InvalidInput(f"Expected {path} to contain a mapping, received a {type(values).__name__}.")
        return cls.from_dict(values)
