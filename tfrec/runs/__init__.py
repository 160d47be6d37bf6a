"""The Run folder: train, evaluate and recommend, for any family of models."""

from tfrec.runs.evaluate import evaluate_run
from tfrec.runs.run import Run
from tfrec.runs.train import train

load_run = Run.load

__all__ = ["Run", "evaluate_run", "load_run", "train"]
