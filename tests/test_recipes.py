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
