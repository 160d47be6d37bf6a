"""RunConfig: what it refuses, and what wins over what."""

import re

import pytest
import yaml

from tfrec import InvalidInput, RunConfig
from tfrec.config import AugmentationConfig, Section, TrainingConfig


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


def changed(thing, name, value):
    setattr(thing, name, value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RunConfig(training={"epochs": -1}),
        lambda: RunConfig(training=-1),
        lambda: RunConfig(epochs=-1),
        lambda: RunConfig(training=TrainingConfig(epochs=-1)),
        lambda: TrainingConfig(epochs=-1),
        lambda: TrainingConfig(augmentation={"crop": -1}),
        lambda: AugmentationConfig(crop=-1),
        lambda: RunConfig.from_dict({"training": {"epochs": -1}}),
        lambda: RunConfig.from_dict([-1]),
        lambda: RunConfig.model_validate({"training": {"epochs": -1}}),
        lambda: RunConfig.model_validate_json('{"training": {"epochs": -1}}'),
        lambda: RunConfig().with_values({"training.epochs": -1}),
        lambda: RunConfig().with_values({"training": -1}),
        lambda: RunConfig().with_values(["training.epochs=-1"]),
        lambda: RunConfig().with_values(-1),
        lambda: changed(RunConfig(), "training", -1),
        lambda: changed(RunConfig().training, "epochs", -1),
        lambda: delattr(RunConfig().training, "epochs"),
    ],
)
def test_whatever_way_it_is_made_bad_values_are_bad_input_and_nothing_else(make):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert "-1" in str(caught.value) or "epochs" in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_configuration_that_was_refused_a_change_is_as_it_was():
    config = RunConfig()
    with pytest.raises(InvalidInput, match="with_values"):
        config.training.epochs = 3
    assert config == RunConfig()


@pytest.mark.parametrize(
    "values, meant",
    [
        ({"training": {"epoch": 3}}, "Did you mean training.epochs?"),
        ({"epochs": 3}, "Did you mean training.epochs?"),
        ({"fitting": {"epochs": 3}}, "Did you mean training.epochs?"),
        ({"training": {"lr": 3}}, "Did you mean training.learning_rate?"),
        ({"training": {"augmentation": {"crp": 1}}}, "Did you mean training.augmentation.crop?"),
        ({"exclude_seen": True}, "Did you mean evaluation.exclude_seen or retrieval.exclude_seen?"),
    ],
)
def test_a_mistyped_key_is_answered_with_the_one_that_was_meant(values, meant):
    with pytest.raises(InvalidInput) as caught:
        RunConfig.from_dict(values)
    assert meant in str(caught.value) and str(caught.value).count("Did you mean") == 1


def test_a_key_that_is_like_no_other_is_answered_without_a_guess():
    with pytest.raises(InvalidInput, match=r"training\.zzzz: there is no such option \(received 3\)\.$"):
        RunConfig.from_dict({"training": {"zzzz": 3}})
    with pytest.raises(InvalidInput, match="Did you mean epochs?"):
        TrainingConfig(epoch=3)


@pytest.mark.parametrize(
    "values",
    [
        {"training.epochs": 3, "data.columns": {"user_id": "userId"}},
        {"training": {"epochs": 3}, "data": {"columns": {"user_id": "userId"}}},
        {"training": {"epochs": 3}, "data.columns.user_id": "userId"},
        ["training.epochs=3", "data.columns={user_id: userId}"],
    ],
)
def test_mappings_say_the_same_as_strings(values):
    given = RunConfig(training={"epochs": 3}, data={"columns": {"user_id": "userId"}})
    assert RunConfig().with_values(values) == given
    assert given.training.batch_size is None and given.model == RunConfig().model


def test_values_of_a_mapping_are_taken_literally():
    assert RunConfig().with_values({"encoder.name": "1e3"}).encoder.name == "1e3"
    assert (
        RunConfig().with_values({"training": {"seed": 2}}).with_values({"training": {"epochs": 3}}).training.seed == 2
    )


def test_truth_is_the_word_wherever_it_is_written(tmp_path):
    (tmp_path / "config.yaml").write_text("retrieval: {exclude_seen: true}")
    for config in (
        RunConfig.load(tmp_path / "config.yaml"),
        RunConfig(retrieval={"exclude_seen": True}),
        RunConfig().with_values({"retrieval.exclude_seen": True}),
        RunConfig().with_values(["retrieval.exclude_seen=true"]),
    ):
        assert config.retrieval.exclude_seen == "true"


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("data.text_template={title} by {author}", "{title} by {author}"),
        ("data.text_template='{title} by {author}'", "{title} by {author}"),
        ("data.text_template={title}", "{title}"),
        ("data.text_template=null", None),
        ("data.events.separator=|", "|"),
        ("data.events.separator=::", "::"),
        ("data.events.separator=;", ";"),
        ("data.events.time_format=%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M"),
        ("data.events.columns.user_id=196", "196"),
        ("data.events.columns.event==click", "=click"),
        ("data.events.columns.user_id=[user_id, anonymous_id]", ["user_id", "anonymous_id"]),
        ("data.events.columns.item_id=events[].aid", "events[].aid"),
        ("data.columns.user_id=196", "196"),
        ("data.event_map.3=purchase", "purchase"),
        ("data.event_map={3: purchase}", {"3": "purchase"}),
        ("data.positive=4", 4),
    ],
)
def test_options_that_take_text_take_it_as_it_is_typed(assignment, value):
    keys = assignment.partition("=")[0].split(".")
    found = RunConfig().with_values([assignment])
    for key in keys:
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value
