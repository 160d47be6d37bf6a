"""Converts TensorProtos to arrays and back: faster than TensorFlow for strings, and safe for untrusted messages."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

from tfrec.serving.local.inputs import Arrays, Input, check_shape
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.loaded_version import Signature
from tfrec.serving.local.pieces import Piece, bounds
from tfrec.serving.local.status_codes import invalid


def to_array(key: str, proto: Any, declared: Input | None) -> np.ndarray[Any, Any]:
    """The values of a TensorProto.

    The shape is checked before memory is allocated: a message of a few bytes may claim a shape of terabytes.

    Args:
        key: Name of the input, for messages.
        proto: The TensorProto.
        declared: Dtype and shape that the signature declares; None for any.

    Raises:
        RequestError: INVALID_ARGUMENT if dtype or shape do not fit the signature, or values are missing.
    """
    shape = _checked_shape(key, proto, declared)
    if _lists_strings(proto, shape):
        return _strings(list(proto.string_val), shape)
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise invalid(f"{key}: {error}") from None


def to_pieces(protos: Mapping[str, Any], signature: Signature, limits: Limits) -> list[Piece]:
    """The inputs of a request, cut so that a piece's strings become Python's when it is its turn.

    All strings of a large request at once would hold up every other request for as long.

    Args:
        protos: TensorProtos by name.
        signature: What takes them.
        limits: Say how large a piece is.

    Raises:
        RequestError: INVALID_ARGUMENT as of `to_array`, or if there are more rows than a request may have.
    """
    shapes = {key: _checked_shape(key, proto, signature.inputs[key]) for key, proto in protos.items()}
    rows = {shape[0] if shape and signature.batched else 1 for shape in shapes.values()}
    ends = bounds(min(rows, default=1), signature.batched, limits)
    if len(ends) == 1 or len(rows) > 1:  # that the inputs have different numbers of rows is said when they are checked
        return [partial(dict, {key: to_array(key, proto, signature.inputs[key]) for key, proto in protos.items()})]
    readers = {key: _reader(key, proto, shapes[key], signature.inputs[key]) for key, proto in protos.items()}
    return [partial(_read, readers, start, stop) for start, stop in ends]


async def fill(response: Any, answers: Sequence[Arrays], names: Sequence[str]) -> None:
    """Writes outputs that come in pieces into a PredictResponse; other requests are served between two pieces."""
    for name in names:
        arrays = [answer[name] for answer in answers]
        if len(arrays) == 1 or arrays[0].dtype.kind not in "OSU":
            response.outputs[name].CopyFrom(to_proto(np.concatenate(arrays) if len(arrays) > 1 else arrays[0]))
            continue
        proto = response.outputs[name]
        proto.CopyFrom(to_proto(arrays[0]))
        for array in arrays[1:]:
            await asyncio.sleep(0)
            proto.string_val.extend(array.ravel().tolist())
        proto.tensor_shape.dim[0].size = sum(len(array) for array in arrays)


def _read(readers: Mapping[str, Callable[[int, int], np.ndarray]], start: int, stop: int) -> Arrays:
    return {key: read(start, stop) for key, read in readers.items()}


def _reader(
    key: str, proto: Any, shape: tuple[int, ...], declared: Input
) -> Callable[[int, int], np.ndarray[Any, Any]]:
    if not _lists_strings(proto, shape):
        whole = to_array(key, proto, declared)
        return lambda start, stop: whole[start:stop]
    width = math.prod(shape[1:])

    def read(start: int, stop: int) -> np.ndarray[Any, Any]:
        stop = min(stop, shape[0])
        return _strings(proto.string_val[start * width : stop * width], (stop - start, *shape[1:]))

    return read


def _lists_strings(proto: Any, shape: tuple[int, ...]) -> bool:
    """Whether it is a tensor of strings with a value for each entry."""
    return proto.dtype == tf.string.as_datatype_enum and len(proto.string_val) == math.prod(shape)


def _strings(values: list[bytes], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _checked_shape(key: str, proto: Any, declared: Input | None) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid(f"{key}: expected a tensor of known shape")
    if declared is not None:
        check_shape(key, shape, declared)
        if proto.dtype != tf.dtypes.as_dtype(declared.dtype).as_datatype_enum:
            raise invalid(f"{key}: expected {declared.type_name}, received the type {proto.dtype}")
    size = int(np.prod(shape, dtype=object)) if shape else 1
    given = len(proto.tensor_content) + sum(len(getattr(proto, field)) for field in _FIELDS)
    value_bytes = len(proto.string_val[0]) if given == len(proto.string_val) == 1 else 1
    if size > max(given, 1) and not (given == 1 and size <= 2**16 and size * value_bytes <= _MAX_FILLED_BYTES):
        raise invalid(f"{key}: expected {size} values for the shape {list(shape)}, received fewer")
    return shape


def to_proto(array: np.ndarray[Any, Any]) -> Any:
    """An array as a TensorProto, with strings as a list and numbers as bytes."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in array.shape])
    if array.dtype.kind in "OSU":
        return TensorProto(dtype=tf.string.as_datatype_enum, tensor_shape=shape, string_val=array.ravel().tolist())
    dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    return TensorProto(dtype=dtype, tensor_shape=shape, tensor_content=np.ascontiguousarray(array).tobytes())


_MAX_FILLED_BYTES = 2**24
"""Most bytes of a tensor whose message gives one value for all entries: the largest request by default."""
_FIELDS = (
    "half_val", "float_val", "double_val", "int_val", "string_val", "scomplex_val", "int64_val", "bool_val",
    "dcomplex_val", "uint32_val", "uint64_val",
)  # fmt: skip
