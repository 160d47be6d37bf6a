"""Prints tables on the terminal: metrics beside baselines, and recommendations beside histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tfrec.evaluation.standing import standing_words
from tfrec.workflows.explanation_sections import faithfulness_words

if TYPE_CHECKING:
    import polars as pl

RANKING = ("ndcg@10", "recall@10", "recall@50", "mrr@10", "coverage@10")
PROBABILITY = ("auc", "log_loss", "brier", "ece")


def metric_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a metrics table: the model first, then the baselines; "–" for missing values.

    Args:
        metrics: Content of a metrics.json.

    Example:
        >>> metric_rows({"ndcg@10": 0.5, "baselines": {"popularity": {"ndcg@10": 0.25}}})
        (['', 'ndcg@10'], [['model', '0.5000'], ['popularity', '0.2500']])
    """
    names = [name for name in (*RANKING, *PROBABILITY) if name in metrics]
    second = {"two-stage": metrics["two_stage"]} if "two_stage" in metrics else {}
    heads = {f"model: {name}": values for name, values in metrics.get("behaviours", {}).items()}
    rows = {"model": metrics, **second, **heads, **metrics.get("baselines", {}), **metrics.get("baselines_trained", {})}
    return ["", *names], [[row, *(_number(values.get(name)) for name in names)] for row, values in rows.items()]


def print_metrics(metrics: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints a metrics table, and below it the number of users and items, and how the model stands.

    Args:
        metrics: Content of a metrics.json.
        console: Where to print; the terminal by default.
    """
    console = console or Console(width=None)
    heading, rows = metric_rows(metrics)
    table = Table(*heading)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console.print(table)
    counts = [f"{metrics[name]} {name}" for name in ("users", "items") if name in metrics]
    if counts:
        console.print(", ".join(counts), highlight=False)
    if "standing" in metrics:
        console.print(standing_words(metrics["standing"]), highlight=False)


def print_faithfulness(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints how true the explanations of each method are, and below it what that comes to.

    Args:
        found: What `tfrec.explanation.measure_faithfulness` returns.
        console: Where to print; the terminal by default.
    """
    console = console or Console(width=None)
    shown = ("fall@1", "fall@3", "fall@5", "deletion_area", "insertion_area")
    table = Table("method", *shown)
    for method, values in found["methods"].items():
        table.add_row(method, *(_number(values[name]["mean"]) for name in shown))
    console.print(table)
    for words in faithfulness_words(found):
        console.print(words, highlight=False)


def print_rules(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints what the lists of a run hold, in rules.

    Args:
        found: What `tfrec.explanation.surrogate_rules` returns.
        console: Where to print; the terminal by default.
    """
    console = console or Console(width=None)
    for rule in found["rules"]:
        console.print(rule["sentence_en"], highlight=False, markup=False)
    console.print(found["sentence_en"], highlight=False, markup=False)


def print_lists(
    history: Sequence[str], recommended: Sequence[str], user: str, console: Console | None = None, last: int = 10
) -> None:
    """Prints the newest items of a user's history beside the items recommended to them.

    Args:
        history: Titles, oldest first.
        recommended: Titles, best first.
        user: Id of the user.
        console: Where to print; the terminal by default.
        last: Most history items that are shown.
    """
    console = console or Console()
    table = Table(f"User {user}: seen, newest first", "Recommended")
    seen = list(reversed(history))[:last]
    for place in range(max(len(seen), len(recommended))):
        table.add_row(
            seen[place] if place < len(seen) else "",
            f"{place + 1}. {recommended[place]}" if place < len(recommended) else "",
        )
    console.print(table, markup=False)


def print_frame(frame: pl.DataFrame, console: Console | None = None) -> None:
    """Prints a small frame; numbers with four digits after the point, missing ones as "–".

    Args:
        frame: The frame.
        console: Where to print; the terminal by default.
    """
    console = console or Console()
    table = Table(*frame.columns)
    for row in frame.rows():
        table.add_row(*(value if isinstance(value, str) else _number(value) for value in row))
    console.print(table, markup=False)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
