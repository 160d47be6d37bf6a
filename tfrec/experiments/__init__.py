"""Online experiments: plan, assign, analyse and decide. Does not load TensorFlow."""

from tfrec.experiments.ab_test.analyse import AnalysisResult, analyse
from tfrec.experiments.ab_test.confidence_sequences import always_valid_p, sequence_radius
from tfrec.experiments.ab_test.decide import Decision, decide
from tfrec.experiments.ab_test.decision_page import experiment_report
from tfrec.experiments.ab_test.plan_power import plan, sample_size
from tfrec.experiments.design.assignment import assign, assign_users, check_exclusive, hash_share
from tfrec.experiments.design.spec import ExperimentSpec
from tfrec.experiments.interleaving import Interleaved, OptimisedInterleaving, interleaving_test, optimised, team_draft
from tfrec.experiments.off_policy.estimators import OffPolicyResult, model_value, off_policy, slate_off_policy
from tfrec.experiments.off_policy.policies import epsilon_greedy_policy, sample_actions, softmax_policy, thompson_policy
from tfrec.experiments.release_monitoring import Change, change_points, daily_metrics
from tfrec.experiments.simulator import SimulatedLogs, Simulator, draw_lists, list_propensities

__all__ = [
    "AnalysisResult",
    "Change",
    "Decision",
    "ExperimentSpec",
    "Interleaved",
    "OffPolicyResult",
    "OptimisedInterleaving",
    "SimulatedLogs",
    "Simulator",
    "always_valid_p",
    "analyse",
    "assign",
    "assign_users",
    "change_points",
    "check_exclusive",
    "daily_metrics",
    "decide",
    "draw_lists",
    "epsilon_greedy_policy",
    "experiment_report",
    "hash_share",
    "interleaving_test",
    "list_propensities",
    "model_value",
    "off_policy",
    "optimised",
    "plan",
    "sample_actions",
    "sample_size",
    "sequence_radius",
    "slate_off_policy",
    "softmax_policy",
    "team_draft",
    "thompson_policy",
]
