"""The card of a compressed encoder: what it was made of, how it compares with its teacher, and how with new texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders.compression.fidelity import mean_cosine, neighbour_overlap
from tfrec.evaluation import RankingResult
from tfrec.retrieval.unit_vectors import unit_vectors
from tfrec.workflows.text_recommender import ndcg_of, rank_by_text

CARD_JSON, CARD_PAGE = "card.json", "CARD.md"


@dataclass(frozen=True)
class Fidelity:
    """How close a student is to its teacher on some items of a catalogue.

    Args:
        items: int. Number of items that have a text.
        cosine: float. Mean cosine to the teacher's vectors.
        neighbour_overlap: float. Share of the 10 nearest items that both have.
        queries: int. Validation queries with one of the items as target.
        ndcg: float. NDCG@10 of the untrained text recommender on these queries.
        teacher_ndcg: float. The same of the teacher.
    """

    items: int
    cosine: float
    neighbour_overlap: float
    queries: int
    ndcg: float
    teacher_ndcg: float

    @property
    def kept(self) -> float:
        """The share of the teacher's NDCG@10 that is left; NaN without queries, or if the teacher has none."""
        return self.ndcg / self.teacher_ndcg if self.teacher_ndcg > 0 else float("nan")


class FidelityReport:
    """Compares students with one teacher on a dataset.

    Args:
        dataset: Provides catalogue and validation queries.
        targets: float32 `[num_items, dim]`, the teacher's vectors.
    """

    def __init__(self, dataset: PreparedDataset, targets: np.ndarray) -> None:
        self.dataset, self.targets = dataset, unit_vectors(targets)
        free, masked = rank_by_text(dataset, self.targets, schema.VALID)
        self.masked = ndcg_of(masked) >= ndcg_of(free)
        self._teacher = masked if self.masked else free

    def compare(self, vectors: np.ndarray, rows: np.ndarray) -> Fidelity:
        """Compares a student's vectors, float32 `[num_items, dim]`, on the items `rows`, int `[n]`."""
        vectors = unit_vectors(vectors)
        result = rank_by_text(self.dataset, vectors, schema.VALID)[int(self.masked)]
        queries = self._queries_for(rows)
        student, teacher = (_mean_ndcg(each, queries) for each in (result, self._teacher))
        cosine = mean_cosine(vectors[rows], self.targets[rows]) if vectors.shape == self.targets.shape else float("nan")
        overlap = neighbour_overlap(vectors, self.targets, rows)
        return Fidelity(len(rows), cosine, overlap, int(queries.sum()), student, teacher)

    def _queries_for(self, rows: np.ndarray) -> np.ndarray:
        """bool `[queries]`: which validation queries have a target among the items `rows`."""
        queries = self.dataset.queries(schema.VALID)
        wanted = np.isin(queries.target_items, rows)
        return np.bincount(queries.target_rows[wanted], minlength=len(queries)) > 0


def _mean_ndcg(result: RankingResult, queries: np.ndarray) -> float:
    values = result.per_user["ndcg@10"].to_numpy()[queries]
    return float(values.mean()) if len(values) else float("nan")


def card_page(card: dict[str, Any]) -> str:
    """The card as a short Markdown page.

    Args:
        card: Content of card.json.
    """
    rows = [("the whole catalogue", card["catalogue"]), ("new texts (held out)", card["new_texts"])]
    table = "\n".join(
        f"| {name} | {each['items']:,} | {_figure(each['cosine'], 3)} | {_figure(each['neighbour_overlap'], 3)} | "
        f"{_figure(each['ndcg@10'], 4)} | {_figure(each['teacher_ndcg@10'], 4)} | {each['queries']:,} |"
        for name, each in rows
    )
    return _PAGE.format(
        **{name: card[name] for name in ("to", "teacher", "teacher_sha256", "data_fingerprint")},
        megabytes=card["bytes"] / 1e6,
        teacher_megabytes=card["teacher_bytes"] / 1e6,
        speed=card["texts_per_second"],
        ratio=card["speed_ratio"],
        table=table,
        note=card["note"],
    )


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def fidelity_fields(fidelity: Fidelity) -> dict[str, Any]:
    """A `Fidelity` as it stands in the card; a number that could not be measured is null."""
    fields = asdict(fidelity)
    fields |= {"ndcg@10": fields.pop("ndcg"), "teacher_ndcg@10": fields.pop("teacher_ndcg"), "kept": fidelity.kept}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in fields.items()}


_PAGE = """# Encoder compressed to {to}

Teacher: {teacher} ({teacher_sha256:.12}). Data: {data_fingerprint:.12}.

{megabytes:.1f} MB (teacher {teacher_megabytes:.1f}), {speed:,.0f} texts a second ({ratio:.1f} times the teacher).

| texts | items | cosine | same neighbours of 10 | NDCG@10 | teacher | queries |
|---|---|---|---|---|---|---|
{table}

NDCG@10 is that of the untrained text recommender (nearest text to the last item's) on the validation queries whose
target is one of the items. {note}
"""
