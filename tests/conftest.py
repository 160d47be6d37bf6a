"""How the suite is run, and what tests of every room share: a BERT small enough to build in a second."""

import gc
import json
import os
from collections import Counter

import numpy as np
import pytest

import tfrec  # noqa: F401  the Keras guard, before anything imports TensorFlow

# Tracing makes a hundred thousand objects that live, and the collector looks at all of them again and again.
gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """The whole suite runs in a process a core, up to four, a file in one of them; `-n 0` and named tests in this one.

    Most of the time is tracing, in Python, which a process does on one core.
    """
    option, cores = config.option, len(os.sched_getaffinity(0))
    whole = config.args_source is config.ArgsSource.TESTPATHS and not (option.usepdb or option.collectonly)
    if whole and cores > 1 and getattr(option, "numprocesses", 0) is None and not hasattr(config, "workerinput"):
        option.numprocesses, option.dist, option.loadscopereorder = min(cores, 4), "loadfile", False


COSTLY = {"exported", "grown", "new_run", "ranker"}
"""Fixtures that fit or export a model: whoever first asks for one waits, so no test of the everyday part may."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """What a costly fixture is made for is slow; in a worker, files of mostly slow tests come first.

    A long file that begins last would be waited for.
    """
    for item in items:
        if not COSTLY.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path] / tests[item.path])


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the a an and of in with for on to red blue green black white big small new old hot cold fast slow
shoe hat coat shirt bag book film game music story love war space sea dog cat tea coffee cake soap brush lamp chair
table phone cable bought viewed liked rated returned carted browsed favourited action comedy drama""".split()
CHARACTERS = list("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'()-&")
TINY_VOCABULARY = SPECIAL + WORDS + [c for c in CHARACTERS if c not in WORDS] + [f"##{c}" for c in CHARACTERS]

TINY_CONFIG = {
    "model_type": "bert",
    "vocab_size": len(TINY_VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def tiny_tensors(seed=0):
    """Random weights under the names that Hugging Face gives them, with a pooler."""
    rng = np.random.default_rng(seed)
    width, inner = TINY_CONFIG["hidden_size"], TINY_CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (TINY_CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": (TINY_CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    for layer in range(TINY_CONFIG["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{prefix}.{name}.weight": (width, width), f"{prefix}.{name}.bias": (width,)}
        shapes |= {f"{prefix}.intermediate.dense.weight": (inner, width), f"{prefix}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{prefix}.output.dense.weight": (width, inner), f"{prefix}.output.dense.bias": (width,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{prefix}.{name}.weight": (width,), f"{prefix}.{name}.bias": (width,)}
    tensors = {}
    for name, shape in shapes.items():
        around = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        tensors[name] = (around + 0.2 * rng.normal(size=shape)).astype(np.float32)
    return tensors


def write_hf_folder(folder, tensors=None, config=None, vocabulary=None):
    """A Hugging Face BERT folder; pass what is to differ from the tiny one."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**TINY_CONFIG, **(config or {})}))
    (folder / "vocab.txt").write_text("\n".join(vocabulary or TINY_VOCABULARY) + "\n", encoding="utf-8")
    save_file(tiny_tensors() if tensors is None else tensors, str(folder / "model.safetensors"))
    return folder


@pytest.fixture(scope="session")
def litert():
    """For tests that run LiteRT programs."""
    return pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install the package anew")


@pytest.fixture(scope="session")
def dp_accounting():
    """For tests that compose mechanisms."""
    return pytest.importorskip("dp_accounting", reason="dp-accounting is not installed: install the extra `privacy`")


@pytest.fixture(scope="session")
def tiny_hf_bert(tmp_path_factory):
    """A Hugging Face BERT folder with random weights: 2 layers, width 32. Tests must not change it."""
    return write_hf_folder(tmp_path_factory.mktemp("hf") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_encoder(tiny_hf_bert, tmp_path_factory):
    """The encoder folder made from `tiny_hf_bert` with mean pooling. Tests must not change it."""
    from tfrec.encoders import import_encoder

    return import_encoder(tiny_hf_bert, tmp_path_factory.mktemp("encoders") / "tiny", pooling="mean")
