"""One version of a model in memory, loaded the way TF Serving loads it: a session over the SavedModel's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops

from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.saved_model.allowed_ops import read_saved_model, refuse_unservable, used_ops
from tfrec.serving.saved_model.safety import refuse_unsafe
from tfrec.serving.saved_model.warmup import WARMUP_FILE, read_warmup

Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Input:
    """An input of a signature: `shape` has None where any size goes, and is None where any shape does."""

    dtype: tf.DType
    shape: tuple[int | None, ...] | None


class Signature:
    """A callable signature.

    Args:
        name: Its name.
        definition: The `SignatureDef`.
        session: The session that holds the graph.
    """

    def __init__(self, name: str, definition: Any, session: Any) -> None:
        self.name = name
        self.inputs = {key: as_input(info) for key, info in sorted(definition.inputs.items())}
        self.outputs = sorted(definition.outputs)
        feeds = [definition.inputs[key].name for key in self.inputs]
        fetches = [definition.outputs[key].name for key in self.outputs]
        graph = session.graph
        self._call = session.make_callable(
            [graph.get_tensor_by_name(n) for n in fetches], [graph.get_tensor_by_name(n) for n in feeds]
        )
        shapes = [graph.get_tensor_by_name(n).shape for n in (*feeds, *fetches)]
        self.batched = all(s.rank is None or (s.rank > 0 and s[0] is None) for s in shapes)
        """Whether rows of several requests may be put into one call."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Runs it; the inputs have been through `check`."""
        try:
            values = self._call(*(inputs[key] for key in self.inputs))
        except tf.errors.OpError as error:
            code = {3: Code.INVALID_ARGUMENT, 8: Code.RESOURCE_EXHAUSTED}.get(error.error_code, Code.INTERNAL)
            raise RequestError(code, error.message) from None
        return dict(zip(self.outputs, values, strict=True))

    def check(self, inputs: Mapping[str, Any]) -> int:
        """The rows of a request: the first dimension, which all inputs share.

        Raises:
            RequestError: INVALID_ARGUMENT for missing or unknown inputs, or another dtype, rank or size than declared.
        """
        if set(inputs) != set(self.inputs):
            raise invalid(
                f"input size does not match signature: {len(inputs)}!={len(self.inputs)} "
                f"received {sorted(inputs)}, expected {sorted(self.inputs)}"
            )
        rows = None
        for key, value in inputs.items():
            wanted = self.inputs[key]
            check_shape(key, tuple(value.shape), wanted)
            if _dtype(value) != wanted.dtype:
                raise invalid(f"{key}: expected {wanted.dtype.name}, received {_dtype(value).name}")
            if self.batched and value.shape:
                if rows is not None and rows != value.shape[0]:
                    raise invalid(f"{key}: expected {rows} rows as the other inputs have, received {value.shape[0]}")
                rows = value.shape[0]
        return 1 if rows is None else rows


class LoadedVersion:
    """A version that answers.

    Args:
        folder: The version folder.
        threads: TensorFlow's threads for one op; 0 for one a core.

    Raises:
        InvalidInput: the model is broken, holds ops that a server must not run, or fails at its own warm-up requests.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        saved_model = read_saved_model(folder)
        refuse_unsafe(saved_model, folder)
        refuse_unservable(used_ops(folder))
        self.folder, self.number = folder, int(folder.name)
        options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        try:
            graph = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(folder))
            self.definitions = {
                name: definition
                for name, definition in graph.signature_def.items()
                if not name.startswith("__saved_model")
            }
            self.signatures = {name: Signature(name, d, self._session) for name, d in self.definitions.items()}
            self.warmed = self._warm_up()
        except BaseException:
            self._session.close()
            raise

    def signature(self, name: str) -> Signature:
        """The signature of that name; "" is `serving_default`."""
        name = name or "serving_default"
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def _warm_up(self) -> int:
        path = self.folder / "assets.extra" / WARMUP_FILE
        requests = read_warmup(path) if path.is_file() else []
        for _, name, inputs in requests:
            signature = self.signature(name)
            signature.check(inputs)
            signature(inputs)
        return len(requests)


def check_shape(key: str, shape: tuple[int, ...], wanted: Input) -> None:
    """Raises INVALID_ARGUMENT unless an input may have this shape."""
    if wanted.shape is None:
        return
    fits = len(shape) == len(wanted.shape) and all(w is None or w == s for w, s in zip(wanted.shape, shape))
    if not fits:
        expected = [-1 if size is None else size for size in wanted.shape]
        raise invalid(f"{key}: expected shape {expected}, received {list(shape)}")


def as_input(info: Any) -> Input:
    """What a TensorInfo says of an input or an output."""
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return Input(tf.dtypes.as_dtype(info.dtype), shape)


def _dtype(value: np.ndarray[Any, Any]) -> tf.DType:
    return tf.string if value.dtype.kind in "OSU" else tf.dtypes.as_dtype(value.dtype)
