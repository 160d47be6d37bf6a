"""Sentences: what raises, what lowers, and what it would take, in both languages."""

import pytest

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tfrec.explanation.sentences import Fact, sentence

FACTS = [Fact("A\n b", "rating", 0.5), Fact("B", "purchase", 0.25), Fact("C", "rating", 0.1), Fact("D", "hum", -0.5)]


EXPECTED = {
    "en": "“X”, because you rated “A b” and “C” and bought “B”. That you hum: “D” speaks against it. "
    "Without “B” and “C” it would not be in your list.",
    "zh": "推荐“X”：因为您评价了“A b”，“C”，购买了“B”。您(hum)“D”，则使它的排名下降。"
    "若没有“B”，“C”，它不会出现在您的列表中。",
}


@pytest.mark.parametrize("language", EXPECTED)
def test_everything_is_said_once(language):
    assert sentence(language, "X", FACTS, ["B", "C"], known=True) == EXPECTED[language]


def test_nothing_is_made_up():
    assert sentence("en", "X", FACTS[3:], [], known=True).startswith("“X”: no single event of yours raises it.")
    assert sentence("en", "X", [], [], known=False) == "“X” is popular; we know nothing of you yet."


def test_braces_in_titles_are_only_text():
    assert "“{item} {0}”" in sentence("en", "{item} {0}", [Fact("{x}", "view", 1.0)], ["{y}"], known=True)


def test_of_an_item_that_is_not_in_the_list_it_is_said_what_speaks_for_it_and_what_would_bring_it_in():
    said = sentence("en", "X", FACTS[1:2], ["Y"], known=True, listed=False)
    assert said.startswith("“X” is not in your list. That you bought “B” speaks for it.")
    assert said.endswith(" With “Y” as your newest event it would be.")
    assert sentence("zh", "X", [], [], known=True, listed=False) == "“X”不在您的列表中。"
    assert sentence("en", "X", [], [], known=False, listed=False) == "“X” is not in your list."
