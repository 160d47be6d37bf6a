"""Proof that an export serves: load and call it as TensorFlow Serving does, without our Python, and compare."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import read_json
from tfrec.serving import native
from tfrec.serving.examples import EXAMPLES_FILE, Example, Tensor, differences
from tfrec.serving.ops import read_saved_model, refuse_unservable, used_ops

C_API: Final = "TensorFlow's C API, without Python"
CLEAN_PYTHON: Final = "a Python process that imports only tensorflow and tensorflow_text"


@dataclass(frozen=True)
class CheckReport:
    """What `check` did; there is one only when everything agreed.

    Args:
        path: The version folder.
        loader: How it was loaded: `C_API` or `CLEAN_PYTHON`.
        note: Why it was not the C API; "" when it was.
        signatures: The signatures that were called, sorted.
        examples: How many stored requests were repeated.
        ops: How many different ops the export uses.
    """

    path: Path
    loader: str
    note: str
    signatures: list[str] = field(default_factory=list)
    examples: int = 0
    ops: int = 0

    def __str__(self) -> str:
        """A few lines for people."""
        called = f"{self.examples} requests to {', '.join(self.signatures)}: the answers are those of the export."
        if not self.examples:
            called = f"It loads; it holds no {EXAMPLES_FILE}, so no answers were compared."
        lines = [
            f"{self.path}: loaded with {self.loader}.",
            called,
            f"{self.ops} ops, all known to TensorFlow Serving.",
        ]
        return "\n".join([*([self.note] if self.note else []), *lines])


def check(version_folder: str | Path, *, compiler: str | None = None) -> CheckReport:
    """Loads an export the way TF Serving does and compares its answers with the stored ones.

    A small C program (`loader.c`, compiled at first use) loads TF Text's op libraries and the SavedModel with the tag
    `serve`, and repeats the requests of `assets.extra/examples.json`. Where no C compiler works, a clean Python process
    does the same, and the report says so.

    Args:
        version_folder: `saved_models/NAME/VERSION`.
        compiler: The C compiler; None looks for one, "" does without.

    Raises:
        InvalidInput: when the folder is no export, uses ops that TF Serving has not, does not load, or answers
            differently.
    """
    folder = Path(version_folder).resolve()
    ops = used_ops(folder)
    refuse_unservable(ops)
    stored = folder / "assets.extra" / EXAMPLES_FILE
    examples: list[Example] = read_json(stored) if stored.is_file() else []
    calls = _calls(folder, examples)
    answers, loader, note = _answers(folder, calls, native.find_compiler() if compiler is None else compiler)
    problems = [
        f"{example['signature']} (request {number}): {difference}"
        for number, (example, answer) in enumerate(zip(examples, answers, strict=True), 1)
        for difference in differences(example["outputs"], answer)
    ]
    if problems:
        raise InvalidInput(
            f"Expected {version_folder} to answer as it did when it was exported; with {loader} it does not:\n  "
            + "\n  ".join(problems[:20])
            + "\nExport it again."
        )
    called = sorted({example["signature"] for example in examples})
    return CheckReport(Path(version_folder), loader, note, called, len(examples), len(ops))


def _calls(folder: Path, examples: list[Example]) -> list[dict[str, Any]]:
    """The examples with the graph's tensor names for the signatures' names."""
    serve = [meta for meta in read_saved_model(folder).meta_graphs if "serve" in meta.meta_info_def.tags]
    if not serve:
        raise InvalidInput(f"Expected a SavedModel with the tag 'serve' in {folder}; it has none. Export it again.")
    calls = []
    for example in examples:
        name = example["signature"]
        if name not in serve[0].signature_def:
            raise InvalidInput(f"Expected a signature {name!r} in {folder}; found {sorted(serve[0].signature_def)}.")
        signature = serve[0].signature_def[name]
        feeds = {signature.inputs[key].name: value for key, value in example["inputs"].items()}
        fetches = {key: info.name for key, info in sorted(signature.outputs.items())}
        calls.append({"feeds": feeds, "fetches": fetches})
    return calls


def _answers(
    folder: Path, calls: list[dict[str, Any]], compiler: str | None
) -> tuple[list[dict[str, Tensor]], str, str]:
    note = "No C compiler was found"
    if compiler:
        try:
            program = native.compile_loader(compiler)
        except (Unavailable, OSError) as error:
            note = str(error)
        else:
            return native.run_native(program, folder, calls), C_API, ""
    note += f", so the C API was not tried; checked with {CLEAN_PYTHON} instead. Install gcc for the full check."
    return _run_clean(folder, calls), CLEAN_PYTHON, note


def _run_clean(folder: Path, calls: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
    script = Path(__file__).with_name("loader_clean.py")
    with tempfile.TemporaryDirectory() as work:
        answers = Path(work) / "answers.json"
        # -I: neither the current folder nor PYTHONPATH can slip our own code in
        command = [sys.executable, "-I", str(script), str(answers)]
        request = json.dumps([str(folder), calls])
        done = subprocess.run(command, input=request, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise InvalidInput(f"TensorFlow cannot serve {folder}: {done.stderr.strip()[-1000:]}")
        result: list[dict[str, Tensor]] = read_json(answers)
        return result
