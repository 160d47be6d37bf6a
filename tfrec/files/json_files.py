"""JSON files, read with clear errors and written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput
from tfrec.files.atomic_writes import write_text


def write_json(path: str | Path, value: Any, *, durable: bool = False) -> None:
    """Writes indented JSON atomically, with the keys in their given order.

    Args:
        path: The file; an existing one is replaced.
        value: Its content.
        durable: Whether it has to survive a power cut right after this.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", durable=durable)


def read_json(path: str | Path) -> Any:
    """Reads a JSON file. Raises `InvalidInput` if it is missing or not valid JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from None
