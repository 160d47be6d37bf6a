"""RunConfig: what it refuses, and what wins over what."""

import re

import pytest
import yaml

from tfrec import InvalidInput, RunConfig
from tfrec.config import Section


def test_unknown_keys_are_refused_by_name():
    with pytest.raises(InvalidInput, match=r"training\.epoch\b"):
        RunConfig.from_dict({"training": {"epoch": 3}})
    with pytest.raises(InvalidInput, match="fitting"):
        RunConfig().with_values(["fitting.epochs=3"])


def test_every_wrong_value_is_named_with_what_came():
    with pytest.raises(InvalidInput) as caught:
        RunConfig.from_dict({"training": {"epochs": 0}, "model": {"kind": "zebra"}})
    assert "training.epochs" in str(caught.value) and "model.kind" in str(caught.value)
    assert "'zebra'" in str(caught.value)


@pytest.mark.parametrize(
    "assignment, section, key, expected",
    [
        ("training.epochs=3", "training", "epochs", 3),
        ("training.learning_rate=1e-3", "training", "learning_rate", 0.001),
        ("encoder.trainable=true", "encoder", "trainable", True),
        ("retrieval.exclude_seen=true", "retrieval", "exclude_seen", "true"),
        ("data.targets=[purchase, cart]", "data", "targets", ["purchase", "cart"]),
        ("data.targets=null", "data", "targets", None),
        ("data.columns.user_id=userId", "data", "columns", {"user_id": "userId"}),
        ("encoder.name=a=b", "encoder", "name", "a=b"),
    ],
)
def test_assignments_are_read_as_people_mean_them(assignment, section, key, expected):
    assert getattr(getattr(RunConfig().with_values([assignment]), section), key) == expected


@pytest.mark.parametrize("assignment", ["epochs=3", "training.epochs", "", "training.epochs.more=1", "data.targets=["])
def test_assignments_of_another_form_are_refused(assignment):
    with pytest.raises(InvalidInput):
        RunConfig().with_values([assignment])


def test_assignments_leave_the_original_as_it_was():
    config = RunConfig()
    before = config.training.epochs
    config.with_values(["training.epochs=99", "data.columns.item_id=sku"])
    assert config.training.epochs == before and config.data.columns == {}


def test_a_saved_configuration_is_complete_and_reads_back(tmp_path):
    config = RunConfig().with_values(["training.epochs=7", "data.columns.user_id=利用者"])
    config.save(tmp_path / "config.yaml")
    assert RunConfig.load(tmp_path / "config.yaml") == config
    written = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert set(written["training"]) == set(type(config.training).model_fields)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", "just words", "training: 3"])
def test_files_that_are_no_configuration_are_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InvalidInput):
        RunConfig.load(tmp_path / "config.yaml")


def test_a_missing_file_is_bad_input_and_an_empty_one_is_the_defaults(tmp_path):
    with pytest.raises(InvalidInput, match="nope"):
        RunConfig.load(tmp_path / "nope.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert RunConfig.load(tmp_path / "empty.yaml") == RunConfig()


def options(section=RunConfig, path=""):
    """Path and field of every option; those of a nested section come in its place."""
    for name, field in section.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        yield from options(field.annotation, f"{path}{name}.") if nested else [(path + name, field)]


def test_every_option_has_a_description_that_reads_as_sentences():
    """The reference page is made of them: each begins a sentence (or names its value or model) and ends one."""
    described = dict(options())
    assert len(described) > 100
    assert [name for name, field in described.items() if len(field.description or "") < 15] == []
    assert [name for name, field in described.items() if not field.description.endswith((".", ")."))] == []
    banned = re.compile(r"\b(knobs?|None|nightly|sittings?|judges?d?|told)\b")
    assert [name for name, field in described.items() if banned.search(field.description)] == []
