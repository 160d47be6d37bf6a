"""Runs `c_loader.c`, a C program that loads and calls an export without Python.

The program is compiled on first use and cached. Requests and answers are exchanged as files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import cache_dir
from tfrec.serving.saved_model.example_requests import Tensor, from_json, to_json

SOURCE: Final = Path(__file__).with_name("c_loader.c")

# Values of TF_DataType in TensorFlow's C header tf_datatype.h.
_TYPES: Final = {"float32": 1, "float64": 2, "int32": 3, "string": 7, "int64": 9, "bool": 10}
_NAMES: Final = {number: name for name, number in _TYPES.items()}


def package_folder(name: str) -> Path:
    """Folder in which a package is installed, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"The package {name} is not installed. Install tfrec with its requirements.")
    return Path(next(iter(spec.submodule_search_locations)))


def text_libraries(package: Path | None = None) -> list[Path]:
    """The op libraries of TF Text, which TF Serving links in. `package` is its folder; None: the installed one."""
    return sorted(((package or package_folder("tensorflow_text")) / "python").rglob("*.so"))


def find_compiler() -> str | None:
    """Path of `$CC`, cc, gcc or clang, whichever is found first; None if none is."""
    return next(
        (path for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (path := shutil.which(name))), None
    )


def compile_loader(compiler: str, library: Path | None = None) -> Path:
    """Compiles `c_loader.c` against a TensorFlow, once for each build of it, and returns the program's path.

    Args:
        compiler: Path of a C compiler.
        library: Package folder of the TensorFlow; None for the installed one.

    Raises:
        Unavailable: the compiler failed; the message begins with its output.
    """
    library = library or package_folder("tensorflow")
    built = (library / "libtensorflow_framework.so.2").stat()
    key = hashlib.sha256(
        f"{library}\0{built.st_size}\0{built.st_mtime_ns}\0".encode() + SOURCE.read_bytes()
    ).hexdigest()
    program = cache_dir() / "loader" / key[:16] / "loader"
    if program.is_file():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as work:
        compiled = Path(work) / "loader"
        command = [compiler, "-O1", f"-I{library}/include", str(SOURCE), "-o", str(compiled), f"-L{library}"]
        command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{library}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise Unavailable(f"{compiler} cannot compile the loader: {result.stderr.strip()[:500]}")
        os.replace(compiled, program)
    return program


def run_native(
    program: Path, folder: Path, calls: Sequence[dict[str, Any]], libraries: Sequence[Path] | None = None
) -> list[dict[str, Tensor]]:
    """Loads a SavedModel with the C program and makes the calls.

    Args:
        program: Path of the program, from `compile_loader`.
        folder: Version folder.
        calls: Each call has "feeds" (Tensor by graph tensor) and "fetches" (graph tensor by output name).
        libraries: Op libraries to load first; None for those of TF Text.

    Returns:
        For each call the Tensor by output name.

    Raises:
        InvalidInput: loading or running failed; the message is TensorFlow's.
    """
    return list(_decode(_run(program, folder, calls, libraries)[0], calls))


def time_native(program: Path, folder: Path, call: dict[str, Any], times: int) -> list[float]:
    """Seconds that each of `times` calls takes, after a first call that does not count; else as `run_native`."""
    output = _run(program, folder, [call], None, TFREC_LOADER_REPEAT=str(times))[1]
    return [int(line) / 1e9 for line in output.split()]


def _run(
    program: Path, folder: Path, calls: Sequence[dict[str, Any]], libraries: Sequence[Path] | None, **settings: str
) -> tuple[bytes, str]:
    """Content of the answers file, and standard output."""
    op_libraries = text_libraries() if libraries is None else libraries
    with tempfile.TemporaryDirectory() as work:
        requests, answers = Path(work) / "requests", Path(work) / "answers"
        requests.write_bytes(_encode(calls))
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **settings}
        command = [str(program), str(folder), str(requests), str(answers), *map(str, op_libraries)]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
        if result.returncode:
            reason = result.stderr.strip()[-1000:] or f"it ended with code {result.returncode} and no message."
            raise InvalidInput(f"TensorFlow's C API cannot serve {folder}: {reason}")
        return answers.read_bytes(), result.stdout


def _encode(calls: Sequence[dict[str, Any]]) -> bytes:
    parts = [struct.pack("<I", len(calls))]
    for call in calls:
        parts.append(struct.pack("<I", len(call["feeds"])))
        for name, tensor in call["feeds"].items():
            parts += [_string(name.encode()), _tensor(tensor)]
        parts.append(struct.pack("<I", len(call["fetches"])))
        parts += [_string(name.encode()) for name in call["fetches"].values()]
    return b"".join(parts)


def _string(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def _tensor(tensor: Tensor) -> bytes:
    array = from_json(tensor)
    if tensor["dtype"] == "string":
        payload = b"".join(
            _string(value if isinstance(value, bytes) else str(value).encode()) for value in array.ravel()
        )
    else:
        payload = array.tobytes()
    head = struct.pack(f"<II{array.ndim}q", _TYPES[tensor["dtype"]], array.ndim, *array.shape)
    return head + struct.pack("<Q", len(payload)) + payload


def _decode(data: bytes, calls: Sequence[dict[str, Any]]) -> Iterator[dict[str, Tensor]]:
    at = 0
    for call in calls:
        answer = {}
        for name in call["fetches"]:
            number, rank = struct.unpack_from("<II", data, at)
            shape = struct.unpack_from(f"<{rank}q", data, at + 8)
            (size,) = struct.unpack_from("<Q", data, at + 8 + 8 * rank)
            at += 16 + 8 * rank
            answer[name] = to_json(_array(_NAMES[number], shape, data[at : at + size]))
            at += size
        yield answer


def _array(dtype: str, shape: tuple[int, ...], payload: bytes) -> np.ndarray[Any, Any]:
    if dtype != "string":
        return np.frombuffer(payload, dtype).reshape(shape)
    values, at = [], 0
    while at < len(payload):
        (length,) = struct.unpack_from("<I", payload, at)
        values.append(payload[at + 4 : at + 4 + length])
        at += 4 + length
    return np.array(values, object).reshape(shape)
