"""No module imports itself by a detour: the imports of the package, its benchmarks and its tests have no circle.

Counted are all imports but those for type checkers alone: also the ones inside functions, which only put a circle off,
and the packages around what is imported, as `import a.b` runs `a/__init__.py` first.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tfrec", "benchmarks", "tests")


def module_files(root: Path, folders: tuple[str, ...] = FOLDERS) -> dict[str, Path]:
    """Name of each module to its file. Benchmarks find each other by their bare names, as they run as scripts."""
    found = {}
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = list(path.relative_to(root).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found[".".join(parts[1:] if folder == "benchmarks" else parts)] = path
    return found


def imports_of(tree: ast.AST, package: str) -> Iterator[tuple[str, list[str]]]:
    """Each import: the module that is named, and the names that are taken from it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports_of(other, package)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module, [alias.name for alias in node.names]
        else:
            yield from imports_of(node, package)


def import_graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """Module to the modules that are run when it is imported."""
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        edges = set()
        for module, taken in imports_of(ast.parse(path.read_text(encoding="utf-8")), package):
            inside = {f"{module}.{part}" for part in taken} & files.keys()
            edges |= inside
            if len(inside) < len(taken) or not taken:
                edges.add(module)  # something of the module itself is wanted
            around = {module.rsplit(".", depth)[0] for depth in range(module.count(".") + 1)} | {module}
            edges |= {other for other in around if not f"{name}.".startswith(f"{other}.")}
        graph[name] = (edges & files.keys()) - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], index[other])
        if lowest[node] == index[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_module_imports_itself_by_a_detour():
    graph = import_graph(module_files(ROOT))
    assert len(graph) > 400 and "tfrec.schema" in graph["tfrec.data.histories"] | graph["tfrec.data.dataset"]
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "import tfrec.b", "b": "import tfrec.a"}, [["tfrec.a", "tfrec.b"]]),
        ({"a": "def f():\n    from tfrec.b import x", "b": "from tfrec import a"}, [["tfrec.a", "tfrec.b"]]),
        ({"a": "from tfrec.b import x", "b": "from tfrec.c import x", "c": "from .a import x"}, [list("abc")]),
        ({"a": "from tfrec.p.q import x", "p/__init__": "from tfrec import a", "p/q": ""}, [["tfrec.a", "tfrec.p"]]),
        ({"p/__init__": "from tfrec.p.q import x", "p/q": "from tfrec.p import y"}, [["tfrec.p", "tfrec.p.q"]]),
        ({"p/__init__": "from tfrec.p.q import x", "p/q": "from tfrec.p.r import y", "p/r": ""}, []),
        ({"a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tfrec.b", "b": "import tfrec.a"}, []),
        ({"a": "import tfrec.b", "b": "import os"}, []),
    ],
    ids=["two", "in a function", "three", "through a package", "with its package", "siblings", "types", "none"],
)
def test_circles_are_found_where_there_are_some(tmp_path, files, expected):
    for name, text in files.items():
        path = tmp_path / "tfrec" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tfrec" / "__init__.py").write_text("")
    expected = [[part if "." in part else f"tfrec.{part}" for part in circle] for circle in expected]
    assert circles(import_graph(module_files(tmp_path, ("tfrec",)))) == expected
