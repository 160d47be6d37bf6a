"""The manifest of a run: model, data, encoder, seed and software versions."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import ImageEncoder, TextEncoder
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.version import __version__

PINNED = ("tensorflow", "tf_keras", "tensorflow-text", "tensorflow-hub", "tensorflow-recommenders")


def manifest_of(
    dataset: PreparedDataset,
    config: RunConfig,
    model: dict[str, Any] | None,
    encoder: TextEncoder | None,
    image_encoder: ImageEncoder | None = None,
) -> dict[str, Any]:
    """The contents of `manifest.json`, except timings and the number of epochs.

    Args:
        dataset: The training data.
        config: The configuration.
        model: The result of `ModelFamily.model_config`.
        encoder: The text encoder; None for a model without text.
        image_encoder: The image encoder; None for a model without pictures.
    """
    domains = {"domains": dataset.domains} if dataset.domains else {}
    images = (
        {}
        if image_encoder is None
        else {
            "image_encoder_hash": image_encoder.hash,
            "image_encoder_weights_hash": image_encoder.weights_hash,
        }
    )
    return {
        **domains,
        "kind": config.model.kind,
        "event_kinds": dataset.event_kinds,
        "model": model,
        "data": dataset.manifest["fingerprint"],
        "split": dataset.manifest["split"],
        "encoder": config.encoder.name,
        "encoder_hash": encoder.hash if encoder else None,
        "encoder_weights_hash": encoder.weights_hash if encoder else None,
        **images,
        "seed": config.training.seed,
        "versions": {"tfrec": __version__, **{name: _version(name) for name in PINNED}},
        "exclude_seen": excludes_seen(config, dataset),  # stored here because export has no access to the dataset
        "git_commit": _git_commit(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the code that trained the run; None unless it ran from a git checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
