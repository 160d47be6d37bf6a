"""Measures the size of an export, in parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SizeReport:
    """Sizes of the parts of a version folder, in bytes.

    Args:
        graph: `saved_model.pb`, which may not exceed 2 GiB.
        variables: The checkpoint in `variables/`.
        assets: `assets/`.
        extra: All other files, such as warm-up and example requests, which a server does not keep in memory.
        largest: (name, bytes) of the largest variables and constants, in descending order.
    """

    graph: int
    variables: int
    assets: int
    extra: int
    largest: tuple[tuple[str, int], ...] = ()

    @property
    def total(self) -> int:
        """Size of the whole folder in bytes."""
        return self.graph + self.variables + self.assets + self.extra

    def __str__(self) -> str:
        """The report as a line of text."""
        parts = ", ".join(f"{name} {_mb(getattr(self, name))}" for name in ("graph", "variables", "assets", "extra"))
        largest = ", ".join(f"{name} {_mb(size)}" for name, size in self.largest)
        return f"{_mb(self.total)} on disk: {parts}." + (f" Largest: {largest}." if largest else "")


def size_report(folder: str | Path, saved_model: Any, top: int = 3) -> SizeReport:
    """Measures a version folder.

    Args:
        folder: The version folder.
        saved_model: Its parsed `saved_model.pb`.
        top: Number of largest variables and constants to name.
    """
    folder = Path(folder)
    sizes = dict.fromkeys(("graph", "variables", "assets", "extra"), 0)
    for path in folder.rglob("*"):
        if path.is_file():
            first = path.relative_to(folder).parts[0]
            part = "graph" if first == "saved_model.pb" else first if first in ("variables", "assets") else "extra"
            sizes[part] += path.stat().st_size
    named = sorted([*_variables(folder), *_constants(saved_model)], key=lambda pair: (-pair[1], pair[0]))
    return SizeReport(**sizes, largest=tuple(named[:top]))


def _variables(folder: Path) -> list[tuple[str, int]]:
    import tensorflow as tf

    if not (folder / "variables" / "variables.index").is_file():
        return []
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    types = reader.get_variable_to_dtype_map()
    return [
        (name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"), tf.TensorShape(shape).num_elements() * types[name].size)
        for name, shape in reader.get_variable_to_shape_map().items()
        if types[name] != tf.string
    ]


def _constants(saved_model: Any) -> list[tuple[str, int]]:
    return [
        (node.name, node.attr["value"].tensor.ByteSize())
        for graph in saved_model.meta_graphs
        for nodes in (graph.graph_def.node, *(f.node_def for f in graph.graph_def.library.function))
        for node in nodes
        if node.op == "Const"
    ]


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
