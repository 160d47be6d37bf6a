"""Handles of TF-Hub SavedModels: a folder, or a URL that tensorflow_hub downloads."""

from __future__ import annotations

from pathlib import Path

from tfrec.errors import InvalidInput, Unavailable
from tfrec.guard.guarded import guarded_model

PAIR_SIGN = "|"


def resolve_handle(handle: str) -> Path:
    """The local folder of a SavedModel that may be loaded. A URL is downloaded, and cached by tensorflow_hub.

    Raises:
        InvalidInput: There is no SavedModel at the handle, or one that could do harm.
        Unavailable: The server of the handle cannot be reached.
    """
    import urllib.error

    import tensorflow_hub as hub

    if "://" not in handle:
        return guarded_model(handle)
    try:
        folder = Path(hub.resolve(handle))
    except urllib.error.HTTPError as error:
        raise InvalidInput(f"The hub answered {error.code} {error.reason} to {handle!r}. Check the handle.") from None
    except (
        Exception
    ) as error:  # each resolver of tensorflow_hub raises its own type: OSError, RuntimeError, TensorFlow's
        raise Unavailable(
            f"Cannot download {handle!r}: {error}. Go online, check the handle, or pass a folder."
        ) from None
    return guarded_model(folder)


def split_pair(handles: str) -> tuple[str, str]:
    """The two handles of "PREPROCESSOR|ENCODER".

    Example:
        >>> split_pair("models/preprocessor|models/encoder")
        ('models/preprocessor', 'models/encoder')
    """
    parts = [part.strip() for part in handles.split(PAIR_SIGN)]
    if len(parts) != 2 or not all(parts):
        raise InvalidInput(f"Expected two handles, PREPROCESSOR{PAIR_SIGN}ENCODER; received {handles!r}.")
    return parts[0], parts[1]
