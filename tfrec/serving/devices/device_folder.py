"""What is where in an export for devices; docs/devices.md describes it for the authors of apps."""

from __future__ import annotations

from typing import Final

from tfrec.files import OutputKind

DEVICE_FILE: Final = "tfrec_device.json"
RECOMMENDER_FILE: Final = "recommender.tflite"
ENCODER_FILE: Final = "encoder.tflite"
EXAMPLES_FILE: Final = "examples.npz"
ITEMS_FILE: Final = "items.jsonl"
DEVICE_OUTPUT: Final = OutputKind("an export for devices", {DEVICE_FILE: ("format", "programs")})
EXPORT_AGAIN: Final = "Export it again."
