"""Outputs: whole or not at all, and nothing foreign replaced. Also locks, JSON, hashes and the cache folder."""

from tfrec.files.atomic_writes import atomic_folder, write_text
from tfrec.files.cache_folder import cache_dir
from tfrec.files.hashes import file_sha256, folder_sha256
from tfrec.files.json_files import read_json, write_json
from tfrec.files.locks import folder_lock
from tfrec.files.outputs import refuse_existing

__all__ = [
    "atomic_folder",
    "cache_dir",
    "file_sha256",
    "folder_lock",
    "folder_sha256",
    "read_json",
    "refuse_existing",
    "write_json",
    "write_text",
]
