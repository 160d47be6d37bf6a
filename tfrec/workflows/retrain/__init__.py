"""The nightly job: new events, drift, warm start, a gate against the champion, a new version, and the way back."""

from tfrec.workflows.retrain.nightly import retrain
from tfrec.workflows.retrain.release import rollback
from tfrec.workflows.retrain.state import Busy

__all__ = ["Busy", "retrain", "rollback"]
