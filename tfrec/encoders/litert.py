"""LiteRT: TensorFlow's converter writes programs for it, and ai-edge-litert runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    import tensorflow as tf


def convert(functions: Mapping[str, Callable[..., Any]], module: tf.Module, *, int8: bool = False) -> bytes:
    """A LiteRT program.

    Args:
        functions: Signatures by name: concrete functions whose inputs have fixed shapes.
        module: Holds the variables that the functions use.
        int8: Whether products have int8 weights; activations are then quantised while the program runs.

    Returns:
        The content of the file.

    Raises:
        InvalidInput: A function has an op that LiteRT lacks.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=dict(functions))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            program: bytes = converter.convert()
        except Exception as error:  # the converter's own type is private
            raise InvalidInput(f"LiteRT cannot express {', '.join(functions)}: {error}") from None
    return program


class LiteRTProgram:
    """A LiteRT program in ai-edge-litert's interpreter, with a thread a core.

    Args:
        program: Its file, or the content of one.

    Raises:
        InvalidInput: ai-edge-litert is not installed, or the file is no program.
    """

    def __init__(self, program: Path | bytes) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InvalidInput(f"ai-edge-litert cannot be loaded: {error}. Run: pip install ai-edge-litert") from None
        source = {"model_content": program} if isinstance(program, bytes) else {"model_path": str(program)}
        try:
            self._interpreter = Interpreter(num_threads=len(os.sched_getaffinity(0)), **source)
        except (ValueError, RuntimeError) as error:
            raise InvalidInput(f"Expected a LiteRT program: {error}") from None
        self.signatures: list[str] = list(self._interpreter.get_signature_list())

    def runner(self, signature: str) -> Any:
        """A function of a signature: arrays by name in, arrays by name out."""
        return self._interpreter.get_signature_runner(signature)
