"""ExperimentSpec: an experiment as it was planned, in one YAML file. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tfrec.errors import InvalidInput

EXPOSURES = "exposures"
"""As `per`: the denominator is the user's exposures rather than an event of the outcome log."""


class MetricSpec(BaseModel):
    """One metric: of each user a count, sum or any of an event; with `per`, a ratio of two such totals.

    A ratio is total over total (clicks over impressions), not the mean of the users' ratios.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    event: str = Field(min_length=1, description="Event kind of the outcome log.")
    aggregate: Literal["count", "sum", "any"] = Field("count", description="sum: of the value column; any: 0 or 1.")
    per: str | None = Field(None, description="Event kind counted in the denominator, or 'exposures'.")
    role: Literal["primary", "secondary", "guardrail"] = "secondary"
    better: Literal["higher", "lower"] = "higher"
    margin: float = Field(0.0, ge=0, lt=1, description="guardrail: relative loss that may be accepted.")
    winsorise: float | None = Field(None, gt=0.5, lt=1, description="Quantile over all users that values are cut to.")
    covariate: bool = Field(True, description="CUPED, with the same metric before exposure.")


class ExperimentSpec(BaseModel):
    """The experiment: arms, traffic, metrics and the error rates that were agreed before it began.

    Example:
        >>> metric = {"name": "clicks", "event": "click", "role": "primary"}
        >>> ExperimentSpec.from_dict({"name": "new-ranker", "metrics": [metric]}).control
        'control'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    salt: str | None = Field(None, description="Of the arms; the name by default. A new salt draws everybody anew.")
    arms: dict[str, float] = Field(
        default_factory=lambda: {"control": 0.5, "treatment": 0.5}, description="Shares; the first is the control."
    )
    layer: str = Field("default", description="Experiments in one layer exclude each other; layers are independent.")
    traffic: tuple[float, float] = Field((0.0, 1.0), description="The part of the layer that this experiment has.")
    ramp: float = Field(1.0, ge=0, le=1, description="Share of that part let in; raising it keeps who is in.")
    metrics: list[MetricSpec] = Field(min_length=1)
    segments: list[str] = Field(default_factory=list, description="User columns in which effects may differ.")
    alpha: float = Field(0.05, gt=0, lt=0.5)
    power: float = Field(0.8, gt=0.5, lt=1)
    correction: Literal["holm", "benjamini-hochberg", "none"] = "holm"
    planned_users: int = Field(10_000, ge=2, description="Users at which the fixed-horizon test is read.")
    covariate_days: int = Field(14, ge=0, description="Days before a user's first exposure that CUPED looks at.")
    outcome_days: int | None = Field(None, ge=1, description="Days after first exposure that count; None: to the end.")
    prior_sd: float = Field(0.05, gt=0, description="Bayesian view: sd of relative effects before any data, mean 0.")
    simulated: bool = Field(False, description="The logs come from a simulator; every page says so.")

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
        """The arm that others are compared with: the first."""
        return next(iter(self.arms))

    @property
    def arm_salt(self) -> str:
        """What is hashed with a user to choose the arm."""
        return self.salt or self.name

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExperimentSpec:
        """Validates nested values; raises `InvalidInput` naming each wrong key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])) or 'experiment'}: {e['msg']}" for e in error.errors()]
            raise InvalidInput("The experiment is not valid:\n  " + "\n  ".join(lines)) from None

    @classmethod
    def load(cls, path: str | Path) -> ExperimentSpec:
        """Reads a YAML file; raises `InvalidInput` when it is missing, not YAML, or not a mapping."""
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"Cannot read the experiment {path}: {error.strerror}.") from None
        except yaml.YAMLError as error:
            raise InvalidInput(f"{path} is not valid YAML: {error}") from None
        if not isinstance(values, dict):
            raise InvalidInput(f"{path} must hold a mapping, received a {type(values).__name__}.")
        return cls.from_dict(values)
