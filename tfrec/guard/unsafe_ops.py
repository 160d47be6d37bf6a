"""Refuses SavedModels that could do harm: a SavedModel is a program that runs with the rights of who loads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tfrec.errors import InvalidInput

_PYTHON: Final = ("EagerPyFunc", "PyFunc", "PyFuncStateless")
_FILES: Final = (
    "CSVDataset", "CSVDatasetV2", "CacheDataset", "CacheDatasetV2", "CreateSummaryDbWriter",
    "CreateSummaryFileWriter", "DatasetToTFRecord", "DistributedSave", "ExperimentalCSVDataset",
    "ExperimentalDatasetToTFRecord", "ExperimentalLMDBDataset", "ExperimentalMatchingFilesDataset",
    "ExperimentalSqlDataset", "FileSystemSetConfiguration", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2",
    "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "GenerateVocabRemapping", "ImmutableConst", "LMDBDataset",
    "LMDBReader", "ListSnapshotChunksDataset", "LoadAndRemapMatrix", "LoadDataset", "MatchingFiles",
    "MatchingFilesDataset", "PrintV2", "ReadFile", "RecordInput", "Restore", "RestoreSlice", "Save", "SaveDataset",
    "SaveDatasetV2", "SaveSlices", "SnapshotChunkDataset", "SnapshotDataset", "SnapshotDatasetReader",
    "SnapshotDatasetV2", "SnapshotNestedDatasetReader", "SqlDataset", "StatsAggregatorSetSummaryWriter",
    "SummaryWriter", "TFRecordDataset", "TFRecordDatasetV2", "TFRecordReader", "TFRecordReaderV2", "TextLineDataset",
    "TextLineReader", "TextLineReaderV2", "WholeFileReader", "WholeFileReaderV2", "WriteAudioSummary", "WriteFile",
    "WriteGraphSummary", "WriteHistogramSummary", "WriteImageSummary", "WriteRawProtoSummary", "WriteScalarSummary",
    "WriteSummary",
)  # fmt: skip
_NETWORK_AND_OTHER_FILES: Final = (
    "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4", "DebugIdentity",
    "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary", "DebugNumericSummaryV2",
    "DecodeProtoV2", "EncodeProto", "FixedUnigramCandidateSampler", "RegisterDataset",
    "RegisterDatasetV2",
)  # fmt: skip

REFUSED_OPS: Final = frozenset((*_PYTHON, *_FILES, *_NETWORK_AND_OTHER_FILES))
"""Ops that need Python, touch files, or connect to an address that the model chooses. No servable model needs them.

`PrintV2` can write to any file; `EncodeProto`, `DecodeProtoV2` and `FixedUnigramCandidateSampler` read any file,
`ImmutableConst` maps any file into memory, and the debug ops send to URLs.
"""

SAVER_OPS: Final = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints"})
"""The ops by which every SavedModel loads its variables. A request that reached them could read or write any file."""

_WRITERS: Final = frozenset({"SaveV2", "MergeV2Checkpoints"})
_FILLS_A_TABLE: Final = "_initialize"
"""The method by which TensorFlow fills a table while a model loads."""
_MAIN_OPS: Final = frozenset({"saved_model_main_op", "legacy_init_op"})
"""Collections that name the ops which run while a model in the TF1 format loads."""

ASSET_OPS: Final = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""The ops by which a SavedModel reads vocabularies from `assets/` while it loads."""


def refuse_unsafe(saved_model: Any, where: str | Path) -> None:
    """Raises `InvalidInput` if a model could access more of the machine than its own variables and assets.

    A model is refused if

    - it has an op of `REFUSED_OPS` anywhere,
    - a signature, or a function that Python can call, reaches an op of the saver or of asset tables,
    - an op of the saver runs while the model loads, other than to read its variables,
    - an asset table reads a file that is not an asset of the model, or an asset lies outside `assets/`.

    Args:
        saved_model: Of `read_saved_model`.
        where: The folder, for the message.
    """
    problems: set[str] = set()
    for graph in saved_model.meta_graphs:
        functions = {f.signature.name: f for f in graph.graph_def.library.function}
        everywhere = {node.op for node in graph.graph_def.node}
        everywhere.update(node.op for function in functions.values() for node in function.node_def)
        problems.update(everywhere & REFUSED_OPS)
        problems.update(_in_signatures(graph, functions))
        problems.update(_in_objects(graph, functions))
        problems.update(_while_loading(graph, functions))
        problems.update(_tables_outside_assets(graph, functions))
        problems.update(_assets_elsewhere(graph))
    if problems:
        raise InvalidInput(
            f"Expected a model that accesses only its own variables and assets; {where} holds "
            f"{', '.join(sorted(problems))}. A SavedModel is a program: do not use this one. If it is yours, "
            f"replace these ops with plain TensorFlow and export again."
        )


def _in_signatures(graph: Any, functions: dict[str, Any]) -> Iterator[str]:
    for name, signature in graph.signature_def.items():
        loading = name.startswith("__saved_model")
        reached = _reachable_ops(graph, functions, (info.name for info in signature.outputs.values()))
        refused = SAVER_OPS if loading else SAVER_OPS | ASSET_OPS
        yield from (f"{op} (reached by the signature {name!r})" for op in reached & refused)


def _in_objects(graph: Any, functions: dict[str, Any]) -> Iterator[str]:
    """What functions reach that Python calls as methods: `tokenize`, `__call__`, those that create and fill tables."""
    nodes = graph.object_graph_def.nodes
    parents: dict[int, set[tuple[int, str]]] = {}
    for number, node in enumerate(nodes):
        for child in node.children:
            parents.setdefault(child.node_id, set()).add((number, child.local_name))
    for number, node in enumerate(nodes):
        names = [*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name]
        reached = _ops_of_functions([name for name in names if name in functions], functions)
        methods = _method_names(number, parents)
        refused = SAVER_OPS if methods == {_FILLS_A_TABLE} else SAVER_OPS | ASSET_OPS
        yield from (f"{op} (reached by the method {' or '.join(sorted(methods))})" for op in reached & refused)


def _method_names(number: int, parents: dict[int, set[tuple[int, str]]]) -> set[str]:
    """The names under which Python finds a function; its traces (`trace_0`, …) are found under its own."""
    names: set[str] = set()
    for parent, name in parents.get(number, ()):
        names |= {above for _, above in parents.get(parent, ())} if name.startswith("trace_") else {name}
    return names


def _while_loading(graph: Any, functions: dict[str, Any]) -> Iterator[str]:
    for name in _MAIN_OPS & set(graph.collection_def):
        reached = _reachable_ops(graph, functions, graph.collection_def[name].node_list.value)
        yield from (f"{op} (run while it loads)" for op in reached & SAVER_OPS)
    restored = _reachable_ops(graph, functions, [graph.saver_def.restore_op_name])
    yield from (f"{op} (run while it loads)" for op in restored & _WRITERS)


def _assets_elsewhere(graph: Any) -> Iterator[str]:
    """Assets whose name leads out of `assets/`: TensorFlow joins the two and asks no more."""
    for asset in graph.asset_file_def:
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts:
            yield f"the asset {asset.filename} (outside assets/)"


def _reachable_ops(graph: Any, functions: dict[str, Any], tensors: Iterable[str]) -> set[str]:
    """The ops that tensors or nodes depend on, through the graph and all functions called."""
    nodes = {node.name: node for node in graph.graph_def.node}
    waiting = list(map(_producer, tensors))
    seen: set[str] = set()
    ops: set[str] = set()
    called: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        node = nodes[name]
        ops.add(node.op)
        called += _called_functions(node, functions)
        waiting += map(_producer, node.input)
    return ops | _ops_of_functions(called, functions)


def _ops_of_functions(names: Iterable[str], functions: dict[str, Any]) -> set[str]:
    """The ops of functions, and of the functions that those call."""
    waiting, seen, ops = list(names), set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            ops.add(node.op)
            waiting += _called_functions(node, functions)
    return ops


def _called_functions(node: Any, functions: dict[str, Any]) -> Iterator[str]:
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        names = [value.func.name] if value.HasField("func") else [f.name for f in value.list.func]
        yield from (name for name in names if name in functions)


def _tables_outside_assets(graph: Any, functions: dict[str, Any]) -> Iterator[str]:
    """Asset tables whose file name is a constant of the graph or is not in the list of assets."""
    assets = {_producer(asset.tensor_info.name) for asset in graph.asset_file_def}
    for node in graph.graph_def.node:
        if node.op in ASSET_OPS or _ops_of_functions(_called_functions(node, functions), functions) & ASSET_OPS:
            sources = _string_sources(graph, node)
            if not sources or sources - assets:
                yield f"{node.name} (a table from a file outside assets/)"
    for name, function in functions.items():
        if any(node.op in ASSET_OPS for node in function.node_def) and any(map(_is_string_constant, function.node_def)):
            yield f"{name} (a table from a file outside assets/)"


def _string_sources(graph: Any, node: Any) -> set[str]:
    """String constants and placeholders that the inputs of a node come from, directly or through variables."""
    nodes = {n.name: n for n in graph.graph_def.node}
    assigned: dict[str, list[str]] = {}
    for n in graph.graph_def.node:
        if n.op == "AssignVariableOp":
            assigned.setdefault(_producer(n.input[0]), []).append(n.name)
    waiting, seen = list(map(_producer, node.input)), set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in nodes:
            seen.add(name)
            waiting += [*map(_producer, nodes[name].input), *assigned.get(name, ())]
    return {name for name in seen if _is_string_constant(nodes[name]) or _is_string_placeholder(nodes[name])}


def _is_string_placeholder(node: Any) -> bool:
    return node.op == "Placeholder" and node.attr["dtype"].type == 7


def _is_string_constant(node: Any) -> bool:
    return node.op == "Const" and node.attr["dtype"].type == 7


def _producer(tensor: str) -> str:
    """`"^name"`, `"name:1"` → `"name"`."""
    return tensor.lstrip("^").partition(":")[0]
