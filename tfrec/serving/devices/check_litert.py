"""`check` of an export for devices: its files are as they were written, and its programs answer as at export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfrec.encoders.litert import LiteRTProgram
from tfrec.errors import InvalidInput
from tfrec.files.stored_folder import StoredFolder, read_arrays, read_object
from tfrec.serving.devices.device_folder import DEVICE_FILE, EXAMPLES_FILE, EXPORT_AGAIN
from tfrec.serving.devices.stored_examples import examples_of
from tfrec.serving.saved_model.example_requests import answers_differ


@dataclass(frozen=True)
class DeviceCheckReport:
    """Result of a check that passed.

    Args:
        path: The folder.
        megabytes: Size of each program by its file name, in 10⁶ bytes.
        signatures: Signatures that were called, sorted.
        examples: Number of stored requests that were repeated.
    """

    path: Path
    megabytes: dict[str, float]
    signatures: list[str]
    examples: int

    def __str__(self) -> str:
        """The report as a few lines of text."""
        sizes = ", ".join(f"{name} {size:.1f} MB" for name, size in self.megabytes.items())
        return (
            f"{self.path}: loaded with ai-edge-litert.\n"
            f"{self.examples} requests to {', '.join(self.signatures)}: the answers are those at export.\n{sizes}"
        )


def is_device_export(folder: Path) -> bool:
    """Whether a folder says that it is an export for devices."""
    return (folder / DEVICE_FILE).is_file()


def check_litert(folder: Path) -> DeviceCheckReport:
    """Repeats the stored requests with ai-edge-litert.

    Raises:
        InvalidInput: A file was changed, or an answer differs.
    """
    about = read_object(folder / DEVICE_FILE, {"programs": dict}, EXPORT_AGAIN)
    stored = StoredFolder(folder, about, EXPORT_AGAIN)
    stored.check()
    runners = {}
    for name, signatures in about["programs"].items():
        program = LiteRTProgram(stored.file(name))
        runners.update({signature: program.runner(signature) for signature in signatures})
    examples = examples_of(read_arrays(stored.file(EXAMPLES_FILE), EXPORT_AGAIN))
    for number, example in enumerate(examples, 1):
        if problems := answers_differ(example.outputs, runners[example.signature](**example.inputs)):
            raise InvalidInput(
                f"{example.signature} (request {number}) of {folder} gives other answers than at export: "
                f"{'; '.join(problems[:5])}. {EXPORT_AGAIN}"
            )
    sizes = {name: (folder / name).stat().st_size / 1e6 for name in about["programs"]}
    return DeviceCheckReport(folder, sizes, sorted(runners), len(examples))
