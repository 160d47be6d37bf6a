"""Outputs: whole or not at all, and nothing foreign replaced. Also locks, JSON, hashes and the cache folder."""

from tfrec.files.atomic_writes import atomic_file, atomic_folder, publish, staged_folder, successor_file, write_text
from tfrec.files.cache_folder import cache_dir
from tfrec.files.hashes import file_sha256, folder_sha256
from tfrec.files.json_files import read_json, write_json
from tfrec.files.leftovers import delete_folder, sweep
from tfrec.files.locks import folder_lock
from tfrec.files.outputs import AlreadyExists, OutputKind, check_output_file, check_output_folder
from tfrec.files.partial_folder import PartialFolder

__all__ = [
    "AlreadyExists",
    "OutputKind",
    "PartialFolder",
    "atomic_file",
    "atomic_folder",
    "cache_dir",
    "check_output_file",
    "check_output_folder",
    "delete_folder",
    "file_sha256",
    "folder_lock",
    "folder_sha256",
    "publish",
    "read_json",
    "staged_folder",
    "successor_file",
    "sweep",
    "write_json",
    "write_text",
]
