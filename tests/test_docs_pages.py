"""The hand-written pages of docs/: what they name exists, and they speak of things in the field's words."""

import re

import pytest

from tfrec.dev.site import ROOT

PAGES = sorted(ROOT.glob("docs/*.md"))


def test_every_path_on_the_architecture_page_exists():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:tfrec|docs|tests|saved_models)/[\w./]*|CHANGELOG\.md|CONTRIBUTING\.md)`", page))
    assert len(paths) > 60
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_the_architecture_page_passes_every_subpackage():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "tfrec").glob("*/__init__.py")} - {"dev", "config", "reporting"}
    assert {name for name in folders if f"`tfrec/{name}/" not in page} == set()


def entries():
    """Term and text of each entry of the glossary, in the order of the page."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    return [
        (term, " ".join(text.split()))
        for term, text in re.findall(r"^\*\*(.+?)\.\*\* (.+?)(?=\n\n|\Z)", page, re.MULTILINE | re.DOTALL)
    ]


def test_the_glossary_is_sorted_and_every_entry_is_short_and_links_to_a_page():
    terms = [term for term, _ in entries()]
    assert len(terms) > 50 and terms == sorted(terms, key=str.lower) and len(set(terms)) == len(terms)
    for term, text in entries():
        assert re.search(r"\]\([\w/]+\.md(#[\w-]+)?\)", text), term
        assert len(text.split()) < 60, term


@pytest.mark.parametrize(
    "term",
    ["User", "Item", "Catalogue", "Event", "History", "Candidate", "Impression", "Behaviour", "Retrieval", "Ranking",
     "Head", "Tower", "Encoder", "Preprocessor", "Pooled output", "Sequence output", "Cold item"],
)  # fmt: skip
def test_the_words_of_the_design_are_in_the_glossary(term):
    assert term in dict(entries())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_has_a_title_and_uses_the_words_of_the_field(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    words = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)
    assert re.findall(r"(?i)\b(?:knobs?|nightly jobs?|sittings?|loudness(?:es)?|judges?)\b", words) == []
