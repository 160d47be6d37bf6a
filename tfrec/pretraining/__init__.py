"""Trains encoders: language-model pre-training, and contrastive adaptation to a catalogue."""

from tfrec.pretraining.adapt_encoder import adapt_encoder
from tfrec.pretraining.pretrain_encoder import pretrain_encoder

__all__ = ["adapt_encoder", "pretrain_encoder"]
