"""The names of the files in a Run folder."""

from __future__ import annotations

from tfrec.files import OutputKind

CONFIG_FILE = "config.yaml"
ITEMS_FILE = "items.parquet"
MANIFEST_FILE = "manifest.json"
METRICS_VALID_FILE = "metrics_valid.json"
HISTORY_FILE = "history.csv"
WEIGHTS_FOLDER = "weights"
WEIGHTS_FILE = "weights/model.weights.h5"
TEXT_VECTORS_FILE = "weights/text_vectors.npy"
IMAGE_VECTORS_FILE = "weights/image_vectors.npy"
UNTUNED_VECTORS_FILE = "weights/text_vectors_untuned.npy"
ENCODER_FOLDER = "encoder"
SEGMENTS_FILE = "segments.parquet"
TENSORBOARD_FOLDER = "tensorboard"
CHECKPOINT_FOLDER = "checkpoint"
"""Only while the run is in progress."""
DATA_FILE = "data.json"
"""Fingerprint of the data that the run is trained on; only while the run is in progress."""

RUN_OUTPUT = OutputKind("a run", {MANIFEST_FILE: ("kind", "data")})
PARTIAL_RUN_OUTPUT = OutputKind("an interrupted run", {DATA_FILE: ("fingerprint",), **RUN_OUTPUT.markers})
"""Once its manifest is written, only the renaming is left."""
