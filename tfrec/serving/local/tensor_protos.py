"""Converts TensorProtos to arrays and back: faster than TensorFlow for strings, and safe for untrusted messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

from tfrec.serving.local.inputs import Input, check_shape
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
    if proto.dtype == tf.string.as_datatype_enum and len(proto.string_val) == size:
        values = np.empty(size, object)
        values[:] = list(proto.string_val)
        return values.reshape(shape)
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise invalid(f"{key}: {error}") from None


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
