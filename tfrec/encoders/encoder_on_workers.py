"""A text encoder whose work the workers of a cluster share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tfrec.cluster import whole_batches, workers_of
from tfrec.config import ClusterConfig, EncoderConfig
from tfrec.encoders.load import load_configured
from tfrec.encoders.text_encoder import TextEncoder
from tfrec.errors import Unavailable

PARTS_PER_WORKER = 4
"""Texts differ in length, so that parts of as many take unlike long."""


class EncoderOnWorkers:
    """Encodes as a TextEncoder does, on the workers of a cluster: each loads the encoder once, and takes some batches.

    An `EmbeddingStore` takes it in the place of the encoder. Batches hold other texts than in one process, so the last
    bits of a vector may differ.

    Args:
        encoder: The encoder, as it is in this process.
        config: What it was loaded by; workers load it by the same, so a folder is on storage that they share.
        cluster: Who works.
    """

    def __init__(self, encoder: TextEncoder, config: EncoderConfig, cluster: ClusterConfig) -> None:
        self.hash, self.dim, self.precision = encoder.hash, encoder.dim, encoder.precision
        self._config, self._cluster = config, cluster

    def encode(self, texts: Sequence[str], *, batch_size: int = 64, seq_length: int = 64) -> np.ndarray:
        """float32 `[len(texts), dim]`. Arguments as for `TextEncoder.encode`.

        Raises:
            Unavailable: There is no such cluster, or a worker has another encoder of this name.
        """
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        with workers_of(self._cluster) as workers:
            how = (self._config.model_dump_json(), self.hash, batch_size, seq_length)
            cuts = whole_batches(len(texts), batch_size, workers.count * PARTS_PER_WORKER)
            parts = [(list(texts[cut]), *how) for cut in cuts]
            return np.concatenate(workers.map(_encoded, parts, "Encoding texts"))


def _encoded(texts: list[str], config: str, expected: str, batch_size: int, seq_length: int) -> np.ndarray:
    encoder = _loaded(config)
    if encoder.hash != expected:
        raise Unavailable(
            f"{EncoderConfig.model_validate_json(config).name} is another encoder on a worker than here: expected the "
            f"hash {expected[:12]}, found {encoder.hash[:12]}. Put it on storage that all machines share."
        )
    return encoder.encode(texts, batch_size=batch_size, seq_length=seq_length)


@lru_cache(maxsize=1)
def _loaded(config: str) -> TextEncoder:
    return load_configured(EncoderConfig.model_validate_json(config))
