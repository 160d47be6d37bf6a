"""Options of what is recorded of a training."""

from __future__ import annotations

from pydantic import Field

from tfrec.config.base import Section


class TrackingConfig(Section):
    """What is recorded of a training, beside `history.csv` and TensorBoard's scalars."""

    projector: int = Field(
        10_000,
        ge=0,
        description="Items, most frequent first, whose vectors are written for TensorBoard's projector; 0: none.",
    )
    mlflow: bool = Field(False, description="Record the finished run in MLflow (needs the extra `mlflow`).")
    mlflow_uri: str | None = Field(
        None, description="MLflow store. null: `MLFLOW_TRACKING_URI`, else mlflow.db in the current folder."
    )
    mlflow_experiment: str = Field("tfrec", min_length=1, description="MLflow experiment of the run.")
