"""YAML of people: what it may be, how large it may become, and what is said when it is not."""

import pytest

from tfrec.config import RunConfig, yaml_documents
from tfrec.config.yaml_documents import load_yaml, read_yaml
from tfrec.errors import InvalidInput
from tfrec.experiments import ExperimentSpec
from tfrec.workflows.tune import read_space


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(yaml_documents, "MAX_NODES", 20)


def test_a_document_counts_as_large_as_it_is_with_its_aliases_written_out(few):
    # 1 list of 2 · (1 list of 8 values) = 1 + 2 · 9 = 19 values, and one more name around it
    assert load_yaml("[&a [1, 2, 3, 4, 5, 6, 7, 8], *a]", "x") == [list(range(1, 9))] * 2
    with pytest.raises(InvalidInput, match=r"x: expected at most 20 values once its aliases .* are written out"):
        load_yaml("[&a [1, 2, 3, 4, 5, 6, 7, 8, 9], *a]", "x")


def test_aliases_of_aliases_are_refused_before_anything_is_built(few):
    text = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"
    with pytest.raises(InvalidInput, match="at most 20 values"):
        load_yaml(text, "x")


def test_merged_mappings_count_as_well(few):
    with pytest.raises(InvalidInput, match="at most 20 values"):
        load_yaml("a: &a {x: 1, y: 2}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}\n", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("&a [*a]", "alias is within what it stands for"),
        ("[" * 5000, "nested too deeply"),
        ("day: 2026-13-45", "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_what_is_no_plain_document_is_refused(text, words):
    with pytest.raises(InvalidInput, match=words):
        load_yaml(text, "x")


@pytest.mark.parametrize("read", [RunConfig.load, ExperimentSpec.load, read_space])
def test_every_reader_refuses_what_is_not_utf_8_and_what_is_too_large(tmp_path, few, read):
    path = tmp_path / "file.yaml"
    path.write_bytes("training: {epochs: 3}  # für".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"file.yaml is not UTF-8.*Save .* as UTF-8 text"):
        read(path)
    path.write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *b]\n")
    with pytest.raises(InvalidInput, match="at most 20 values"):
        read(path)
    with pytest.raises(InvalidInput, match=f"Cannot read .* {tmp_path}"):
        read(tmp_path)


def test_values_of_set_are_counted_too(few):
    with pytest.raises(InvalidInput, match="at most 20 values"):
        RunConfig().with_values(["training.epochs=[&a [1, 2, 3, 4, 5, 6], *a, *a, *a]"])


def test_the_configuration_of_a_run_may_not_be_empty(tmp_path):
    for text in ("", "# nothing\n", "{}", "training: {epochs: 3}"):
        (tmp_path / "config.yaml").write_text(text)
        assert isinstance(RunConfig.load(tmp_path / "config.yaml"), RunConfig)
        with pytest.raises(InvalidInput, match="it has no section model. Restore the file"):
            RunConfig.load(tmp_path / "config.yaml", complete=True)
    assert read_yaml(tmp_path / "config.yaml", "x") == {"training": {"epochs": 3}}
