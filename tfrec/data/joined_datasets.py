"""Several prepared datasets as one: a domain each, with its own users and items."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Histories, Queries
from tfrec.errors import InvalidInput

SEPARATOR = ":"
"""Between the domain and the id: "toys:B001" is the item B001 of the dataset in the folder `toys`."""


class JoinedDatasets(PreparedDataset):
    """Several prepared datasets as one, for a model that is trained on all of them.

    Each is a *domain*, named after its folder. Catalogues are concatenated; ids of items and users are preceded by the
    domain, so equal ids in two domains are two items. An event kind of the same name is the same kind everywhere. Of
    the items' columns only id, text and count of training events are kept, and no `context_*` columns.

    Args:
        datasets: At least one; they are not changed.

    Raises:
        InvalidInput: A dataset is given twice, or their splits differ.
    """

    def __init__(self, datasets: Sequence[PreparedDataset]) -> None:
        self.datasets = list(datasets)
        self._names = _distinct([dataset.path.resolve().name for dataset in self.datasets])
        prints = [dataset.manifest["fingerprint"] for dataset in self.datasets]
        if repeated := [prints.index(value) for value, count in Counter(prints).items() if count > 1]:
            raise InvalidInput(f"{self.datasets[repeated[0]].path} is given twice. Pass each dataset once.")
        splits = {name: each.manifest["split"] for name, each in zip(self._names, self.datasets, strict=True)}
        if len(set(splits.values())) > 1:
            named = ", ".join(f"{name} by {split}" for name, split in splits.items())
            raise InvalidInput(f"Datasets must be split in the same way; {named}. Prepare them with the same --split.")
        self.path = Path(" + ".join(str(dataset.path) for dataset in self.datasets))
        self.manifest = {
            "fingerprint": hashlib.sha256(" ".join(prints).encode()).hexdigest(),
            "split": self.datasets[0].manifest["split"],
            "clock": all(dataset.clock for dataset in self.datasets),
            "event_kinds": self._kinds_that_occur(),
        }

    def _kinds_that_occur(self) -> list[str]:
        used = (np.array(each.event_kinds, object)[np.unique(each.histories().events)] for each in self.datasets)
        return list(dict.fromkeys(kind for kinds in used for kind in kinds.tolist()))

    @property
    def domains(self) -> dict[str, int]:
        """Number of items of each domain by its name, in catalogue order."""
        return dict(zip(self._names, (dataset.num_items for dataset in self.datasets), strict=True))

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue: item_id with its domain, domain, text and train_count."""
        columns = [schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT]
        prefixed = pl.concat_str(pl.col(schema.DOMAIN), pl.col(schema.ITEM_ID), separator=SEPARATOR)
        return pl.concat(
            each.items.select(pl.lit(name).alias(schema.DOMAIN), *columns).with_columns(prefixed.alias(schema.ITEM_ID))
            for name, each in zip(self._names, self.datasets, strict=True)
        ).select(schema.ITEM_ID, schema.DOMAIN, schema.TEXT, schema.TRAIN_COUNT)

    @property
    def users(self) -> None:
        """None: the columns of users differ between domains."""
        return None

    def histories(self) -> Histories:
        """The complete event sequence of every user of every domain."""
        return self._joined([dataset.histories() for dataset in self.datasets])

    def training(self) -> Histories:
        """The training sequences of all domains."""
        return self._joined([dataset.training() for dataset in self.datasets])

    def queries(self, split: str, slice: str = "warm") -> Queries:
        """The evaluation queries of all domains; arguments as for `PreparedDataset.queries`."""
        parts = [dataset.queries(split, slice) for dataset in self.datasets]
        return Queries(
            history=self._joined([part.history for part in parts]),
            target_offsets=_joined_offsets([part.target_offsets for part in parts]),
            target_items=self._in_catalogue([part.target_items for part in parts]),
        )

    def _in_catalogue(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Item indices of each domain as indices into the joined catalogue."""
        first = np.cumsum([0, *self.domains.values()])
        return np.concatenate([part + start for part, start in zip(items, first, strict=False)]).astype(np.int32)

    def _joined(self, parts: Sequence[Histories]) -> Histories:
        kinds = {kind: index for index, kind in enumerate(self.event_kinds)}
        tables = [np.array([kinds.get(kind, -1) for kind in each.event_kinds], np.int16) for each in self.datasets]
        flat: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("timestamps", "values", "is_target")
        }
        users = [
            [f"{name}{SEPARATOR}{user}" for user in part.user_ids]
            for name, part in zip(self._names, parts, strict=True)
        ]
        return Histories(
            user_ids=np.array([user for domain in users for user in domain], object),
            offsets=_joined_offsets([part.offsets for part in parts]),
            items=self._in_catalogue([part.items for part in parts]),
            events=np.concatenate([table[part.events] for table, part in zip(tables, parts, strict=True)]),
            clock=self.clock,
            **flat,
        )


def load_datasets(
    data: PreparedDataset | str | Path | Sequence[PreparedDataset | str | Path],
) -> list[PreparedDataset]:
    """The datasets in one folder or several; as `load_dataset` loads each."""
    several = [data] if isinstance(data, PreparedDataset | str | Path) else list(data)
    if not several:
        raise InvalidInput("Expected at least one prepared dataset, received none. Pass --data.")
    return [load_dataset(each) for each in several]


def _joined_offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    lengths = np.concatenate([np.diff(offsets) for offsets in parts])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that occur a second time with a number behind them."""
    taken: list[str] = []
    for name in names:
        free = (name if number == 1 else f"{name}-{number}" for number in range(1, len(names) + 1))
        taken.append(next(each for each in free if each not in taken))
    return taken
