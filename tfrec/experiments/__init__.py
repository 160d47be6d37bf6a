"""Experiments on people: plan, assign, analyse, decide. Loads no TensorFlow."""

from tfrec.experiments.analysis import AnalysisResult, analyse
from tfrec.experiments.assignment import assign, assign_users, check_exclusive, hash_share
from tfrec.experiments.decision import Decision, decide
from tfrec.experiments.page import experiment_report
from tfrec.experiments.power import plan, sample_size
from tfrec.experiments.sequential import always_valid_p, sequence_radius
from tfrec.experiments.spec import ExperimentSpec

__all__ = [
    "AnalysisResult",
    "Decision",
    "ExperimentSpec",
    "always_valid_p",
    "analyse",
    "assign",
    "assign_users",
    "check_exclusive",
    "decide",
    "experiment_report",
    "hash_share",
    "plan",
    "sample_size",
    "sequence_radius",
]
