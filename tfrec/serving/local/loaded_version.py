"""A version of a model in memory, loaded the way TF Serving loads it: as a session over the SavedModel's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops

from tfrec.guard.servable_ops import read_saved_model, refuse_unservable, used_ops
from tfrec.guard.unsafe_ops import refuse_unsafe
from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.saved_model.warmup import WARMUP_FILE, read_warmup
from tfrec.serving.version_folders import refuse_special_files

Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Input:
    """Dtype and shape of an input. `shape` has None for any size, and is None if any shape is accepted."""

    dtype: tf.DType
    shape: tuple[int | None, ...] | None


class Signature:
    """A signature that can be called.

    Args:
        name: Name of the signature.
        definition: Its `SignatureDef`.
        session: Session with the graph.
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
        """Whether the first dimension of all inputs and outputs is free, so that requests can be batched."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Runs the signature on inputs that have passed `check`."""
        try:
            values = self._call(*(inputs[key] for key in self.inputs))
        except tf.errors.OpError as error:
            code = {3: Code.INVALID_ARGUMENT, 8: Code.RESOURCE_EXHAUSTED}.get(error.error_code, Code.INTERNAL)
            raise RequestError(code, error.message) from None
        return dict(zip(self.outputs, values, strict=True))

    def check(self, inputs: Mapping[str, Any]) -> int:
        """Checks the inputs of a request and returns its number of rows (the first dimension of all inputs).

        Raises:
            RequestError: INVALID_ARGUMENT for missing or unknown inputs, or a dtype, rank or size that is not declared.
        """
        if set(inputs) != set(self.inputs):
            raise invalid(
                f"input size does not match signature: {len(inputs)}!={len(self.inputs)} "
                f"received {sorted(inputs)}, expected {sorted(self.inputs)}"
            )
        rows = None
        for key, value in inputs.items():
            declared = self.inputs[key]
            check_shape(key, tuple(value.shape), declared)
            if _dtype(value) != declared.dtype:
                raise invalid(f"{key}: expected {declared.dtype.name}, received {_dtype(value).name}")
            if self.batched and value.shape:
                if rows is not None and rows != value.shape[0]:
                    raise invalid(f"{key}: expected {rows} rows as the other inputs have, received {value.shape[0]}")
                rows = value.shape[0]
        return 1 if rows is None else rows


class LoadedVersion:
    """A loaded and warmed-up version.

    Args:
        folder: Version folder.
        threads: Threads that TensorFlow uses for one op; 0 for one for each core.

    Raises:
        InvalidInput: the model is broken, has ops that a server must not run, or a pipe or device among its files.
        RequestError: one of its warm-up requests failed.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        refuse_special_files(folder)
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
        """The signature called `name`; "" means `serving_default`."""
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


def check_shape(key: str, shape: tuple[int, ...], declared: Input) -> None:
    """Raises INVALID_ARGUMENT unless `shape` fits what the input declares."""
    if declared.shape is None:
        return
    fits = len(shape) == len(declared.shape) and all(d is None or d == s for d, s in zip(declared.shape, shape))
    if not fits:
        expected = [-1 if size is None else size for size in declared.shape]
        raise invalid(f"{key}: expected shape {expected}, received {list(shape)}")


def as_input(info: Any) -> Input:
    """Dtype and shape of a TensorInfo."""
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return Input(tf.dtypes.as_dtype(info.dtype), shape)


def _dtype(value: np.ndarray[Any, Any]) -> tf.DType:
    return tf.string if value.dtype.kind in "OSU" else tf.dtypes.as_dtype(value.dtype)
