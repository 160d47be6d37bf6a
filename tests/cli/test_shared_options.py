"""Flags override --set, and --set overrides the file."""

import pytest

from tfrec import InvalidInput
from tfrec.cli.shared_options import run_config


def test_flags_win_over_assignments_and_assignments_over_the_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("training: {seed: 1, epochs: 1, batch_size: 1}")
    config = run_config(file, ["training.seed=2", "training.epochs=2"], {("training", "seed"): 3})
    assert (config.training.seed, config.training.epochs, config.training.batch_size) == (3, 2, 1)


def test_a_flag_that_was_not_given_changes_nothing():
    assert run_config(None, ["model.head=sigmoid"], {("model", "head"): None}).model.head == "sigmoid"


def test_a_flag_is_taken_literally_and_checked():
    assert run_config(None, None, {("encoder", "name"): "1e3: [x"}).encoder.name == "1e3: [x"
    with pytest.raises(InvalidInput, match="model.kind"):
        run_config(None, None, {("model", "kind"): "zebra"})
