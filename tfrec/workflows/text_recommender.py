"""The recommender that an encoder makes without training: the items whose text is nearest to that of the last item."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.encoders.hub_handles import resolve_handle
from tfrec.encoders.text_encoder import TextEncoder
from tfrec.evaluation import RankingResult, evaluate_protocols
from tfrec.models.baselines.counting import LastItemText

_ROUNDS = 3
_SECONDS = 0.25  # the least time that an encoder is timed in a round, if `_MOST` texts take as long
_FEWEST, _MOST = 64, 16384  # texts in a round


def rank_by_text(dataset: PreparedDataset, vectors: np.ndarray, split: str) -> list[RankingResult]:
    """Evaluates the untrained text recommender with the items of the history left in the lists, and without them.

    Args:
        dataset: Provides the queries.
        vectors: float32 `[num_items, dim]`, text vectors of the catalogue.
        split: "valid" or "test".
    """
    scorer = LastItemText().fit(dataset, vectors)
    options = {"num_items": dataset.num_items, "ks": (10,), "bootstrap": 0, "keep_predictions": 0}
    return evaluate_protocols(scorer, dataset.queries(split), (False, True), **options)  # type: ignore[arg-type]


def ndcg_of(result: RankingResult) -> float:
    """Its NDCG@10."""
    return result.metrics["ndcg@10"]


def folder_bytes(encoder: TextEncoder) -> int:
    """Size of an encoder on disk: of the preprocessor and the encoder, in bytes."""
    folders: list[Path] = [resolve_handle(handle) for handle in (encoder.preprocessor_handle, encoder.encoder_handle)]
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def texts_per_second(encoders: Sequence[TextEncoder], texts: Sequence[str], seq_length: int) -> list[float]:
    """How many texts a second each encoder encodes, tokenising included: medians of rounds in which they take turns.

    Args:
        encoders: The encoders.
        texts: Texts like those to be encoded, at least one.
        seq_length: int. Tokens a text is cut to.
    """
    samples = [_sample(encoder, texts, min(seq_length, encoder.max_seq_length)) for encoder in encoders]
    seconds: list[list[float]] = [[] for _ in encoders]
    for _ in range(_ROUNDS):
        for place, encoder in enumerate(encoders):
            seconds[place].append(_seconds(encoder, samples[place], min(seq_length, encoder.max_seq_length)))
    return [len(sample) / statistics.median(each) for sample, each in zip(samples, seconds, strict=True)]


def _sample(encoder: TextEncoder, texts: Sequence[str], seq_length: int) -> list[str]:
    """So many texts that encoding them takes `_SECONDS`, by doubling; a small catalogue is repeated."""
    sample = (list(texts) * -(-_FEWEST // len(texts)))[:_FEWEST]
    encoder.encode(sample, seq_length=seq_length)  # traces its graphs
    while len(sample) < _MOST and _seconds(encoder, sample, seq_length) < _SECONDS:
        sample = (list(texts) * -(-2 * len(sample) // len(texts)))[: 2 * len(sample)]
    return sample


def _seconds(encoder: TextEncoder, texts: list[str], seq_length: int) -> float:
    started = time.perf_counter()
    encoder.encode(texts, seq_length=seq_length)
    return time.perf_counter() - started
