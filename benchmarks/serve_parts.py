"""Parts of `serve.py`: approximate indexes, and the signature `recommend` through TensorFlow's C API."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from serve_timing import DIM, K, in_turns, summary

MORE_PROBES = 64
"""About as many lists as the titles of a shop needed for the same recall; the random vectors here need fewer."""


def approximate(size: int, threads: int, seconds: float) -> None:
    """Prints recall, milliseconds and memory of the approximate indexes. Runs in the peers' environment."""
    import faiss
    import numpy as np

    import tfrec  # noqa: F401
    import tensorflow as tf  # isort: skip

    from tfrec.retrieval import Int8Index, IvfIndex, TopK, index_recall

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    faiss.omp_set_num_threads(threads)
    rng = np.random.default_rng(0)
    queries, floor = 512, 0.98

    def unit(rows):  # type: ignore[no-untyped-def]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def noise(rows: int, length: float):  # type: ignore[no-untyped-def]
        return rng.standard_normal((rows, DIM), np.float32) * (length / DIM**0.5)

    topics = unit(noise(max(size // 100, 1), 1.0))
    items = unit(topics[rng.integers(0, len(topics), size)] + noise(size, 0.7))
    query_vectors = unit(items[rng.integers(0, size, queries)] + noise(queries, 0.5))
    table, spec = tf.Variable(items), [tf.TensorSpec([None, DIM], tf.float32)]
    top = TopK(K).index(items)

    def traced(index, **how):  # type: ignore[no-untyped-def]
        return tf.function(lambda q: index.search(table, q, K, **how).indices, input_signature=spec)

    def near(index):  # type: ignore[no-untyped-def]
        return traced(index, exact_if_quicker=False)

    def indices_of(call, rows):  # type: ignore[no-untyped-def]
        parts = [call(tf.constant(rows[at : at + 32])) for at in range(0, len(rows), 32)]
        return np.concatenate([np.asarray(part) for part in parts])

    exact_call = tf.function(lambda q: top(q).indices, input_signature=spec)
    exact = indices_of(exact_call, query_vectors)
    half = queries // 2
    started = time.perf_counter()
    ivf = IvfIndex(items, probes=1)
    built = {"ivf_s": time.perf_counter() - started}
    while (
        ivf.probes < ivf.num_lists
        and index_recall(indices_of(near(ivf), query_vectors[:half]), exact[:half], K) < floor
    ):
        ivf.probes *= 2
    int8 = Int8Index(items)
    quantiser = faiss.IndexFlatIP(DIM)
    quantiser.add(ivf.centres.numpy())  # FAISS keeps these centres: there are as many as lists
    theirs = faiss.IndexIVFFlat(quantiser, DIM, ivf.num_lists, faiss.METRIC_INNER_PRODUCT)
    theirs.train(items[:1])
    theirs.add(items)
    while (
        theirs.nprobe < ivf.num_lists
        and index_recall(theirs.search(query_vectors[:half], K)[1], exact[:half], K) < floor
    ):
        theirs.nprobe *= 2
    measured = {"int8": near(int8), "ivf": near(ivf)}
    recall = {
        name: index_recall(indices_of(call, query_vectors[half:]), exact[half:], K) for name, call in measured.items()
    }
    recall["faiss_ivf"] = index_recall(theirs.search(query_vectors[half:], K)[1], exact[half:], K)
    ways = {"int8": traced(int8), "ivf": traced(ivf)}
    for call in ways.values():
        call(tf.constant(query_vectors[:1]))  # traced now, with the current number of probes
    probes, ivf.probes = ivf.probes, min(MORE_PROBES, ivf.num_lists)
    ways["ivf_more_probes"] = traced(ivf)
    ways["ivf_more_probes"](tf.constant(query_vectors[:1]))
    ivf.probes = probes
    cells = {}
    for batch in (1, 32):
        query = query_vectors[:batch].copy()
        tensor = tf.constant(query)
        calls = {name: lambda c=call, q=tensor: c(q).numpy() for name, call in {"exact": exact_call, **ways}.items()}
        calls["faiss_ivf"] = lambda f=theirs, q=query: f.search(q, K)
        cells[f"{size}x{batch}"] = {name: summary(v) for name, v in in_turns(calls, seconds).items()}
    memory = {"int8": 1 + int8.nbytes / items.nbytes, "ivf": 1 + ivf.nbytes / items.nbytes}
    probes = {"ivf_probes": ivf.probes, "ivf_more_probes": MORE_PROBES, "faiss_probes": theirs.nprobe}
    lists = {"lists": ivf.num_lists, **probes}
    even_items, even_queries = unit(noise(max(size // 10, K), 1.0)), unit(noise(64, 1.0))
    exact = np.argsort(-(even_queries @ even_items.T))[:, :K]
    even_ivf = IvfIndex(even_items)
    even_ivf.probes = max(round(ivf.probes / ivf.num_lists * even_ivf.num_lists), 1)  # the same share of the lists
    even = {
        name: index_recall(index.search(even_items, even_queries, K, exact_if_quicker=False).indices.numpy(), exact, K)
        for name, index in (("int8", Int8Index(even_items)), ("ivf", even_ivf))
    }
    print(json.dumps({"cells": cells, "recall": recall, "recall_without_structure": even, "options": lists,
                      "build": built, "memory_by_vectors": memory}))  # fmt: skip


def signature(size: int, calls: int) -> None:
    """Prints milliseconds of `recommend` for one request, and of a bare matrix product with top-k.

    Both are SavedModels, run in turns by the C program of `tfrec check`, without Python. "plain" has neither repeat
    bias nor neighbours; "full" has both, with 64 history and 32 text neighbours for each item. The items are random.
    """
    import numpy as np

    import tfrec  # noqa: F401
    import tensorflow as tf  # isort: skip

    from tfrec.config import ExportConfig
    from tfrec.models.next_item.model import NextItemModel
    from tfrec.serving.modules.item_index import Catalogue
    from tfrec.serving.modules.next_item import NextItemServing

    rng = np.random.default_rng(0)
    items = [f"item-{i}" for i in range(size)]
    catalogue = Catalogue(items, [""] * size, np.arange(size))
    config = ExportConfig(history_length=50)
    strings = {"history_item_ids": [[*items[:20], *[""] * 30]], "history_events": [["view"] * 20 + [""] * 30],
               "exclude_item_ids": [[""] * config.exclude_length]}  # fmt: skip
    requests = {name: {"dtype": "string", "shape": [1, len(v[0])], "values": v[0]} for name, v in strings.items()}
    query = {"query": {"dtype": "float32", "shape": [1, DIM], "values": rng.standard_normal(DIM).tolist()}}
    vectors = tf.Variable(rng.standard_normal((size, DIM), np.float32))
    bare = tf.Module()
    bare.items = vectors

    def top(query: tf.Tensor) -> dict[str, tf.Tensor]:
        scores, indices = tf.math.top_k(tf.matmul(query, vectors, transpose_b=True), config.max_k)
        return {"scores": scores, "indices": indices}

    def served(memory: bool) -> Any:
        sizes = {"neighbours": 64, "text_neighbours": 32} if memory else {}
        model = NextItemModel(size, 1, dim=DIM, heads=4, repeat_bias=memory, **sizes)
        if memory:
            near, alike = (rng.integers(0, size, (size, k)).astype(np.int32) for k in sizes.values())
            model.memory.remember((near, np.ones(near.shape)), (alike, np.ones(alike.shape)))
        return NextItemServing(model, catalogue, event_kinds=["view"], config=config, exclude_seen=True)

    with tempfile.TemporaryDirectory() as work:
        folders: dict[str, tuple[Path, dict[str, Any]]] = {}
        spec = tf.TensorSpec([None, DIM], tf.float32, "query")
        function = tf.function(top).get_concrete_function(spec)
        tf.saved_model.save(bare, f"{work}/bare", signatures={"serving_default": function})
        folders["bare"] = Path(work, "bare"), query
        for name, memory in (("plain", False), ("full", True)):
            module = served(memory)
            tf.saved_model.save(module, f"{work}/{name}", signatures=module.functions)
            folders[name] = Path(work, name), requests
        latencies: dict[str, list[float]] = {name: [] for name in folders}
        for _ in range(3):
            for name, (folder, inputs) in folders.items():
                latencies[name] += timed(folder, inputs, calls)
    print(json.dumps({name: summary(values) for name, values in latencies.items()}))


def timed(folder: Path, inputs: dict[str, Any], calls: int) -> list[float]:
    """Seconds of each call of the default signature by the C program, without the first tenth of the calls."""
    from tfrec.guard.servable_ops import read_saved_model
    from tfrec.serving.checking.c_loader import compile_loader, find_compiler, time_native

    compiler = find_compiler()
    if compiler is None:
        raise SystemExit("No C compiler: the C API cannot be measured.")
    about = read_saved_model(folder).meta_graphs[0].signature_def["serving_default"]
    feeds = {about.inputs[name].name: value for name, value in inputs.items()}
    fetches = {name: output.name for name, output in about.outputs.items()}
    call = {"feeds": feeds, "fetches": fetches}
    return time_native(compile_loader(compiler), folder, call, calls)[calls // 10 :]
