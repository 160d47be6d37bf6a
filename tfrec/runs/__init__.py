"""Run folders: train, evaluate and recommend with any family of models."""

from tfrec.runs.deprecated import evaluate_run as evaluate_run
from tfrec.runs.evaluate import evaluate
from tfrec.runs.recommend import recommend
from tfrec.runs.run import Run, load_run
from tfrec.runs.train import train

__all__ = ["Run", "evaluate", "load_run", "recommend", "train"]
