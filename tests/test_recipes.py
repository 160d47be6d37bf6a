"""The frozen recipes: complete, valid, and each with its command and its result beside it."""

from pathlib import Path

import pytest
import yaml

from tfrec.config import RunConfig

FILES = sorted((Path(__file__).resolve().parents[1] / "benchmarks" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_is_a_whole_configuration_with_its_command_and_result(path):
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert RunConfig.load(path).model_dump(mode="json") == written  # nothing is left to a default that may move
    said = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert any("tfrec " in line for line in said) and any("ndcg@10" in line for line in said)


def test_there_are_recipes():
    wanted = {"scientific", "beauty", "movielens-1m", "movielens-100k-loo", "movielens-100k-time", "multi-behaviour"}
    assert wanted <= {path.stem for path in FILES}


@pytest.mark.parametrize("name", ["scientific", "beauty", "movielens-100k-loo"])
def test_these_recipes_are_the_defaults_where_there_is_no_clock(name):
    """So their figures are those of `tfrec train` without options; a new default makes them old."""
    recipe, defaults = (config.model_dump(mode="json") for config in (RunConfig.load(_path(name)), RunConfig()))
    for config in (recipe, defaults):
        config["model"].pop("popularity_half_life")  # of splits by time
    assert recipe == defaults


def _path(name):
    return next(path for path in FILES if path.stem == name)
