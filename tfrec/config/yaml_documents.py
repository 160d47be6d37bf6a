"""YAML that a person gives: plain values only, of a size that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tfrec.errors import InvalidInput

MAX_NODES = 100_000
"""Values that a document may stand for once its aliases are written out. No configuration comes near it."""


def read_yaml(path: str | Path, what: str) -> Any:
    """The content of a YAML file.

    Args:
        path: The file.
        what: What it holds, for the message: "the configuration".

    Raises:
        InvalidInput: It is missing, not UTF-8, not YAML, or too large once its aliases are written out.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"Cannot read {what} {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 ({error}). Save {what} as UTF-8 text.") from None
    return load_yaml(text, str(path))


def load_yaml(text: str, where: str, loader: type[yaml.SafeLoader] | type[yaml.BaseLoader] = yaml.SafeLoader) -> Any:
    """The content of a YAML document.

    Args:
        text: The document.
        where: Where it comes from, for the message.
        loader: `yaml.BaseLoader` to take every value for text.

    Raises:
        InvalidInput: It is not YAML, nested too deeply, or too large once its aliases are written out.
    """
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MAX_NODES:
            raise InvalidInput(
                f"{where}: expected at most {MAX_NODES:,} values once its aliases (*name) are written out; there are "
                "more. Write out what is meant."
            )
        return reader.construct_document(node)
    except RecursionError:
        raise InvalidInput(f"{where} is nested too deeply, or an alias is within what it stands for.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that the calendar lacks
        raise InvalidInput(f"{where} is not valid YAML: {error}") from None
    finally:
        reader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values below a node with its aliases written out; each node is counted once and then looked up."""
    if id(node) not in known:
        children = [] if isinstance(node, yaml.ScalarNode) else node.value
        nodes = [child for each in children for child in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(child, known) for child in nodes)
    return known[id(node)]
