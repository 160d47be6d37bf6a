"""Proves that LiteRT programs give the answers of the export, before they are written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.encoders.litert import LiteRTProgram
from tfrec.errors import InvalidInput
from tfrec.serving.devices.device_requests import Numbers, rows_of
from tfrec.serving.devices.stored_examples import DeviceExample
from tfrec.serving.exporting.servable import Servable
from tfrec.serving.modules.device import ENCODE, FROM_VECTORS, RECOMMEND
from tfrec.serving.saved_model.example_requests import Arrays, answers_differ
from tfrec.serving.saved_model.signatures import call_signature

LEAST_COSINE: Final = {False: 0.9999, True: 0.9}
"""Lowest cosine of a text's vector to the export's: with float32 weights, and with int8."""


def proven_lists(program: bytes, served: Servable, numbers: Numbers) -> list[DeviceExample]:
    """Requests to the recommender and its answers, which are those of the export.

    Args:
        program: The LiteRT program.
        served: The export.
        numbers: Of its items, kinds and texts.

    Raises:
        InvalidInput: An answer differs.
    """
    device, requests = LiteRTProgram(program), dict(served.requests)
    examples = []
    for row in rows_of(requests[schema.SIGNATURE_RECOMMEND]):
        expected = _call(served, schema.SIGNATURE_RECOMMEND, row)
        examples.append(_compared(device, RECOMMEND, numbers.history(row), expected, numbers))
    if FROM_VECTORS in device.signatures:
        for row in rows_of(requests[schema.SIGNATURE_RECOMMEND_FROM_TEXT]):
            texts = row[schema.HISTORY_TEXTS]
            vectors = _call(served, schema.SIGNATURE_EMBED, {schema.TEXTS: texts[0]})[schema.EMBEDDINGS]
            expected = _call(served, schema.SIGNATURE_RECOMMEND_FROM_TEXT, row)
            inputs = numbers.text_history(texts, vectors[None])
            examples.append(_compared(device, FROM_VECTORS, inputs, expected, numbers))
    return examples


def proven_vectors(
    program: bytes, served: Servable, encoder: Any, seq_length: int, int8: bool
) -> tuple[list[DeviceExample], float]:
    """Requests to the encoder and its answers, and the lowest cosine of one to the export's vector of the same text.

    Args:
        program: The LiteRT program.
        served: The export.
        encoder: The TextEncoder, whose tokens are taken.
        seq_length: Token ids of a text.
        int8: Whether the program has int8 weights.

    Raises:
        InvalidInput: A vector is further from the export's than `LEAST_COSINE` allows.
    """
    run, examples, cosines = LiteRTProgram(program).runner(ENCODE), [], []
    texts = dict(served.requests)[schema.SIGNATURE_EMBED][schema.TEXTS]
    expected = _call(served, schema.SIGNATURE_EMBED, {schema.TEXTS: texts})[schema.EMBEDDINGS]
    for text, vector in zip(texts, expected, strict=True):
        tokens = encoder.inputs(tf.constant([text]), seq_length)
        inputs = {name: tokens[name].numpy().astype(np.int32) for name in (schema.INPUT_WORD_IDS, schema.INPUT_MASK)}
        outputs = run(**inputs)
        examples.append(DeviceExample(ENCODE, inputs, outputs))
        cosines.append(_cosine(outputs[schema.EMBEDDINGS][0], vector))
    if min(cosines) < LEAST_COSINE[int8]:
        raise InvalidInput(
            f"Expected vectors of the LiteRT encoder with a cosine of at least {LEAST_COSINE[int8]} to the export's, "
            f"received {min(cosines):.4f}. Use --format {'litert' if int8 else 'saved-model'}."
        )
    return examples, min(cosines)


def _call(served: Servable, signature: str, inputs: Arrays) -> Arrays:
    return call_signature(served.module, signature, inputs)


def _compared(
    device: LiteRTProgram, signature: str, inputs: Arrays, expected: Arrays, numbers: Numbers
) -> DeviceExample:
    outputs = device.runner(signature)(**inputs)
    if problems := answers_differ(expected, numbers.answer(outputs)):
        raise InvalidInput(
            f"LiteRT's {signature} gives other answers than the export: {'; '.join(problems[:5])}. "
            "Please report it with the run's config.yaml, and use --format saved-model."
        )
    return DeviceExample(signature, inputs, outputs)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors; two of zeros, as of texts without tokens, agree."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else float(np.allclose(one, other))
