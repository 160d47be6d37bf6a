"""Handles of TF-Hub SavedModels: a folder, or a URL that tensorflow_hub downloads."""

from __future__ import annotations

from pathlib import Path

from tfrec.errors import InvalidInput, Unavailable

PAIR_SIGN = "|"


def resolve_handle(handle: str) -> Path:
    """The local folder of a SavedModel. A URL is downloaded, and cached by tensorflow_hub.

    Raises:
        InvalidInput: There is no SavedModel at the handle.
        Unavailable: The server of the handle cannot be reached.
    """
    import urllib.error

    import tensorflow_hub as hub

    if "://" not in handle:
        if not (Path(handle) / "saved_model.pb").is_file():
            raise InvalidInput(f"Expected a SavedModel (a folder with saved_model.pb) at {handle!r}; found none.")
        return Path(handle)
    try:
        return Path(hub.resolve(handle))
    except urllib.error.HTTPError as error:
        raise InvalidInput(f"The hub answered {error.code} {error.reason} to {handle!r}. Check the handle.") from None
    except (
        Exception
    ) as error:  # each resolver of tensorflow_hub raises its own type: OSError, RuntimeError, TensorFlow's
        raise Unavailable(
            f"Cannot download {handle!r}: {error}. Go online, check the handle, or pass a folder."
        ) from None


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
