"""Refuses weights that are not finite: they give empty lists and wrong ones, and no error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput


def refuse_not_finite(weights: Iterable[tuple[str, Any]], where: str | Path, cure: str) -> None:
    """Raises `InvalidInput` if a weight has an infinite value or one that is not a number.

    Args:
        weights: Name and array of each; arrays of other types than floats are passed over.
        where: What the weights are of, for the message.
        cure: What to do about it, as the last sentence of the message.

    Example:
        >>> import numpy as np
        >>> refuse_not_finite([("scale", np.ones(2)), ("rows", np.arange(3))], "a model", "Train again.")
    """
    import numpy as np

    for name, value in weights:
        if value.dtype.kind != "f" and value.dtype.name != "bfloat16":
            continue
        if wrong := int(value.size - np.count_nonzero(np.isfinite(value))):
            raise InvalidInput(f"{where}: {wrong} of {value.size} values of {name!r} are not finite. {cure}")


def saved_variables(folder: str | Path) -> Iterator[tuple[str, Any]]:
    """Yields name and array of each variable of a SavedModel, in name order, one in memory at a time.

    Raises:
        InvalidInput: The variables cannot be read.
    """
    import tensorflow as tf

    prefix = Path(folder) / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():  # a model without variables
        return
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        for name in sorted(reader.get_variable_to_shape_map()):
            value = reader.get_tensor(name)
            if not name.startswith("_CHECKPOINTABLE"):  # how the objects hang together: read, as it may be cut off
                yield name, value
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"The variables in {prefix.parent} cannot be read: {reason}. Write the model again."
        ) from None
