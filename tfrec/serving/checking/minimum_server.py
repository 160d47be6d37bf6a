"""Fetches the TensorFlow libraries of the oldest supported server, for `check --tensorflow`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tfrec.downloads import fetch_wheel_members

_LIBRARY: Final = "tensorflow-cpu==2.20.0"
_LIBRARY_SHA256: Final = "cf756bbe2d256e942ab5d0ad2c858fb40017581494febdb4387c149b1afde780"
_LIBRARY_CONTENTS: Final = "409155fc2a7804e5fc8c858eefbdd8456f07da9417439c2aeef11e274c1a135b"
_TEXT: Final = "tensorflow-text==2.20.1"
_TEXT_SHA256: Final = "6d4572c349932bb08b045919813e835760f194c78b073ce43da2c1b68fba854e"
_TEXT_CONTENTS: Final = "359fcc0f6d2d6f75ca272de0ec55788cbd773038f3deb3bd483c28dd12979ee9"
# The Python version does not matter: only the C libraries of the wheel are used.
_BUILD: Final = ("--python-version", "3.11", "--platform", "manylinux_2_17_x86_64")
_HEADERS: Final = ("tensorflow/c/", "tensorflow/core/platform/", "xla/tsl/c/", "tsl/platform/")


def minimum_server() -> tuple[Path, Path]:
    """Package folders of TensorFlow 2.20 and of its TF Text, in the cache (a 320 MB download on first use).

    Raises:
        Unavailable: they are not cached, and the package index cannot be reached.
    """
    library = fetch_wheel_members(_LIBRARY, _LIBRARY_SHA256, _LIBRARY_CONTENTS, _is_library, "tensorflow-2.20", _BUILD)
    text = fetch_wheel_members(_TEXT, _TEXT_SHA256, _TEXT_CONTENTS, _is_op_library, "tensorflow-text-2.20", _BUILD)
    return library / "tensorflow", text / "tensorflow_text"


def _is_library(member: str) -> bool:
    headers = member.endswith(".h") and member.startswith(tuple(f"tensorflow/include/{part}" for part in _HEADERS))
    return headers or member in ("tensorflow/libtensorflow_cc.so.2", "tensorflow/libtensorflow_framework.so.2")


def _is_op_library(member: str) -> bool:
    return member.startswith("tensorflow_text/python/") and member.endswith(".so")
