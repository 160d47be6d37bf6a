"""RunConfig: every option of a run, in sections. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import yaml
from pydantic import Field

from tfrec.config.assignments import Values, with_assignments
from tfrec.config.base import Section
from tfrec.config.cluster import ClusterConfig
from tfrec.config.data import DataConfig
from tfrec.config.encoder import AdaptationConfig, EncoderConfig, PretrainingConfig
from tfrec.config.evaluation import EvaluationConfig
from tfrec.config.export import ExportConfig
from tfrec.config.inputs import InputConfig
from tfrec.config.invalid_values import option_names
from tfrec.config.model import ModelConfig, RankerConfig
from tfrec.config.privacy import PrivacyConfig
from tfrec.config.retrain import RetrainConfig
from tfrec.config.retrieval import RetrievalConfig
from tfrec.config.tracking import TrackingConfig
from tfrec.config.training import AugmentationConfig, TrainingConfig
from tfrec.config.yaml_documents import read_yaml
from tfrec.errors import InvalidInput
from tfrec.files import write_text

__all__ = [
    "AdaptationConfig",
    "AugmentationConfig",
    "ClusterConfig",
    "DataConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExportConfig",
    "InputConfig",
    "ModelConfig",
    "PretrainingConfig",
    "PrivacyConfig",
    "RankerConfig",
    "RetrainConfig",
    "RetrievalConfig",
    "RunConfig",
    "Section",
    "TrackingConfig",
    "TrainingConfig",
]


ConfigSource = Union["RunConfig", Mapping[str, Any], str, Path, None]
"""A configuration as functions accept it: a RunConfig, a mapping of options, a YAML file, or None for defaults."""


class RunConfig(Section):
    """Every option of a run. It cannot be changed; `with_values` makes a changed copy.

    Example:
        >>> RunConfig().with_values(["training.epochs=3"]).training.epochs
        3
    """

    data: DataConfig = Field(default_factory=DataConfig)
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    ranker: RankerConfig = Field(default_factory=RankerConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    privacy: PrivacyConfig = Field(default_factory=PrivacyConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    pretraining: PretrainingConfig = Field(default_factory=PretrainingConfig)
    adaptation: AdaptationConfig = Field(default_factory=AdaptationConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Validates nested values; raises `InvalidInput` naming each wrong key."""
        return cls.model_validate(dict(values) if isinstance(values, Mapping) else values)

    @classmethod
    def load(cls, path: str | Path, *, complete: bool = False) -> RunConfig:
        """Reads a YAML file.

        Args:
            path: The file.
            complete: Whether it is that of a run, which names the model; one that was emptied is refused then.

        Raises:
            InvalidInput: The file is missing, not UTF-8, not YAML, not a mapping, or has an invalid option.
        """
        values = read_yaml(path, "the configuration") or {}
        if not isinstance(values, dict):
            raise InvalidInput(f"{path} must hold a mapping of sections, received a {type(values).__name__}.")
        if complete and "model" not in values:
            raise InvalidInput(f"{path} is not the configuration of a run: it has no section model. Restore the file.")
        return cls.from_dict(values)

    def with_values(self, values: Values) -> RunConfig:
        """A copy with some options changed.

        Args:
            values: A mapping of `section.key` to value, which may be nested, or `section.key=value` strings as for
                `--set`, whose values are parsed as YAML.

        Raises:
            InvalidInput: an unknown option or an invalid value.

        Example:
            >>> RunConfig().with_values({"training.epochs": 3, "model": {"dim": 64}}).model.dim
            64
        """
        return self.from_dict(with_assignments(self.model_dump(), values, set(option_names(RunConfig)), RunConfig))

    def save(self, path: str | Path) -> None:
        """Writes the complete configuration as YAML."""
        write_text(path, yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True))


def as_run_config(given: ConfigSource) -> RunConfig:
    """Makes a RunConfig from a RunConfig, a mapping of options, the path of a YAML file, or None for the defaults.

    Raises:
        InvalidInput: a file that cannot be read, an unknown option, or an invalid value.

    Example:
        >>> as_run_config({"training.epochs": 3}).training.epochs
        3
    """
    if isinstance(given, RunConfig):
        return given
    if isinstance(given, str | Path):
        return RunConfig.load(given)
    return RunConfig() if given is None else RunConfig().with_values(given)
