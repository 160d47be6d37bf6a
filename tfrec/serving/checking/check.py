"""Proof that an export serves: load and call it as TensorFlow Serving does, without our Python, and compare."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import read_json
from tfrec.serving.checking import c_loader as native
from tfrec.serving.checking.minimum_server import minimum_server
from tfrec.serving.saved_model.allowed_ops import MINIMUM_SERVER, read_saved_model, refuse_unservable, used_ops
from tfrec.serving.saved_model.example_requests import EXAMPLES_FILE, Example, Tensor, differences, to_json
from tfrec.serving.saved_model.safety import refuse_unsafe
from tfrec.serving.saved_model.size_report import SizeReport, size_report
from tfrec.serving.saved_model.warmup import WARMUP_FILE, read_warmup

C_API: Final = "TensorFlow's C API, without Python"
CLEAN_PYTHON: Final = "a Python process that imports only tensorflow and tensorflow_text"


@dataclass(frozen=True)
class CheckReport:
    """What `check` did; there is one only when everything agreed.

    Args:
        path: The version folder.
        loader: How it was loaded: `C_API`, the same with "2.20" in it, or `CLEAN_PYTHON`.
        note: Why it was not the C API; "" when it was.
        size: What the folder weighs.
        signatures: The signatures that were called, sorted.
        examples: How many stored requests were repeated.
        warmup: How many warm-up requests were replayed.
        ops: How many different ops the export uses.
    """

    path: Path
    loader: str
    note: str
    size: SizeReport
    signatures: list[str] = field(default_factory=list)
    examples: int = 0
    warmup: int = 0
    ops: int = 0

    def __str__(self) -> str:
        """A few lines for people."""
        called = f"{self.examples} requests to {', '.join(self.signatures)}: the answers are those of the export."
        if not self.examples:
            called = f"It loads; it holds no {EXAMPLES_FILE}, so no answers were compared."
        warmed = f"{self.warmup} warm-up requests replayed." if self.warmup else "No warm-up requests: a slow start."
        lines = [
            f"{self.path}: loaded with {self.loader}.",
            called,
            warmed,
            f"{self.ops} ops, all known to TensorFlow Serving {MINIMUM_SERVER}; none touches files or Python.",
            str(self.size),
        ]
        return "\n".join([*([self.note] if self.note else []), *lines])


def check(version_folder: str | Path, *, compiler: str | None = None, tensorflow: str | None = None) -> CheckReport:
    """Loads an export the way TF Serving does and compares its answers with the stored ones.

    Before anything is loaded, the graph is read: a model with an op that TF Serving lacks, or that touches files or
    Python (`safety.refuse_unsafe`), is refused. Then a small C program (`loader.c`, compiled at first use) loads TF
    Text's op libraries and the SavedModel with the tag `serve`, repeats the requests of `assets.extra/examples.json`
    and replays the warm-up requests. Where no C compiler works, a clean Python process does the same, and the report
    says so.

    Args:
        version_folder: `saved_models/NAME/VERSION`.
        compiler: The C compiler; None looks for one, "" does without.
        tensorflow: "2.20" to load it with the libraries of the oldest server (fetched on first use, 320 MB); None for
            the installed ones.

    Raises:
        InvalidInput: when the folder is no export, is not safe, uses ops that TF Serving has not, does not load,
            answers differently, or has warm-up requests that fail.
        Unavailable: with `tensorflow`, when its libraries or a C compiler cannot be had.
    """
    if tensorflow not in (None, MINIMUM_SERVER):
        raise InvalidInput(f"Expected {MINIMUM_SERVER} as the TensorFlow to check with, received {tensorflow!r}.")
    folder = Path(version_folder).resolve()
    saved_model = read_saved_model(folder)
    refuse_unsafe(saved_model, version_folder)
    ops = used_ops(folder)
    refuse_unservable(ops)
    stored = folder / "assets.extra" / EXAMPLES_FILE
    examples: list[Example] = read_json(stored) if stored.is_file() else []
    warmup = _warmup(folder)
    signatures = _signatures(saved_model, folder)
    calls = [_call(folder, signatures, example["signature"], example["inputs"]) for example in examples]
    replayed = [_call(folder, signatures, name, inputs) for name, inputs in warmup]
    answers, loader, note = _answers(folder, [*calls, *replayed], compiler, tensorflow)
    problems = [
        f"{example['signature']} (request {number}): {difference}"
        for number, (example, answer) in enumerate(zip(examples, answers[: len(calls)], strict=True), 1)
        for difference in differences(example["outputs"], answer)
    ]
    if problems:
        raise InvalidInput(
            f"Expected {version_folder} to answer as it did when it was exported; with {loader} it does not:\n  "
            + "\n  ".join(problems[:20])
            + "\nExport it again."
        )
    called = sorted({example["signature"] for example in examples})
    size = size_report(folder, saved_model)
    return CheckReport(Path(version_folder), loader, note, size, called, len(examples), len(warmup), len(ops))


def _warmup(folder: Path) -> list[tuple[str, dict[str, Tensor]]]:
    path = folder / "assets.extra" / WARMUP_FILE
    requests = read_warmup(path) if path.is_file() else []
    return [(name, {key: to_json(value) for key, value in inputs.items()}) for _, name, inputs in requests]


def _signatures(saved_model: Any, folder: Path) -> Any:
    serve = [meta for meta in saved_model.meta_graphs if "serve" in meta.meta_info_def.tags]
    if not serve:
        raise InvalidInput(f"Expected a SavedModel with the tag 'serve' in {folder}; it has none. Export it again.")
    return serve[0].signature_def


def _call(folder: Path, signatures: Any, name: str, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """A request with the graph's tensor names for the signature's names."""
    if name not in signatures:
        raise InvalidInput(f"Expected a signature {name!r} in {folder}; found {sorted(signatures)}.")
    signature = signatures[name]
    if set(inputs) != set(signature.inputs):
        raise InvalidInput(
            f"Expected the inputs {sorted(signature.inputs)} in the stored requests to {name!r} of {folder}; "
            f"found {sorted(inputs)}. Export it again."
        )
    feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
    return {"feeds": feeds, "fetches": {key: info.name for key, info in sorted(signature.outputs.items())}}


def _answers(
    folder: Path, calls: list[dict[str, Any]], compiler: str | None, tensorflow: str | None
) -> tuple[list[dict[str, Tensor]], str, str]:
    compiler = native.find_compiler() if compiler is None else compiler
    if tensorflow:
        return _with_minimum_server(folder, calls, compiler), f"{C_API} (TensorFlow {tensorflow})", ""
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


def _with_minimum_server(folder: Path, calls: list[dict[str, Any]], compiler: str | None) -> list[dict[str, Tensor]]:
    if not compiler:
        raise Unavailable(f"Checking with TensorFlow {MINIMUM_SERVER} needs a C compiler; none was found. Install gcc.")
    library, text = minimum_server()
    program = native.compile_loader(compiler, library)
    return native.run_native(program, folder, calls, native.text_libraries(text))


def _run_clean(folder: Path, calls: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
    script = Path(__file__).with_name("python_loader.py")
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
