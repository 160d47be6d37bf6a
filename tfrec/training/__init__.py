"""Fit, resume, and the Run folder that a training leaves behind."""

from tfrec.training.adapt import adapt_encoder
from tfrec.training.evaluate import evaluate_run
from tfrec.training.pretrain import pretrain_encoder
from tfrec.training.run import Run
from tfrec.training.train import train

load_run = Run.load

__all__ = ["Run", "adapt_encoder", "evaluate_run", "load_run", "pretrain_encoder", "train"]
