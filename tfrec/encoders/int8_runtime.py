"""Runs encoders with int8 weights, in XNNPACK through TensorFlow Lite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import Inference
from tfrec.files import atomic_file, cache_dir
from tfrec.keras import keras
from tfrec.progress import say
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

_LAYOUT = 2  # version of the conversion; increase it when the same weights would give another program
_STEP = 8  # sequence lengths are padded to multiples of this


class Int8Runtime:
    """Runs an encoder with int8 weights. Activations are quantised dynamically, and embeddings stay float32.

    A TensorFlow Lite program is compiled for each length (multiples of 8) on first use, which takes about ten seconds
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
        self._programs: dict[int, tuple[Any, list[Any], int]] = {}

    def __call__(self, inputs: dict[str, tf.Tensor]) -> np.ndarray:
        """Encodes a batch: a dict of int32 `[batch, length]` → float32 `[batch, dim]`."""
        embedded = self._graph.embed(inputs[INPUT_WORD_IDS], inputs[INPUT_TYPE_IDS]).numpy()
        mask = inputs[INPUT_MASK].numpy()
        rows, columns = mask.shape
        length = min(-(-columns // _STEP) * _STEP, self._longest)
        interpreter, slots, output = self._program(length)
        padding = [(0, self._rows - rows), (0, length - columns), (0, 0)]
        interpreter.set_tensor(slots[0], np.pad(embedded, padding))
        interpreter.set_tensor(slots[1], np.pad(mask, padding[:2]))
        interpreter.invoke()
        return interpreter.get_tensor(output)[:rows]

    def _program(self, length: int) -> tuple[Any, list[Any], int]:
        if length not in self._programs:
            path = cache_dir() / "int8" / f"{self._hash[:32]}-{_LAYOUT}-{self._rows}x{length}.tflite"
            if not path.is_file():
                say(f"Converting the encoder to int8 for {length} tokens")
                _write(path, self._convert(length))
            program = tf.lite.Interpreter(model_path=str(path), num_threads=len(os.sched_getaffinity(0)))
            program.allocate_tensors()
            details = sorted(program.get_input_details(), key=lambda detail: detail["name"])
            slots = [detail["index"] for detail in details]
            self._programs[length] = program, slots, program.get_output_details()[0]["index"]
        return self._programs[length]

    def _convert(self, length: int) -> bytes:
        hidden = tf.TensorSpec([self._rows, length, self._width], tf.float32, name="a_hidden")
        mask = tf.TensorSpec([self._rows, length], tf.int32, name="b_mask")
        call = tf.function(lambda a_hidden, b_mask: self._graph.encode(a_hidden, b_mask))
        call = call.get_concrete_function(hidden, mask)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([call])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as work:
        work.write_bytes(data)
