"""RunConfig: every option of a run, in sections. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from tfrec.config.base import Section
from tfrec.config.data import DataConfig
from tfrec.config.encoder import AdaptationConfig, EncoderConfig, PretrainingConfig
from tfrec.config.evaluation import EvaluationConfig
from tfrec.config.export import ExportConfig
from tfrec.config.model import ModelConfig, RankerConfig
from tfrec.config.retrain import RetrainConfig
from tfrec.config.retrieval import RetrievalConfig
from tfrec.config.tracking import TrackingConfig
from tfrec.config.training import AugmentationConfig, TrainingConfig
from tfrec.errors import InvalidInput

__all__ = [
    "AdaptationConfig",
    "AugmentationConfig",
    "DataConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExportConfig",
    "ModelConfig",
    "PretrainingConfig",
    "RankerConfig",
    "RetrainConfig",
    "RetrievalConfig",
    "RunConfig",
    "Section",
    "TrackingConfig",
    "TrainingConfig",
]


class RunConfig(Section):
    """Every option of a run.

    Example:
        >>> RunConfig().with_values(["training.epochs=3"]).training.epochs
        3
    """

    data: DataConfig = Field(default_factory=DataConfig)
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    ranker: RankerConfig = Field(default_factory=RankerConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    pretraining: PretrainingConfig = Field(default_factory=PretrainingConfig)
    adaptation: AdaptationConfig = Field(default_factory=AdaptationConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """Validates nested values; raises `InvalidInput` naming each wrong key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (received {e['input']!r})" for e in error.errors()]
            raise InvalidInput("The configuration is not valid:\n  " + "\n  ".join(lines)) from None

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Reads a YAML file; raises `InvalidInput` when it is missing, not YAML, or not a mapping."""
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"Cannot read the configuration {path}: {error.strerror}.") from None
        except yaml.YAMLError as error:
            raise InvalidInput(f"{path} is not valid YAML: {error}") from None
        if not isinstance(values or {}, dict):
            raise InvalidInput(f"{path} must hold a mapping of sections, received a {type(values).__name__}.")
        return cls.from_dict(values or {})

    def with_values(self, assignments: Iterable[str]) -> RunConfig:
        """A copy with `section.key=value` strings applied; values are parsed as YAML."""
        values = self.model_dump()
        for assignment in assignments:
            path, sign, text = assignment.partition("=")
            keys = path.strip().split(".")
            if not sign or len(keys) < 2:
                raise InvalidInput(f"Expected section.key=value, received {assignment!r}.")
            node = values
            for key in keys[:-1]:
                child = node.setdefault(key, {})
                if not isinstance(child, dict):
                    raise InvalidInput(f"{assignment!r}: {key!r} is a value, not a section.")
                node = child
            node[keys[-1]] = _scalar(text, node.get(keys[-1]))
        return self.from_dict(values)

    def save(self, path: str | Path) -> None:
        """Writes the complete configuration as YAML."""
        Path(path).write_text(yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _scalar(text: str, current: Any) -> Any:
    """Parses a value as YAML; `true` stays a string where the option is one (retrieval.exclude_seen)."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{text!r} is not a valid value: {error}") from None
    if isinstance(value, str):  # YAML 1.1 parses 1e-3 as a string.
        try:
            return float(value)
        except ValueError:
            return value
    return text.strip().lower() if isinstance(current, str) and isinstance(value, bool) else value
