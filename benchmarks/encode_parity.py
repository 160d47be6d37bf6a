"""Do imported checkpoints compute the same hidden states as `transformers`?

Random BERT, DistilBERT, GPT-2, RoBERTa, XLM-R, MPNet, ModernBERT and nomic models (seeded, width 96, 3 layers;
ModernBERT 4, of which the first and the last attend to all tokens), written by transformers, and all-MiniLM-L6-v2 as
published get the same padded token ids on both sides. The hidden states of every layer are compared at the real tokens,
and so are the tokens of the GPT-2 tokenizer. transformers has its own environment (see encode.py). Prints one JSON line
without ratios, as nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

MODELS = ("bert", "distilbert", "gpt2", "roberta", "xlm-roberta", "mpnet", "modernbert", "nomic", "minilm")
LENGTHS = {"modernbert": 200}  # longer than its window of 128
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(195))]
TEXTS = ["A red shoe, it's 10% off!", "two   spaces\n\nand lines ", "Grün, 日本 and 😀", "don't", "   x", "aaaa aaaa"]


def write_models(root: Path) -> None:
    """Writes model folders, and ids, mask and hidden states as .npz. Runs in the environment of transformers."""
    import torch
    import transformers as hf

    torch.manual_seed(0)
    size = {"vocab_size": 200, "max_position_embeddings": 64}
    wide = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 200}
    models = {
        "bert": hf.BertModel(hf.BertConfig(**size, **wide)),
        "distilbert": hf.DistilBertModel(hf.DistilBertConfig(**size, dim=96, n_layers=3, n_heads=4, hidden_dim=200)),
        "gpt2": hf.GPT2Model(hf.GPT2Config(vocab_size=257, n_positions=64, n_embd=96, n_layer=3, n_head=4)),
        "xlm-roberta": hf.XLMRobertaModel(hf.XLMRobertaConfig(**_offset(size), **wide), add_pooling_layer=False),
        "roberta": hf.RobertaModel(
            hf.RobertaConfig(**_offset(size) | {"vocab_size": 261}, **wide), add_pooling_layer=False
        ),
        "modernbert": hf.ModernBertModel(hf.ModernBertConfig(**_modern(size | wide))),
        "nomic": hf.NomicBertModel(hf.NomicBertConfig(**size, **wide), add_pooling_layer=False),
        "mpnet": hf.MPNetModel(hf.MPNetConfig(**_offset(size), **wide), add_pooling_layer=False),
        "minilm": hf.BertModel.from_pretrained(root / "minilm"),
    }
    rng = np.random.default_rng(0)
    for name, model in models.items():
        if name != "minilm":
            for weight in model.parameters():  # away from the small initial values, so that errors show
                weight.data += 0.1 * torch.randn_like(weight)
            model.save_pretrained(root / name, safe_serialization=True)
        longest = LENGTHS.get(name, 40)
        lengths = rng.integers(3, longest, 8)
        ids = rng.integers(5, 190, (8, longest))
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        with torch.no_grad():
            inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
            states = model.eval()(**inputs, output_hidden_states=True).hidden_states[1:]
        np.savez(root / f"{name}.npz", ids=ids, mask=mask, states=np.stack([state.numpy() for state in states]))
    for name in ("bert", "distilbert", "xlm-roberta", "mpnet", "nomic"):
        (root / name / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    _write_byte_tokeniser(root / "gpt2", ["<|endoftext|>"])
    _write_byte_tokeniser(root / "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    names = ["[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    hf.GPT2Tokenizer(**_byte_vocabulary(names)).save_pretrained(root / "modernbert")
    tokenizer = hf.GPT2Tokenizer.from_pretrained(root / "gpt2")
    (root / "tokens.json").write_text(json.dumps([tokenizer(text)["input_ids"] for text in TEXTS]))
    print(json.dumps({"transformers": hf.__version__, "torch": torch.__version__}))


def _modern(sizes: dict[str, int]) -> dict[str, int]:
    """More layers and positions, and special ids that the small vocabulary has."""
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    return {**sizes, **ids, "vocab_size": 264, "num_hidden_layers": 4, "max_position_embeddings": 256}


def _byte_vocabulary(names: list[str]) -> dict[str, Any]:
    return {"vocab": {token: at for at, token in enumerate([*_bytes(), *names])}, "merges": []}


def _write_byte_tokeniser(folder: Path, names: list[str]) -> None:
    (folder / "vocab.json").write_text(json.dumps(_byte_vocabulary(names)["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _offset(size: dict[str, int]) -> dict[str, int]:
    """XLM-R and MPNet have two positions that no text uses."""
    return {**size, "max_position_embeddings": size["max_position_embeddings"] + 2, "pad_token_id": 1}


def write_golden(root: Path) -> None:
    """Writes what the tests expect for the folders below `root`. Runs in the environment of transformers."""
    import torch
    import transformers as hf

    rng, golden = np.random.default_rng(0), {}
    for folder in sorted(root.iterdir()):
        options = {} if folder.name == "modernbert" else {"add_pooling_layer": False}
        model = hf.AutoModel.from_pretrained(folder, **options).eval()
        ids = rng.integers(5, 90, (3, 40))
        mask = (np.arange(40) < np.array([[40], [25], [3]])).astype(np.int64)
        with torch.no_grad():
            inputs = {"input_ids": torch.tensor(np.where(mask, ids, 1)), "attention_mask": torch.tensor(mask)}
            states = model(**inputs, output_hidden_states=True).hidden_states[1:]
        places = [(0, 0), (0, 39), (1, 7), (2, 2)]
        kept = {f"{n},{r},{p}": state[r, p].tolist() for n, state in enumerate(states) for r, p in places}
        rounded = {place: [round(value, 5) for value in values] for place, values in kept.items()}
        about = {"ids": np.where(mask, ids, 1).tolist(), "mask": mask.tolist(), "places": places}
        golden[folder.name] = {**about, "states": rounded}
    (root / "golden.json").write_text(json.dumps(golden) + "\n")


def _bytes() -> list[str]:
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in shown] + [chr(256 + at) for at in range(256 - len(shown))]


def golden_states(root: Path, python: str) -> None:
    """Writes golden_states.json of the tests."""
    from tests.encoders.checkpoints.random_checkpoints import write_family_folder
    from tests.encoders.tokenization.tokenizer_files import FAMILIES

    for kind, tokenizer in FAMILIES.items():
        write_family_folder(root / kind, kind, tokenizer())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, __file__, "--write-golden", str(root)], env=environment, check=True)
    target = Path(__file__).resolve().parents[1] / "tests" / "encoders" / "transformers" / "golden_states.json"
    target.write_text((root / "golden.json").read_text())


def largest_difference(root: Path, name: str) -> float:
    """Largest difference over all layers and real tokens, as a share of the states' standard deviation."""
    import tensorflow as tf

    from tfrec.encoders.checkpoints.huggingface import read_checkpoint

    expected = np.load(root / f"{name}.npz")
    ids, mask = (tf.constant(expected[key], tf.int32) for key in ("ids", "mask"))
    model = read_checkpoint(root / name).model()
    states = model({"input_word_ids": ids, "input_mask": mask, "input_type_ids": tf.zeros_like(ids)})["encoder_outputs"]
    real = expected["mask"].astype(bool)
    difference = max(
        np.abs(np.asarray(ours)[real] - theirs[real]).max() for ours, theirs in zip(states, expected["states"])
    )
    return float(difference / expected["states"][:, real].std())


def main() -> None:
    """Parses the command line, compares, and prints the JSON line; exit code 1 if a difference is above 1e-4."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="path of a Python with the peers")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--golden", action="store_true", help="write the hidden states that the tests expect")
    parser.add_argument("--write-golden", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write_golden:
        write_golden(Path(options.write_golden))
        return
    if options.write:
        write_models(Path(options.write))
        return
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
    from encode import peers_python

    from tfrec.downloads import minilm_folder
    from tfrec.encoders.checkpoints.huggingface import read_checkpoint

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if options.golden:
            golden_states(root, peers_python(options.peers))
            return
        (root / "minilm").symlink_to(minilm_folder().resolve())
        python = peers_python(options.peers)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [python, __file__, "--write", place]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        differences = {name: largest_difference(root, name) for name in MODELS}
        preprocessor = read_checkpoint(root / "gpt2").vocabulary.preprocessor(64)
        tokens = preprocessor.tokenize(np.array(TEXTS, object)).to_list()
        equal = tokens == json.loads((root / "tokens.json").read_text())
    report = {
        "benchmark": "encode_parity",
        "ratios": {},
        "figures": {"largest_difference": differences, "equal_gpt2_tokens": equal},
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"tensorflow": version("tensorflow"), **json.loads(output.splitlines()[-1])},
    }
    print(json.dumps(report))
    sys.exit(0 if equal and max(differences.values()) < 1e-4 else 1)


if __name__ == "__main__":
    main()
