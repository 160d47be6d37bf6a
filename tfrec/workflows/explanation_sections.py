"""What a run's report says of explanations: how true they are, the model in rules, and some of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrec.explanation.faithfulness import FAITHFULNESS_FILE
from tfrec.explanation.surrogate import SURROGATE_FILE
from tfrec.files.stored_folder import read_object, read_table
from tfrec.reporting.html_page import Section
from tfrec.reporting.svg_charts import forest, lines

EXPLANATIONS_FILE = "explanations.parquet"
SHOWN = 8
"""Explanations shown."""

_CURE = "Measure again: tfrec explain --faithfulness."
_CURE_OF_RULES = "Make them again: tfrec explain --surrogate."
_SIZES = (1, 3, 5)
_MEASURES = ("fall@1", "fall@3", "fall@5", "gain@3", "deletion_area", "insertion_area", "comprehensiveness",
             "sufficiency", "events_for_80%")  # fmt: skip


def explanation_sections(folder: Path, examples: bool = True) -> list[Section]:
    """Sections from the files of `tfrec explain` in a run's folder, where they are there.

    Args:
        folder: The folder.
        examples: Whether to show lists of single users.
    """
    sections = []
    if (folder / FAITHFULNESS_FILE).is_file():
        sections += _faithfulness(read_object(folder / FAITHFULNESS_FILE, {"methods": dict, "slices": dict}, _CURE))
    if (folder / SURROGATE_FILE).is_file():
        sections.append(
            _rules(read_object(folder / SURROGATE_FILE, {"rules": list, "sentence_en": str}, _CURE_OF_RULES))
        )
    if examples and (folder / EXPLANATIONS_FILE).is_file():
        sections.append(_examples(folder / EXPLANATIONS_FILE))
    return sections


def faithfulness_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of all methods, ours first.

    Args:
        found: What `measure_faithfulness` returns.

    Example:
        >>> faithfulness_rows({"methods": {"random": {"fall@1": {"mean": 0.5, "low": 0.25, "high": 0.75}}}})
        (['method', 'fall@1'], [['random', '0.500 (0.250 to 0.750)']])
    """
    names = [name for name in _MEASURES if name in next(iter(found["methods"].values()))]
    rows = [[method, *(_told(values[name]) for name in names)] for method, values in found["methods"].items()]
    return ["method", *names], rows


def faithfulness_words(found: Mapping[str, Any]) -> list[str]:
    """The figures beside the table, as sentences."""
    ratios, units, ours = found["ratios"], found.get("units", "events"), found.get("ours", "leave-one-out")
    random, best = _told(ratios["random"]), _told(ratios["best_other"])
    item = "the item of the newest event of each" if units == "features" else "an item of each list"
    words = [
        f"{found['users']:,} users, {item}.",
        (
            f"Without the three {units} that {ours} names, scores fall {random} times as far as without three at "
            f"random, and {best} times as far as with the best other method, {found['best_other']}."
        ),
    ]
    if "counterfactuals" in found:
        removed = found["counterfactuals"]
        size = f", of {removed['size']:.2f} events on average" if removed["size"] else ""
        words.append(
            f"A set without which the item leaves the list was found for {_told(removed['found'])} of the users{size}."
        )
    if "randomised" in found:
        words.append(
            f"With shuffled weights, the order of the events agrees {_told(found['randomised'])} (Spearman): an "
            "explanation that stays the same explains nothing of the model."
        )
    if "served_area" in found:
        words.append(f"What exports answer has {_told(found['served_area'])} of the exact deletion area.")
    if "stability" in found:
        words.append(f"With other seeds, the order of the events agrees {_told(found['stability'])} (Spearman).")
    return words


def _faithfulness(found: Mapping[str, Any]) -> list[Section]:
    units = found.get("units", "events")
    curves = {
        method: [(0.0, 0.0), *((float(size), values[f"fall@{size}"]["mean"]) for size in _SIZES)]
        for method, values in found["methods"].items()
    }
    marks = [
        (method, *(values["fall@3"][bound] for bound in ("mean", "low", "high")))
        for method, values in found["methods"].items()
    ]
    figures = [
        lines(f"What the score loses without the {units} named first", curves, f"{units} deleted"),
        forest(f"Fall of the score without three {units}, with 95% intervals", marks),
    ]
    heading, rows = faithfulness_rows(found)
    sections = [Section("How true explanations are", faithfulness_words(found), heading, rows, figures)]
    for grouping, groups in found["slices"].items():
        sections.append(_by_group(f"Fall without three {units}, by {grouping}", groups))
    if "deciding_parts" in found:
        sections.append(
            _by_group("Share of users whose first item would be another without a part", found["deciding_parts"])
        )
    return sections


def _by_group(title: str, groups: Mapping[str, Any]) -> Section:
    """A row a group of users, and a column a method or part."""
    names = [name for name in next(iter(groups.values())) if name != "users"]
    table = [[group, row["users"], *(_told(row[name]) for name in names)] for group, row in groups.items()]
    return Section(title, [], ["slice", "users", *names], table)


def _rules(found: Mapping[str, Any]) -> Section:
    """The rules, with how often they are right beside the base rate."""
    told = (
        "Each rule was made from some users and measured on others. How much more often it is right than the base rate "
        "has an interval of 95% for all rules together. Rules say what lists hold, not why."
    )
    rows = [
        [rule["sentence_en"], rule["users"], _told(rule["agree"]), f"{rule['everyone']:.3f}", _told(rule["lift"])]
        for rule in found["rules"]
    ]
    return Section(
        "The model in rules", [told, found["sentence_en"]], ["rule", "users", "agree", "of all", "difference"], rows
    )


def _examples(path: Path) -> Section:
    table = read_table(path, _CURE).head(SHOWN)
    rows = [
        [row["user_id"], row["sentence_en"], ", ".join(f"{name} {value:+.2f}" for name, value in row["parts"].items())]
        for row in table.iter_rows(named=True)
    ]
    return Section("Explanations", ["The first of explanations.parquet."], ["user", "why", "parts of the score"], rows)


def _told(value: Mapping[str, float | None]) -> str:
    """A mean with its interval; "–" where there is none."""
    if value["mean"] is None:
        return "–"
    if value["low"] is None or value["high"] is None:
        return f"{value['mean']:.3f}"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
