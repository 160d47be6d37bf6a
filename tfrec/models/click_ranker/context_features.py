"""Encodes the `context_*` columns of events as numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec import schema

MOST_CATEGORIES = 1000
"""Categories kept per column, the most frequent ones; all others count as unknown."""
FEW = 12
"""A numeric column with at most this many distinct values is treated as categories: codes, weekdays, months."""


@dataclass(frozen=True)
class ContextFeatures:
    """How context columns are encoded, as numbers or as categories; fitted on training events.

    Attributes:
        numbers: Mean and standard deviation of each numeric column in training.
        categories: The values of each categorical column in training, most frequent first; a value's code is its index
            plus 1.
    """

    numbers: Mapping[str, tuple[float, float]]
    categories: Mapping[str, list[str]]

    @classmethod
    def fit(cls, context: Mapping[str, np.ndarray]) -> ContextFeatures:
        """Fits on columns `[events]` of numbers, bools or strings. Strings may hold numbers; empty values are unknown.

        Example:
            >>> features = ContextFeatures.fit({"context_device": np.array(["phone", "tv", "phone"], object)})
            >>> features.encode({"context_device": np.array(["tv", "car"], object)}, 2)["context_categories"].tolist()
            [[2], [0]]
        """
        numbers, categories = {}, {}
        for name in sorted(context):
            texts = _texts(context[name])
            known = texts[texts != ""]
            values = _floats(known)
            distinct, counts = np.unique(known, return_counts=True)
            if len(known) and not np.isnan(values).any() and len(distinct) > FEW:
                numbers[name] = (float(values.mean()), float(values.std()) or 1.0)
            else:
                order = np.lexsort([distinct, -counts])[:MOST_CATEGORIES]
                categories[name] = [str(value) for value in distinct[order]]
        return cls(numbers, categories)

    def encode(self, context: Mapping[str, np.ndarray] | None, rows: int) -> dict[str, np.ndarray]:
        """Encodes columns as model inputs.

        Args:
            context: Columns `[rows]`. A missing column is unknown; None means that all are.
            rows: int. Number of rows.

        Returns:
            `context_numbers`, float32 `[rows, numbers]`, standardised, and `context_categories`, int32
            `[rows, categories]`; unknown values are 0 in both. Each is present only if there are such columns.
        """
        given = context or {}
        encoded: dict[str, np.ndarray] = {}
        if self.numbers:
            table = np.zeros((rows, len(self.numbers)), np.float32)
            for column, (name, (mean, deviation)) in enumerate(self.numbers.items()):
                if name in given:
                    table[:, column] = np.nan_to_num(
                        (_floats(_texts(given[name])) - mean) / deviation, posinf=0, neginf=0
                    )
            encoded[schema.CONTEXT_NUMBERS] = table
        if self.categories:
            codes = np.zeros((rows, len(self.categories)), np.int32)
            for column, (name, values) in enumerate(self.categories.items()):
                if name in given:
                    code_of = {value: i + 1 for i, value in enumerate(values)}
                    codes[:, column] = [code_of.get(text, 0) for text in _texts(given[name])]
            encoded[schema.CONTEXT_CATEGORIES] = codes
        return encoded

    @property
    def columns(self) -> list[str]:
        """All columns: the numbers, then the categories."""
        return [*self.numbers, *self.categories]

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable values; `from_json` restores the features."""
        return {"numbers": {k: list(v) for k, v in self.numbers.items()}, "categories": dict(self.categories)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> ContextFeatures:
        """The inverse of `to_json`; None means no context."""
        values = values or {"numbers": {}, "categories": {}}
        return cls({k: (float(v[0]), float(v[1])) for k, v in values["numbers"].items()}, dict(values["categories"]))


def _texts(values: np.ndarray) -> np.ndarray:
    """Values as strings; missing values and NaN become ""."""
    missing = (None, "nan")
    return np.array(["" if value is None or str(value) in missing else str(value) for value in values.tolist()], object)


def _floats(texts: np.ndarray) -> np.ndarray:
    """float64; NaN where a text is not a number."""

    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return np.nan

    return np.array([number(text) for text in texts], np.float64)
