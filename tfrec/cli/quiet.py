"""TensorFlow without what it says about processors and missing GPUs while it loads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def load_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, with standard error shut at the level of the file descriptor.

    TensorFlow writes there from C++ before any log level is read. With `TFREC_DEBUG` set nothing is hidden.
    """
    import tfrec  # noqa: F401  (the Keras guard has to run first)

    if "tensorflow" in sys.modules or os.environ.get("TFREC_DEBUG"):
        return
    with _standard_error_shut():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _standard_error_shut() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
