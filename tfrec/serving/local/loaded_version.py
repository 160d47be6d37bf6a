"""A version of a model in memory, loaded the way TF Serving loads it: as a session over the SavedModel's graph."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops

from tfrec.serving.local.inputs import Arrays, Declared, Input, check_inputs, unknown_signature
from tfrec.serving.local.status_codes import Code, RequestError
from tfrec.serving.saved_model.guarded_export import guarded_export
from tfrec.serving.saved_model.warmup import WARMUP_FILE, read_warmup


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

    def check(self, inputs: Arrays) -> int:
        """Checks the inputs of a request and returns its number of rows (the first dimension of all inputs).

        Raises:
            RequestError: INVALID_ARGUMENT for missing or unknown inputs, or a dtype, rank or size that is not declared.
        """
        return check_inputs(inputs, self.inputs, self.batched)


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
        guarded_export(folder)
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

    @cached_property
    def declared(self) -> dict[str, Declared]:
        """What each signature takes, by name."""
        return {name: Declared(s.inputs, s.batched) for name, s in self.signatures.items()}

    def signature(self, name: str) -> Signature:
        """The signature called `name`; "" means `serving_default`."""
        name = name or "serving_default"
        if name not in self.signatures:
            raise unknown_signature(name)
        return self.signatures[name]

    def _warm_up(self) -> int:
        path = self.folder / "assets.extra" / WARMUP_FILE
        requests = read_warmup(path) if path.is_file() else []
        for _, name, inputs in requests:
            signature = self.signature(name)
            signature.check(inputs)
            signature(inputs)
        return len(requests)


def as_input(info: Any) -> Input:
    """Dtype and shape of a TensorInfo."""
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return Input(np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype), shape)
