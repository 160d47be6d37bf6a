"""A student: the encoder that a compression works on, as a Keras model with its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.tokenization.vocabulary import Vocabulary
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

_AT_ONCE = 4096  # texts tokenised at a time
_ROWS = 512  # single tokens encoded at a time


@dataclass(frozen=True, eq=False)
class Student:
    """An encoder in the making. Two students are equal only if they are the same object.

    Args:
        config: Shape of the encoder.
        vocabulary: Vocabulary of its tokeniser.
        model: A model made by `build_backbone(config)`, with its weights.
    """

    config: BackboneConfig
    vocabulary: Vocabulary
    model: keras.Model

    @cached_property
    def preprocessor(self) -> Any:
        """A preprocessor made of the vocabulary."""
        return self.vocabulary.preprocessor(min(128, self.config.max_positions))


@dataclass(frozen=True)
class Lesson:
    """What a student learns from.

    Args:
        texts: Distinct texts.
        targets: float32 `[len(texts), width]`, the teacher's vectors, of unit length.
        seq_length: int. Tokens a text is cut to.
        seed: int. Seed of everything random.
        minutes: float. Time for training, where a part trains.
    """

    texts: Sequence[str]
    targets: np.ndarray
    seq_length: int = 64
    seed: int = 0
    minutes: float = 10.0


def tokenise(preprocessor: Any, texts: Sequence[str], seq_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokenises texts, as the encoder reads them.

    Args:
        preprocessor: With `tokenize` and `bert_pack_inputs`.
        texts: The texts.
        seq_length: int. Length to cut to, with the special tokens.

    Returns:
        ids: int32 `[tokens]` of all texts one after the other. lengths: int64 `[len(texts)]`, tokens of each.
    """
    ids, lengths = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    for start in range(0, len(texts), _AT_ONCE):
        batch = [text.encode("utf-8", "replace") for text in texts[start : start + _AT_ONCE]]
        packed = preprocessor.bert_pack_inputs([preprocessor.tokenize(tf.constant(batch))], tf.constant(seq_length))
        mask = packed[INPUT_MASK].numpy() > 0
        ids.append(packed[INPUT_WORD_IDS].numpy()[mask])
        lengths.append(mask.sum(axis=1))
    return np.concatenate(ids), np.concatenate(lengths)


@lru_cache(maxsize=1)  # a compression makes two students of one teacher
def single_token_vectors(student: Student) -> np.ndarray:
    """The vectors of texts of one token each, float32 `[vocab_size, width]`; the tokens may be parts of words."""
    ids = np.arange(student.config.vocab_size)
    preprocessor, encode = student.preprocessor, build_inference(student.model, student.config)
    vectors = np.empty((len(ids), student.config.width), np.float32)
    for start in range(0, len(ids), _ROWS):
        rows = ids[start : start + _ROWS]
        tokens = tf.RaggedTensor.from_row_lengths(tf.constant(rows, tf.int32), np.ones(len(rows), np.int64))
        packed = preprocessor.bert_pack_inputs([tokens], tf.constant(3))
        vectors[rows] = encode(packed[INPUT_WORD_IDS], packed[INPUT_MASK], packed[INPUT_TYPE_IDS]).numpy()
    return vectors


def require_bert(student: Student, part: str) -> None:
    """Raises `InvalidInput` unless the student is a BERT, whose layers `part` knows how to change."""
    if student.config.family != "bert":
        raise InvalidInput(
            f"{part} works for the BERT family only; this encoder is of the family "
            f"{student.config.family}. Use static, vocabulary, int8 or bfloat16."
        )
