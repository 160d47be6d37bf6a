"""Loads TensorFlow for commands: without its start-up messages, and optionally with a memory pool."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def load_tensorflow(pool: bool = False) -> None:
    """Imports TensorFlow and lists its devices while standard error is redirected to the null device.

    TensorFlow writes messages about processors and missing GPUs from C++, before it reads any log level, so only the
    file descriptor can be silenced. With `TFREC_DEBUG` set, nothing is hidden.

    Args:
        pool: Whether TensorFlow keeps the memory of freed tensors for later ones. By default it returns that memory to
            the system, which must clear pages again for the next tensor; on a virtual machine this took a third of the
            time of a fit. Meant for jobs that end: a server would hold its peak memory for ever.
            `TF_CPU_ALLOCATOR_USE_BFC=0` in the environment turns it off.
    """
    import tfrec  # noqa: F401  (its Keras guard must run before TensorFlow is imported)

    if "tensorflow" in sys.modules:
        return
    if pool:
        memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
        os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(memory_mb))
    if os.environ.get("TFREC_DEBUG"):
        return
    with _silent_standard_error():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
