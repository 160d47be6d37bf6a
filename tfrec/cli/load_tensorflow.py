"""How commands load TensorFlow: without what it says about processors and missing GPUs, and with memory used again."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def load_tensorflow(pool: bool = False) -> None:
    """Imports TensorFlow and looks for devices, with standard error shut at the level of the file descriptor.

    TensorFlow writes there from C++ before any log level is read. With `TFREC_DEBUG` set nothing is hidden.

    With `pool` TensorFlow keeps the memory of tensors for the next ones. As it comes, it hands each back to the system,
    which has to clear the pages of the next: on a virtual machine that was a third of the time of a fit. For jobs that
    end; a server would keep its peak for ever. `TF_CPU_ALLOCATOR_USE_BFC=0` in the environment leaves it off.
    """
    import tfrec  # noqa: F401  (the Keras guard has to run first)

    if "tensorflow" in sys.modules:
        return
    if pool:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
        os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(whole))
    if os.environ.get("TFREC_DEBUG"):
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
