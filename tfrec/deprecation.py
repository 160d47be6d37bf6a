"""How a public name goes: for two minor versions it works as before and warns, then it is gone."""

from __future__ import annotations

import warnings


def warn_deprecated(old: str, new: str, *, since: str, until: str) -> None:
    """Warns the caller of the function that calls this one.

    Args:
        old: The name that goes, as people write it.
        new: What to write instead.
        since: The version that deprecated it.
        until: The version that no longer has it.
    """
    warnings.warn(
        f"{old} is deprecated since tfrec {since} and gone in {until}; use {new}.", DeprecationWarning, stacklevel=3
    )
