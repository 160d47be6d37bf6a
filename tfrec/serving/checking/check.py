"""`check`: loads and calls an export the way TensorFlow Serving does, without tfrec, and compares the answers."""

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
from tfrec.guard.servable_ops import MINIMUM_SERVER
from tfrec.serving.checking import c_loader
from tfrec.serving.checking.minimum_server import minimum_server
from tfrec.serving.devices.check_litert import DeviceCheckReport, check_litert, is_device_export
from tfrec.serving.saved_model.example_requests import EXAMPLES_FILE, Example, Tensor, differences, to_json
from tfrec.serving.saved_model.guarded_export import guarded_export
from tfrec.serving.saved_model.size_report import SizeReport, size_report
from tfrec.serving.saved_model.warmup import WARMUP_FILE, read_warmup

C_API: Final = "TensorFlow's C API, without Python"
CLEAN_PYTHON: Final = "a Python process that imports only tensorflow and tensorflow_text"


@dataclass(frozen=True)
class CheckReport:
    """Result of a check that passed.

    Args:
        path: Version folder.
        loader: How it was loaded: `C_API`, the same with a TensorFlow version, or `CLEAN_PYTHON`.
        note: Why the C API was not used; "" if it was.
        size: Sizes of the folder's parts.
        signatures: Signatures that were called, sorted.
        examples: Number of stored requests that were repeated.
        warmup: Number of warm-up requests that were replayed.
        ops: Number of different ops in the export.
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
        """The report as a few lines of text."""
        called = f"{self.examples} requests to {', '.join(self.signatures)}: the answers are those of the export."
        if not self.examples:
            called = f"No answers were compared: the export has no {EXAMPLES_FILE}."
        warmed = (
            f"{self.warmup} warm-up requests replayed."
            if self.warmup
            else "No warm-up requests: the first requests will be slow."
        )
        lines = [
            f"{self.path}: loaded with {self.loader}.",
            called,
            warmed,
            f"{self.ops} ops, all known to TensorFlow Serving {MINIMUM_SERVER}; none touches files or Python.",
            str(self.size),
        ]
        return "\n".join([*([self.note] if self.note else []), *lines])


def check(
    version_folder: str | Path, *, compiler: str | None = None, tensorflow: str | None = None
) -> CheckReport | DeviceCheckReport:
    """Loads an export the way TF Serving does and compares its answers with those stored at export.

    An export for devices is loaded with ai-edge-litert, and its answers are compared likewise.

    Before anything is loaded, the export is inspected: one that was changed, whose weights are not finite, or that has
    ops that TF Serving lacks or that touch files or Python (`tfrec/guard/unsafe_ops.py`), is refused. Then a small C
    program (`c_loader.c`, compiled on first use) loads TF Text's op libraries and the SavedModel, repeats the requests
    of `assets.extra/examples.json` and replays the warm-up requests. Without a working C compiler, a Python process
    that imports only TensorFlow and TF Text does the same, and the report says so.

    Args:
        version_folder: `saved_models/NAME/VERSION`, or the folder of an export for devices.
        compiler: C compiler; None to look for one, "" to use none.
        tensorflow: "2.20" to use the libraries of the oldest supported server (a 320 MB download on first use); None
            for the installed ones.

    Raises:
        InvalidInput: the folder is no export, was changed, is unsafe, has ops that TF Serving lacks, does not load,
            gives other answers than at export, or has warm-up requests that fail.
        Unavailable: with `tensorflow`: its libraries cannot be fetched, or there is no C compiler.
    """
    if tensorflow not in (None, MINIMUM_SERVER):
        raise InvalidInput(f"Expected {MINIMUM_SERVER} as the TensorFlow to check with, received {tensorflow!r}.")
    folder = Path(version_folder).resolve()
    if is_device_export(folder):
        return check_litert(Path(version_folder))
    saved_model, ops = guarded_export(folder)
    stored = folder / "assets.extra" / EXAMPLES_FILE
    examples: list[Example] = read_json(stored) if stored.is_file() else []
    warmup = _warmup_requests(folder)
    signatures = _served_signatures(saved_model, folder)
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
            f"Loaded with {loader}, {version_folder} gives other answers than at export:\n  "
            + "\n  ".join(problems[:20])
            + "\nExport it again."
        )
    called = sorted({example["signature"] for example in examples})
    size = size_report(folder, saved_model)
    return CheckReport(Path(version_folder), loader, note, size, called, len(examples), len(warmup), len(ops))


def _warmup_requests(folder: Path) -> list[tuple[str, dict[str, Tensor]]]:
    path = folder / "assets.extra" / WARMUP_FILE
    requests = read_warmup(path) if path.is_file() else []
    return [(name, {key: to_json(value) for key, value in inputs.items()}) for _, name, inputs in requests]


def _served_signatures(saved_model: Any, folder: Path) -> Any:
    serve = [meta for meta in saved_model.meta_graphs if "serve" in meta.meta_info_def.tags]
    if not serve:
        raise InvalidInput(f"Expected a SavedModel with the tag 'serve' in {folder}, found none. Export it again.")
    return serve[0].signature_def


def _call(folder: Path, signatures: Any, name: str, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """The call of a signature, with tensor names of the graph in place of the signature's names."""
    if name not in signatures:
        raise InvalidInput(f"Expected a signature {name!r} in {folder}; found {sorted(signatures)}. Export it again.")
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
    compiler = c_loader.find_compiler() if compiler is None else compiler
    if tensorflow:
        return _run_with_minimum_server(folder, calls, compiler), f"{C_API} (TensorFlow {tensorflow})", ""
    note = "No C compiler was found"
    if compiler:
        try:
            program = c_loader.compile_loader(compiler)
        except (Unavailable, OSError) as error:
            note = str(error)
        else:
            return c_loader.run_native(program, folder, calls), C_API, ""
    note += f", so the C API was not used; checked with {CLEAN_PYTHON} instead. Install gcc for the full check."
    return _run_in_python(folder, calls), CLEAN_PYTHON, note


def _run_with_minimum_server(
    folder: Path, calls: list[dict[str, Any]], compiler: str | None
) -> list[dict[str, Tensor]]:
    if not compiler:
        raise Unavailable(f"Checking with TensorFlow {MINIMUM_SERVER} needs a C compiler; none was found. Install gcc.")
    library, text = minimum_server()
    program = c_loader.compile_loader(compiler, library)
    return c_loader.run_native(program, folder, calls, c_loader.text_libraries(text))


def _run_in_python(folder: Path, calls: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
    script = Path(__file__).with_name("python_loader.py")
    with tempfile.TemporaryDirectory() as work:
        answers = Path(work) / "answers.json"
        # -I: isolated from the current folder and PYTHONPATH, so that tfrec cannot be imported
        command = [sys.executable, "-I", str(script), str(answers)]
        request = json.dumps([str(folder), calls])
        result = subprocess.run(command, input=request, capture_output=True, text=True, errors="replace", check=False)
        if result.returncode:
            raise InvalidInput(f"TensorFlow cannot serve {folder}: {result.stderr.strip()[-1000:]}")
        outputs: list[dict[str, Tensor]] = read_json(answers)
        return outputs
