"""Loading TensorFlow says nothing, and what we say afterwards still arrives."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_tensorflow_loads_without_a_word_and_standard_error_works_afterwards():
    code = (
        "import sys; from tfrec.cli.quiet import load_tensorflow; load_tensorflow()\n"
        "import os; os.write(2, b'after\\n'); print('ours', file=sys.stderr)\n"
        "assert 'tensorflow' in sys.modules"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TFREC_DEBUG"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "after\nours\n")
