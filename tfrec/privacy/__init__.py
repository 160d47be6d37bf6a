"""Privacy: what a training may tell about a single person, and the ledger that says so."""

import importlib
from typing import Any

_PUBLIC = {
    "Ledger": "tfrec.privacy.ledger",
    "Mechanism": "tfrec.privacy.mechanism",
    "epsilon_of": "tfrec.privacy.accountant",
    "noise_for": "tfrec.privacy.accountant",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfrec.privacy' has no attribute {name!r}")
