"""The picture in the README: how good a real run is beside the baselines, and what one person gets."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

NAMES = {
    "cooccurrence_text": "co-occurrence + text",
    "cooccurrence": "co-occurrence",
    "popularity": "popularity",
    "text": "most similar text",
}
STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.head { font-weight: 600; font-size: 15px } .quiet { fill: #57606a } .number { font-variant-numeric: tabular-nums }
.model { fill: #0969da } .baseline { fill: #afb8c1 } .interval { stroke: #24292f; stroke-width: 1.5 }
.card { fill: #f6f8fa; stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .model { fill: #4493f8 } .baseline { fill: #656c76 }
  .interval { stroke: #e6edf3 } .card { fill: #151b23; stroke: #3d444d }
}
"""
WIDTH, HEIGHT, LINE = 920, 330, 30
LEFT, BAR, SCALE = 24, 184, 180
"""Pixels: where labels begin, where bars begin, and the length of the longest bar."""
SEEN, GIVEN, WIDEST = 476, 704, 24
"""Pixels: where the two columns of titles begin; characters of a title that fit."""


def write_picture(run: str | Path, data: str | Path, out: str | Path, user: str | None = None, k: int = 7) -> None:
    """Writes the picture of an evaluated run as one SVG file, for light and dark pages.

    Args:
        run: Folder of a run whose `metrics.json` is there; the model's bar has its 95% interval.
        data: The prepared dataset of that run; its items have a `title`.
        out: The file to write.
        user: Whose list is shown; the first person of the test split by default.
        k: int. Films of the history, and recommendations, shown.
    """
    import tfrec
    from tfrec.files import read_json

    loaded, dataset = tfrec.load_run(run), tfrec.load_dataset(data)
    metrics = read_json(loaded.path / "metrics.json")
    person = user or str(dataset.queries("test").user_ids[0])
    titles = dict(zip(dataset.item_ids, dataset.items["title"].fill_null("?")))
    lists = tfrec.recommend(loaded, dataset, k=k, users=[person]).sort("rank")
    query = dataset.histories()
    row = [str(name) for name in query.user_ids].index(person)
    items = query.items[query.offsets[row] : query.offsets[row + 1]][::-1][:k]
    seen = [titles[dataset.item_ids[item]] for item in items]
    given = [titles[item] for item in lists["item_id"]]
    Path(out).write_text(picture(metrics, dataset.num_items, seen, given), encoding="utf-8")


def picture(metrics: dict[str, Any], num_items: int, seen: Sequence[str], given: Sequence[str]) -> str:
    """The SVG text.

    Args:
        metrics: `metrics.json` of the run: `ndcg@10`, `users`, `intervals`, `baselines`.
        num_items: int. Items ranked for each person.
        seen: Titles that the person took, newest first.
        given: Recommended titles, best first.

    Example:
        >>> metrics = {"ndcg@10": 0.2, "users": 9, "baselines": {"popularity": {"ndcg@10": 0.1}}}
        >>> picture(metrics, 5, ["Babe"], ["Heat"]).count("<rect")
        3
    """
    rows = [(NAMES.get(name, name), values["ndcg@10"]) for name, values in metrics["baselines"].items()]
    rows = [("tfrec", metrics["ndcg@10"]), *sorted(rows, key=lambda row: -row[1])]
    low, high = metrics.get("intervals", {}).get("ndcg@10", (metrics["ndcg@10"],) * 2)
    users = metrics["users"]
    parts = [
        _text(LEFT, 34, "How good: NDCG@10", "head"),
        _text(LEFT, 56, f"{users:,} people, all {num_items:,} items ranked for each", "quiet"),
    ]
    longest = max(high, *(value for _, value in rows))
    for place, (name, value) in enumerate(rows):
        y, kind = 84 + 42 * place, "model" if place == 0 else "baseline"
        parts.append(_text(LEFT, y + 16, name, "head" if place == 0 else ""))
        parts.append(
            f'<rect class="{kind}" x="{BAR}" y="{y}" width="{SCALE * value / longest:.1f}" height="22" rx="3"/>'
        )
        end = BAR + SCALE * (high if place == 0 else value) / longest
        parts.append(_text(end + 10, y + 16, f"{value:.3f}", "number"))
    whisker = [BAR + SCALE * value / longest for value in (low, high)]
    parts.append(f'<line class="interval" x1="{whisker[0]:.1f}" x2="{whisker[1]:.1f}" y1="95" y2="95"/>')
    parts.append(_text(LEFT, 84 + 42 * len(rows) + 14, "Line: 95% interval over people", "quiet"))
    parts.append(f'<rect class="card" x="456" y="14" width="444" height="{HEIGHT - 28}" rx="8"/>')
    for x, heading, titles in ((SEEN, "One person watched", seen), (GIVEN, "and gets", given)):
        parts.append(_text(x, 46, heading, "head"))
        parts += [_text(x, 82 + LINE * place, _short(title)) for place, title in enumerate(titles)]
    parts.append(_text(SEEN, HEIGHT - 32, "newest first", "quiet"))
    parts.append(_text(GIVEN, HEIGHT - 32, "best first", "quiet"))
    label = f"NDCG@10 {'; '.join(f'{name} {value:.3f}' for name, value in rows)}"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _short(title: str) -> str:
    return title if len(title) <= WIDEST else title[: WIDEST - 1].rstrip() + "…"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'
