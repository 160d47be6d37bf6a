"""Do imported encoders give the tokens of Hugging Face's `tokenizers`, and how fast?

100,000 seeded texts in 20 scripts (tests/encoders/tokenization/hostile_texts.py: long words, compatibility characters,
controls, texts of special tokens) and 500 titles of each data set in $TFREC_BENCH_DATA are tokenised with the tokeniser
of all-MiniLM-L6-v2, with that of a multilingual Model2Vec (tests/encoders/pretrained.py) and with those in
tests/encoders/tokenization/tokenizer_files.py; differences are counted by kind. `tokenizers` has its own environment
(see encode.py) and treats the text of a special token as text (`encode_special_tokens`). Prints one JSON line;
the ratio says how many times faster exact tokens are than those of tf-text. `--golden` writes the ids for the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOLDEN_TEXTS = 150  # texts of each script in the tests


def write_ids(root: Path) -> None:
    """Writes the ids of every tokeniser for every text. Runs in the environment of `tokenizers`."""
    from tokenizers import Tokenizer, __version__

    texts = json.loads((root / "texts.json").read_text())
    for path in sorted(root.glob("*/tokenizer.json")):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ids = {
            name: [encoding.ids for encoding in tokenizer.encode_batch_fast(part, add_special_tokens=False)]
            for name, part in texts.items()
        }
        (path.parent / "ids.json").write_text(json.dumps(ids))
    print(json.dumps({"tokenizers": __version__}))


def write_minilm(source: str, folder: str) -> None:
    """Saves MiniLM's tokeniser as transformers 5 does. Runs in the environment of transformers."""
    from transformers import BertTokenizerFast

    BertTokenizerFast.from_pretrained(source).save_pretrained(folder)


def titles(count: int = 500) -> dict[str, list[str]]:
    """Name to a seeded sample of titles, for each data set in $TFREC_BENCH_DATA."""
    import polars as pl

    root = os.environ.get("TFREC_BENCH_DATA")
    found = {}
    for path in sorted(Path(root).glob("*/items.parquet")) if root else []:
        items = pl.read_parquet(path)
        column = next((name for name in ("title", "text", "name") if name in items.columns), None)
        if column:
            texts = items[column].drop_nulls()
            found[path.parent.name] = texts.sample(min(count, len(texts)), seed=0).to_list()
    return found


def compare(folder: Path, texts: dict[str, list[str]]) -> dict[str, int]:
    """Kind of difference to the number of texts whose ids differ, where there are any."""
    import tensorflow as tf

    from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json

    preprocess = read_tokenizer_json(folder).preprocessor(128)
    expected = json.loads((folder / "ids.json").read_text())
    special = [token["content"] for token in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]]
    kinds: Counter[str] = Counter()
    for name, part in texts.items():
        ours = preprocess.tokenize(tf.constant([text.encode() for text in part])).to_list()
        differing = (text for text, mine, theirs in zip(part, ours, expected[name], strict=True) if mine != theirs)
        kinds.update(kind_of_difference(text, special) for text in differing)
    return dict(kinds)


def kind_of_difference(text: str, special: list[str]) -> str:
    """What in a text explains that its ids differ; a text with several such things has the first kind."""
    if any(token in text for token in special):
        return "text of a special token"
    pairs = itertools.pairwise(text)
    if any(
        unicodedata.category(mark)[0] == "M" and unicodedata.normalize("NFKC", base) != base for base, mark in pairs
    ):
        return "mark after a folded character"
    if any(mark in text for mark in "\u09fe\u0c3c"):
        return "mark that is not sorted"
    return "sign for a space" if "\u2581" in text else "other"


def speed(folder: Path, texts: list[str], turns: int = 9) -> dict[str, float]:
    """Texts a second of exact tokens and of tf-text's, medians of turns."""
    from dataclasses import replace

    import tensorflow as tf

    from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json

    exact = read_tokenizer_json(folder)
    contestants = {"exact": exact.preprocessor(128), "tf_text": replace(exact, rules=None).preprocessor(128)}
    batch = tf.constant([text.encode() for text in texts])
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns + 1):
        for name, preprocess in contestants.items():
            start = time.perf_counter()
            preprocess.tokenize(batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(texts) / statistics.median(times[1:]) for name, times in seconds.items()}


def write_golden(root: Path) -> None:
    """Writes what the tests expect, from the ids of `tokenizers`."""
    from tests.encoders.tokenization.hostile_texts import SCRIPTS
    from tests.encoders.tokenization.tokenizer_files import GOLDEN, TOKENIZERS, comparable
    from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json

    texts = json.loads((root / "texts.json").read_text())
    golden: dict[str, Any] = {}
    for name in TOKENIZERS:
        ids = json.loads((root / name / "ids.json").read_text())
        kept = {
            script: [row for row, text in zip(ids[script], texts[script]) if comparable(name, text)]
            for script in SCRIPTS
        }
        digests = {script: hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] for script, rows in kept.items()}
        frame = read_tokenizer_json(root / name).frame.to_dict()
        golden[name] = {"frame": frame, "texts": GOLDEN_TEXTS, "curated": ids["curated"], "scripts": digests}
    GOLDEN.write_text(json.dumps(golden) + "\n")


def main() -> None:
    """Parses the command line, compares, and prints the JSON line; exit code 1 if a text differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="path of a Python with the peers")
    parser.add_argument("--golden", action="store_true", help="write the ids that the tests expect")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--minilm", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        return write_ids(Path(options.write))
    if options.minilm:
        return write_minilm(*options.minilm)
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    from encode import peers_python

    from tests.encoders.pretrained import multilingual_table
    from tests.encoders.tokenization.hostile_texts import SCRIPTS, hostile_texts
    from tests.encoders.tokenization.tokenizer_files import CURATED, TOKENIZERS, write_tokenizer
    from tfrec.downloads import minilm_folder

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    number = GOLDEN_TEXTS if options.golden else 100_000 // len(SCRIPTS)
    texts = {script: hostile_texts(script, number) for script in SCRIPTS} | {"curated": CURATED} | titles()
    with tempfile.TemporaryDirectory() as place:
        root, python = Path(place), peers_python(options.peers)
        (root / "texts.json").write_text(json.dumps(texts))
        for name, content in TOKENIZERS.items():
            (root / name).mkdir()
            write_tokenizer(root / name, content())
        if not options.golden:
            command = [python, __file__, "--minilm", str(minilm_folder()), str(root / "minilm")]
            subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
            (root / "multilingual").mkdir()
            shutil.copy(multilingual_table() / "tokenizer.json", root / "multilingual")
        command = [python, __file__, "--write", place]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        if options.golden:
            return write_golden(root)
        differing = {path.name: compare(path, texts) for path in sorted(root.iterdir()) if path.is_dir()}
        rates = speed(root / "minilm", [text for name in titles(4096) for text in titles(4096)[name]] or texts["latin"])
    report = {
        "benchmark": "token_parity",
        "ratios": {"exact_against_tf_text": rates["exact"] / rates["tf_text"]},
        "figures": {"texts": sum(map(len, texts.values())), "differing": differing, "texts_per_second": rates},
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"tensorflow-text": version("tensorflow-text"), **json.loads(output.splitlines()[-1])},
    }
    print(json.dumps(report))
    sys.exit(1 if any(differing.values()) else 0)


if __name__ == "__main__":
    main()
