"""Runs encoders with int8 weights, in XNNPACK through LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.litert import LiteRTProgram, convert
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import Inference
from tfrec.files import atomic_file, cache_dir
from tfrec.keras import keras
from tfrec.progress import say
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS, POOLED_OUTPUT

_LAYOUT = 3  # version of the conversion; increase it when the same weights would give another program
_SIGNATURE = "encode"
_STEP = 8  # sequence lengths are padded to multiples of this


class Int8Runtime:
    """Runs an encoder with int8 weights. Activations are quantised dynamically, and embeddings stay float32.

    A LiteRT program is converted for each length (multiples of 8) on first use, which takes about ten seconds
    for a MiniLM, and is kept in the cache folder.

    Args:
        model: A model made by `build_backbone(config)`, with its weights.
        config: Shape of the encoder.
        hash: Hash of the encoder; it names the programs in the cache.
        batch_size: int. Batch size of the programs; smaller batches are padded.
    """

    def __init__(self, model: keras.Model, config: BackboneConfig, hash: str, batch_size: int) -> None:
        self._graph = Inference(model, config, tf.float32)
        self._hash, self._rows, self._longest, self._width = hash, batch_size, config.max_positions, config.width
        self._programs: dict[int, Any] = {}

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """Encodes a batch: a dict of int32 `[batch, length]` → float32 `[batch, dim]`."""
        embedded = self._graph.embed(inputs[INPUT_WORD_IDS], inputs[INPUT_TYPE_IDS]).numpy()
        mask = inputs[INPUT_MASK].numpy()
        rows, columns = mask.shape
        length = min(-(-columns // _STEP) * _STEP, self._longest)
        padding = [(0, self._rows - rows), (0, length - columns), (0, 0)]
        run, padded = self._program(length), np.pad(embedded, padding)
        return run(hidden=padded, mask=np.pad(mask, padding[:2]))[POOLED_OUTPUT][:rows]

    def _program(self, length: int) -> Any:
        if length not in self._programs:
            path = cache_dir() / "int8" / f"{self._hash[:32]}-{_LAYOUT}-{self._rows}x{length}.tflite"
            if not path.is_file():
                say(f"Converting the encoder to int8 for {length} tokens")
                _write(path, self._convert(length))
            self._programs[length] = LiteRTProgram(path).runner(_SIGNATURE)
        return self._programs[length]

    def _convert(self, length: int) -> bytes:
        hidden = tf.TensorSpec([self._rows, length, self._width], tf.float32, name="hidden")
        mask = tf.TensorSpec([self._rows, length], tf.int32, name="mask")
        call = tf.function(lambda hidden, mask: {POOLED_OUTPUT: self._graph.encode(hidden, mask)})
        return convert({_SIGNATURE: call.get_concrete_function(hidden, mask)}, tf.Module(), int8=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as work:
        work.write_bytes(data)
