"""Which outputs are refused before any work, and which ones --force may replace."""

import os
from pathlib import Path

import pytest

from tfrec import InvalidInput
from tfrec.data.dataset import DATASET_OUTPUT
from tfrec.encoders.folder_layout import ENCODER_OUTPUT
from tfrec.files import AlreadyExists, OutputKind, check_output_file, check_output_folder, write_json
from tfrec.serving.exporting.export import EXPORT_OUTPUT
from tfrec.training.run_layout import PARTIAL_RUN_OUTPUT, RUN_OUTPUT

THING = OutputKind("a thing", {"thing.json": ("id",)})


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "names").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "names")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [".", "", "/", "..", "names/..", "../names", "../names/..", "a\0b", "x" * 201, "../file/out", "../file"],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_name_for_a_folder_is_refused_before_the_work(place, name, force):
    with pytest.raises(InvalidInput):
        check_output_folder(name, THING, force)
    assert sorted(os.listdir(place)) == ["file", "names"]


def test_a_link_is_named_with_what_it_points_to(place):
    for target in (place / "names", place / "nowhere"):
        link = place / f"to-{target.name}"
        link.symlink_to(target)
        for check in (lambda path: check_output_folder(path, THING, True), lambda path: check_output_file(path, True)):
            with pytest.raises(InvalidInput, match=f"is a link to {target}"):
                check(link)
    assert (place / "to-names").is_symlink() and (place / "names").is_dir()


def test_a_place_that_may_not_be_written_is_refused_before_the_work(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(InvalidInput, match="may not write there"):
        check_output_folder("new/out", THING)


def test_a_mount_point_is_refused_before_the_work(place, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(InvalidInput, match="mounted"):
        check_output_folder("out", THING, force=True)


def test_force_replaces_what_is_of_the_same_kind_or_empty(place):
    for name, file, content in (
        ("ours", "thing.json", {"id": 1, "more": 2}),
        ("another", "thing.json", {"name": "theirs"}),
        ("list", "thing.json", []),
        ("foreign", "manifest.json", {"id": 1}),
    ):
        Path(name).mkdir()
        write_json(Path(name) / file, content)
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/thing.json").write_bytes(b"{\xff")
    for name in ("ours", "empty"):
        check_output_folder(name, THING, force=True)
        with pytest.raises(AlreadyExists, match="--force"):
            check_output_folder(name, THING)
    for name in ("another", "list", "foreign", "broken"):
        with pytest.raises(InvalidInput, match="--force replaces a thing"):
            check_output_folder(name, THING, force=True)


MANIFESTS = [  # of version 0.1 and later
    (DATASET_OUTPUT, "manifest.json", {"format": 1, "fingerprint": "0a", "split": "global-time"}),
    (RUN_OUTPUT, "manifest.json", {"kind": "next-item", "data": "0a", "split": "global-time", "seed": 0}),
    (PARTIAL_RUN_OUTPUT, "data.json", {"fingerprint": "0a"}),
    (ENCODER_OUTPUT, "tfrec_encoder.json", {"dim": 4, "max_seq_length": 8, "sha256": "0a"}),
    (EXPORT_OUTPUT, "tfrec.json", {"name": "shop", "version": 1, "kind": "next-item"}),
]


@pytest.mark.parametrize(("kind", "file", "content"), MANIFESTS, ids=[kind.name for kind, *_ in MANIFESTS])
def test_one_kind_does_not_pass_for_another(tmp_path, kind, file, content):
    write_json(tmp_path / file, content)
    passes = [other.name for other, *_ in MANIFESTS if other.marks(tmp_path)]
    assert passes == [kind.name, *(["an interrupted run"] if kind is RUN_OUTPUT else [])]


def test_files_are_replaced_with_force_only_and_nothing_else_is(place):
    Path("page.html").touch()
    os.mkfifo("pipe.html")
    check_output_file("page.html", force=True)
    check_output_file("new.html")
    with pytest.raises(AlreadyExists):
        check_output_file("page.html")
    for name in ("pipe.html", ".", "missing/page.html", str(place)):
        with pytest.raises(InvalidInput, match="file in an existing folder|current folder"):
            check_output_file(name, force=True)
