"""Scheduled retraining: drift checks, warm start, promotion gate, new versions and rollback."""

from tfrec.workflows.retrain.job_state import Busy
from tfrec.workflows.retrain.releases import rollback
from tfrec.workflows.retrain.retraining import retrain

__all__ = ["Busy", "retrain", "rollback"]
