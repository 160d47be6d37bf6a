"""The names of the files in a Run folder."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
ITEMS_FILE = "items.parquet"
MANIFEST_FILE = "manifest.json"
METRICS_VALID_FILE = "metrics_valid.json"
HISTORY_FILE = "history.csv"
WEIGHTS_FILE = "weights/model.weights.h5"
TEXT_VECTORS_FILE = "weights/text_vectors.npy"
UNTUNED_VECTORS_FILE = "weights/text_vectors_untuned.npy"
ENCODER_FOLDER = "encoder"
SEGMENTS_FILE = "segments.parquet"
TENSORBOARD_FOLDER = "tensorboard"
CHECKPOINT_FOLDER = "checkpoint"
"""Only while the run is in progress."""
