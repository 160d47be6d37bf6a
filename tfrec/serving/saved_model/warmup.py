"""Reads and writes the warm-up file, whose requests TF Serving replays while it loads a version.

The protocol buffers of the file (`PredictionLog` with a `PredictRequest`) are encoded by hand, so that exporting does
not need `tensorflow-serving-api`. A protocol buffer message is a sequence of (field number, wire type, value).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tfrec.errors import InvalidInput

WARMUP_FILE: Final = "tf_serving_warmup_requests"
MAX_WARMUP_REQUESTS: Final = 1000
"""The limit of TF Serving, which refuses files with more requests."""


def write_warmup(
    path: str | Path, name: str, requests: Iterable[tuple[str, Mapping[str, np.ndarray[Any, Any]]]]
) -> int:
    """Writes warm-up requests as TFRecords of PredictionLog.

    Args:
        path: File to write, `assets.extra/tf_serving_warmup_requests` of a version folder.
        name: Name of the model in TF Serving.
        requests: (signature name, inputs by name) pairs. No more than `MAX_WARMUP_REQUESTS` are written.

    Returns:
        Number of requests written.
    """
    import tensorflow as tf

    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            if count == MAX_WARMUP_REQUESTS:
                break
            writer.write(prediction_log(name, signature, inputs))
            count += 1
    return count


def prediction_log(name: str, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """A serialised PredictionLog: predict_log (6) { request (1) { model_spec (1), inputs (2) } }."""
    import tensorflow as tf

    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key in sorted(inputs):
        tensor: bytes = tf.make_tensor_proto(inputs[key]).SerializeToString()
        request += _field(
            2, _field(1, key.encode()) + _field(2, tensor)
        )  # a map is a repeated field of (key, value) entries
    return _field(6, _field(1, request))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field (wire type 2), serialised."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """An integer as a varint: seven bits in each byte, lowest first; the high bit says that more bytes follow.

    Example:
        >>> _varint(300)
        b'\\xac\\x02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_warmup(path: str | Path) -> list[tuple[str, str, dict[str, np.ndarray[Any, Any]]]]:
    """Reads warm-up requests: (model name, signature name, inputs by name) of each record.

    Raises:
        InvalidInput: the file is broken, has more than `MAX_WARMUP_REQUESTS` records, or a record is no Predict
            request. TF Serving would refuse the whole version.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    try:
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
        if not records and Path(path).stat().st_size:
            raise ValueError("it is truncated")
        if len(records) > MAX_WARMUP_REQUESTS:
            raise ValueError(f"it holds {len(records)} requests, TF Serving takes at most {MAX_WARMUP_REQUESTS}")
        requests = []
        for record in records:
            request = list(_fields(dict(_fields(dict(_fields(record))[6]))[1]))
            spec = dict(_fields(dict(request)[1]))
            entries = [dict(_fields(entry)) for number, entry in request if number == 2]
            inputs = {entry[1].decode(): tf.make_ndarray(TensorProto.FromString(entry[2])) for entry in entries}
            requests.append((spec.get(1, b"").decode(), spec.get(3, b"").decode() or "serving_default", inputs))
        return requests
    except (tf.errors.OpError, DecodeError, KeyError, ValueError, TypeError, IndexError) as error:
        raise InvalidInput(f"Expected warm-up requests in {path}; cannot read them: {error}. Export again.") from None


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, payload) of the fields of a message, all of which must be length-delimited."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 != 2:
            raise ValueError(f"field {key >> 3} has wire type {key & 7}, expected 2")
        size, at = _read_varint(data, at)
        yield key >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] > 0x7F:
        value, shift, at = value | (data[at] & 0x7F) << shift, shift + 7, at + 1
    return value | data[at] << shift, at + 1
