"""The nightly job: new events, drift, warm start, a gate against the champion, a new version, and the way back."""

from tfrec.workflows.retrain.job_state import Busy
from tfrec.workflows.retrain.nightly import retrain
from tfrec.workflows.retrain.releases import rollback

__all__ = ["Busy", "retrain", "rollback"]
