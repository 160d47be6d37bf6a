"""A small pretrained encoder of the package index that only tests and benchmarks use."""

from pathlib import Path

from tfrec.downloads import fetch_wheel_members

_MULTILINGUAL = "tokenlearn-static-model==0.1.1"
_SHA256 = "6ba4a2b1b4394023910f90bde6a408542e8c52b4aed00f2718685c217b2b2112"
_CONTENTS = "fa132f99b8562f5fa285b2bcd50261c23dc7794519eb2a252854faf20db60116"


def multilingual_table() -> Path:
    """The folder of a multilingual Model2Vec (7 MB): a Unigram tokeniser of 276,326 pieces, 10,000 int8 vectors."""
    members = {f"static_model/model/{name}": name for name in ("config.json", "model.safetensors", "tokenizer.json")}
    platform = ("--platform", "manylinux2014_x86_64")
    return fetch_wheel_members(_MULTILINGUAL, _SHA256, _CONTENTS, members, "multilingual-table", platform)
