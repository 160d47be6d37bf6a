"""The room works without TensorFlow, and names its extra if that is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfrec import Unavailable
from tfrec.experiments import optimised, sample_size

ROOT = Path(__file__).resolve().parents[2]


def test_importing_the_room_loads_neither_tensorflow_nor_the_extra():
    heavy = "('tensorflow', 'tf_keras', 'scipy', 'tea_tasting', 'duckdb', 'openfeature', 'pandas')"
    code = f"import tfrec.experiments, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tea_tasting", None)
    with pytest.raises(Unavailable, match=r"pip install 'tfrec-bert\[experiments\]'"):
        sample_size(1.0, 1.0, 0.1)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(Unavailable, match="SciPy"):
        optimised("xy", "yx", 2)
