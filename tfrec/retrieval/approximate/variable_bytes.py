"""The size of what an index or a table stores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def variable_bytes(variables: Iterable[Any]) -> int:
    """Bytes of TensorFlow variables of known shape."""
    return sum(math.prod(variable.shape) * variable.dtype.size for variable in variables)
