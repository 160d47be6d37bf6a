"""Rules in words: both languages say all traits and all numbers."""

import ast
from pathlib import Path

import pytest

import tfrec.explanation.surrogate.traits as made
from tfrec.explanation.surrogate.rule_sentences import RULE_LANGUAGES, rule_sentence, rules_summary
from tfrec.explanation.surrogate.rules import Fidelity
from tfrec.explanation.surrogate.traits import Trait

FOUND = Fidelity(users=40, hits=30, all_hits=50, agree=(0.6, 0.86), lift=(0.2, 0.6))


def test_every_trait_that_is_made_can_be_said():
    calls = [node for node in ast.walk(ast.parse(Path(made.__file__).read_text())) if isinstance(node, ast.Call)]
    kinds = {call.args[0].value for call in calls if ast.unparse(call.func) == "Trait"}
    assert len(kinds) == 11
    assert all(set(language.traits) == kinds for language in RULE_LANGUAGES.values())


@pytest.mark.parametrize("language", RULE_LANGUAGES)
def test_a_rule_names_its_titles_and_figures(language):
    conditions = [Trait("has", "Star\n Wars"), Trait("often", "War", "genre", 40)]
    said = rule_sentence(language, conditions, Trait("gets", "Alien"), FOUND, 200)
    assert all(part in said for part in ("“Star Wars”", "“War”", "genre", "40%", "“Alien”", "75%", "60%", "86%", "25%"))


def test_the_sentences_read_so():
    conditions = [Trait("longer", number=9), Trait("newest", "War", "genre")]
    assert rule_sentence("en", conditions, Trait("first", "Drama", "genre"), FOUND, 200) == (
        "People with 9 events or more and a newest event on “War” (genre) get “Drama” (genre) first: 75% of them "
        "(60% to 86%), 25% of all."
    )
    assert rule_sentence("zh", conditions, Trait("first", "Drama", "genre"), FOUND, 200) == (
        "行为不少于9次且最近一次行为属于“War”（genre）的用户，列表首位属于“Drama”（genre）：占这类用户的75%（60%至86%），"
        "占所有用户的25%。"
    )


def test_the_summary_says_so_where_no_rule_holds():
    assert "cannot be said in such words" in rules_summary("en", 0, 0.0, 500) and "500" in rules_summary(
        "zh", 0, 0, 500
    )
    assert "84% of 500 users" in rules_summary("en", 3, 0.84, 500) and "84%" in rules_summary("zh", 3, 0.84, 500)
