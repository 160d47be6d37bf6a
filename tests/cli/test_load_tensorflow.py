"""TensorFlow is loaded silently, and standard error works afterwards."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_tensorflow_loads_silently_and_standard_error_works_afterwards():
    code = (
        "import sys; from tfrec.cli.load_tensorflow import load_tensorflow; load_tensorflow()\n"
        "import os; os.write(2, b'after\\n'); print('ours', file=sys.stderr)\n"
        "assert 'tensorflow' in sys.modules"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TFREC_DEBUG"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "after\nours\n")


def page_faults(pool):
    """Pages that ten tensors of 64 MiB, made one after the other, touch for the first time."""
    code = (
        f"from tfrec.cli.load_tensorflow import load_tensorflow; load_tensorflow(pool={pool})\n"
        "import resource; import tensorflow as tf\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(3): tf.ones([2**24])\n"
        "before = faults()\n"
        "for _ in range(10): tf.ones([2**24])\n"
        "print(faults() - before)"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "TF_CPU_"))}
    return int(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_with_a_pool_the_memory_of_tensors_is_reused():
    pages = 10 * 2**24 * 4 // os.sysconf("SC_PAGE_SIZE")  # of all ten tensors, were each cleared anew
    assert page_faults(pool=True) < pages / 10


@pytest.mark.slow
def test_without_a_pool_the_system_takes_the_memory_back():
    pages = 10 * 2**24 * 4 // os.sysconf("SC_PAGE_SIZE")
    if (faults := page_faults(pool=False)) < pages / 10:
        pytest.skip("the C library of this machine keeps large blocks by itself, so the pool makes no difference here")
    assert faults > pages / 2
