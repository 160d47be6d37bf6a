"""The `context_*` columns of events as numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec import schema

MOST_CATEGORIES = 1000
"""Values of a column that are told apart, the most frequent ones."""
FEW = 12
"""A column of numbers with no more distinct values than this is read as categories: codes, weekdays, hours."""


@dataclass(frozen=True)
class ContextFeatures:
    """How to read context columns: which are numbers, which categories, learnt from training events.

    Attributes:
        numbers: Column to its mean and standard deviation in training.
        categories: Column to its values in training, the most frequent first; a value's code is its place plus 1.
    """

    numbers: Mapping[str, tuple[float, float]]
    categories: Mapping[str, list[str]]

    @classmethod
    def fit(cls, context: Mapping[str, np.ndarray]) -> ContextFeatures:
        """Reads columns `[events]` of numbers, bools or strings; strings may be numbers. Empty is unknown.

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
        """Inputs of the model.

        Args:
            context: Columns `[rows]`; a column that is missing, or None for all, is unknown.
            rows: int.

        Returns:
            `context_numbers` float32 `[rows, numbers]`, standardised, 0 where unknown. `context_categories` int32
            `[rows, categories]`, 0 where unknown. Each only where there are such columns.
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
                    place = {value: i + 1 for i, value in enumerate(values)}
                    codes[:, column] = [place.get(text, 0) for text in _texts(given[name])]
            encoded[schema.CONTEXT_CATEGORIES] = codes
        return encoded

    @property
    def columns(self) -> list[str]:
        """All columns: the numbers, then the categories."""
        return [*self.numbers, *self.categories]

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal one."""
        return {"numbers": {k: list(v) for k, v in self.numbers.items()}, "categories": dict(self.categories)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> ContextFeatures:
        """The inverse of `to_json`; None is no context."""
        values = values or {"numbers": {}, "categories": {}}
        return cls({k: (float(v[0]), float(v[1])) for k, v in values["numbers"].items()}, dict(values["categories"]))


def _texts(values: np.ndarray) -> np.ndarray:
    """Values as strings; missing ones and NaN are ""."""
    missing = (None, "nan")
    return np.array(["" if value is None or str(value) in missing else str(value) for value in values.tolist()], object)


def _floats(texts: np.ndarray) -> np.ndarray:
    """float64, NaN where a text is no number."""

    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return np.nan

    return np.array([number(text) for text in texts], np.float64)
