"""Where runs are recorded."""

from __future__ import annotations

from pydantic import Field

from tfrec.config.base import Section


class TrackingConfig(Section):
    """What is kept of a fit for people to look at, beside `history.csv` and TensorBoard's scalars."""

    projector: int = Field(
        10_000, ge=0, description="Items, the most frequent, in TensorBoard's embedding projector; 0 for none."
    )
    mlflow: bool = Field(False, description="Whether the finished run is recorded in MLflow (extra mlflow).")
    mlflow_uri: str | None = Field(
        None, description="Its store. None: MLFLOW_TRACKING_URI, else mlflow.db in the current folder."
    )
    mlflow_experiment: str = Field("tfrec", min_length=1, description="The experiment that the run is put under.")
