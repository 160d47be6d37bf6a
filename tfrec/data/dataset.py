"""PreparedDataset: a folder with cleaned events, catalogue and splits, served to models as arrays."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories, Queries
from tfrec.errors import InvalidInput
from tfrec.files import OutputKind
from tfrec.files.stored_folder import StoredFolder, read_object

ITEMS_FILE = "items.parquet"
SEQUENCES_FILE = "sequences.parquet"
USERS_FILE = "users.parquet"
SPLITS_FOLDER = "splits"
MANIFEST_FILE = "manifest.json"
DATASET_OUTPUT = OutputKind("prepared data", {MANIFEST_FILE: ("fingerprint", "split")})
REPORT_FILE = "report.json"
FORMAT = 1
CURE = "Prepare the data again."
_MANIFEST = {"fingerprint": str, "split": str, "clock": bool, "event_kinds": list, "counts": dict}
_PER_EVENT = (schema.ITEMS, schema.EVENTS, schema.TIMESTAMPS, schema.VALUES, schema.IS_TARGET)
SLICES = ("warm", "cold_items", "cold_users", "all_targets")


class PreparedDataset:
    """A folder written by `prepare`. Its files are read on first use, and must be as they were written.

    Args:
        path: The folder.

    Raises:
        InvalidInput: The folder is not a prepared dataset, has another format version, or was changed; a changed file
            is found out when it is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lacking = [name for name in (MANIFEST_FILE, SEQUENCES_FILE) if not (self.path / name).is_file()]
        if lacking:
            raise InvalidInput(
                f"{self.path} is not a prepared dataset: it has no {lacking[0]}. Make one with: tfrec prepare."
            )
        self.manifest = read_object(self.path / MANIFEST_FILE, {}, CURE)
        if self.manifest.get("format") != FORMAT:
            raise InvalidInput(
                f"{self.path} has format {self.manifest.get('format')!r}, expected {FORMAT}. Prepare it again."
            )
        read_object(self.path / MANIFEST_FILE, _MANIFEST, CURE)
        self.stored = StoredFolder(self.path, self.manifest, CURE)

    @classmethod
    def load(cls, path: str | Path) -> PreparedDataset:
        """The dataset in the folder `path`."""
        return cls(path)

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report of `prepare`: counts, and examples of the rows that were dropped."""
        report: dict[str, Any] = self.stored.json(REPORT_FILE)
        return report

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue: item_id, text, train_count and the given columns. The row number is the item index."""
        return self.stored.parquet(ITEMS_FILE, [schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT])

    @property
    def num_items(self) -> int:
        """Number of items in the catalogue."""
        return self.items.height

    @cached_property
    def item_ids(self) -> np.ndarray:
        """Item ids in catalogue order, object `[num_items]`."""
        return self.items[schema.ITEM_ID].to_numpy()

    @cached_property
    def texts(self) -> list[str]:
        """Item texts in catalogue order; "" for an item without text."""
        return self.items[schema.TEXT].to_list()

    @cached_property
    def users(self) -> pl.DataFrame | None:
        """The given user columns, one row per user in the order of `histories()`; None if none were given."""
        return self.stored.parquet(USERS_FILE, [schema.USER_ID]) if self.stored.has(USERS_FILE) else None

    @property
    def event_kinds(self) -> list[str]:
        """Names of the event kinds. `Histories.events` holds indices into this list."""
        return list(self.manifest["event_kinds"])

    @property
    def clock(self) -> bool:
        """Whether timestamps are real times rather than order numbers."""
        return bool(self.manifest["clock"])

    @property
    def domains(self) -> dict[str, int]:
        """Number of items of each domain of `JoinedDatasets`, in catalogue order; empty for a single dataset."""
        return {}

    @cached_property
    def _sequences(self) -> Histories:
        frame = self.stored.parquet(SEQUENCES_FILE, [schema.USER_ID, *_PER_EVENT])
        lengths = frame[schema.ITEMS].list.len().to_numpy()

        def flat(name: str, dtype: Any = None) -> np.ndarray:
            values = frame[name].explode(empty_as_null=False).to_numpy()
            return values if dtype is None else values.astype(dtype, copy=False)

        histories = Histories(
            user_ids=frame[schema.USER_ID].to_numpy(),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            items=flat(schema.ITEMS, np.int32),
            events=flat(schema.EVENTS, np.int16),
            timestamps=flat(schema.TIMESTAMPS, np.int64),
            values=flat(schema.VALUES, np.float32),
            is_target=flat(schema.IS_TARGET, np.bool_),
            clock=self.clock,
            context={name: flat(name) for name in frame.columns if name.startswith(schema.CONTEXT_PREFIX)},
        )
        self._refuse_outside(SEQUENCES_FILE, "items", histories.items, self.num_items)
        self._refuse_outside(SEQUENCES_FILE, "event kinds", histories.events, len(self.event_kinds))
        return histories

    def histories(self) -> Histories:
        """The complete event sequence of every user."""
        return self._sequences

    def training(self) -> Histories:
        """The part of each user's sequence that models may train on.

        It excludes events of held-out items, and users without training events.
        """
        return self._training

    @cached_property
    def _training(self) -> Histories:
        frame = self._split(schema.TRAIN)
        training = self._sequences.prefixes(frame[schema.USER].to_numpy(), frame[schema.HISTORY_LENGTH].to_numpy())
        if schema.HELD_OUT not in self.items.columns:
            return training
        return training.without(self.items[schema.HELD_OUT].to_numpy())

    def queries(self, split: str, slice: str = "warm") -> Queries:
        """The evaluation queries of a split. Queries without a target in the slice are left out.

        Args:
            split: "valid" or "test".
            slice: "warm": users with a history and targets seen in training (the headline metrics). "cold_items": the
                same users, with targets first seen in the window or held out by `data.held_out_items`. "cold_users":
                users without a history, with warm targets. "all_targets": users with a history, with warm and cold
                targets. In a leave-one-out split every target counts as warm unless
                it is held out, as in published protocols.

        Raises:
            InvalidInput: An unknown split or slice.
        """
        if split not in (schema.VALID, schema.TEST) or slice not in SLICES:
            raise InvalidInput(f"Expected split valid or test and slice in {SLICES}, received {split!r}, {slice!r}.")
        column = schema.COLD_TARGET_ITEMS if slice == "cold_items" else schema.TARGET_ITEMS
        frame = self._split(split)
        if slice == "all_targets":
            frame = frame.with_columns(pl.concat_list(column, schema.COLD_TARGET_ITEMS).alias(column))
        has_history = pl.col(schema.HISTORY_LENGTH) > 0
        frame = frame.filter(~has_history if slice == "cold_users" else has_history, pl.col(column).list.len() > 0)
        counts = frame[column].list.len().to_numpy().astype(np.int64)
        targets = frame[column].explode(empty_as_null=False).to_numpy().astype(np.int32)
        return Queries(
            history=self._sequences.prefixes(frame[schema.USER].to_numpy(), frame[schema.HISTORY_LENGTH].to_numpy()),
            target_offsets=np.concatenate([[0], np.cumsum(counts)]),
            target_items=targets,
        )

    def _split(self, name: str) -> pl.DataFrame:
        file = f"{SPLITS_FOLDER}/{name}.parquet"
        targets = [] if name == schema.TRAIN else [schema.TARGET_ITEMS, schema.COLD_TARGET_ITEMS]
        frame = self.stored.parquet(file, [schema.USER, schema.HISTORY_LENGTH, *targets])
        users = frame[schema.USER].to_numpy()
        self._refuse_outside(file, "users", users, len(self._sequences))
        lengths = self._recorded_lengths()[users]
        self._refuse_outside(file, "history lengths", frame[schema.HISTORY_LENGTH].to_numpy(), lengths + 1)
        for column in targets:
            self._refuse_outside(file, "items", frame[column].explode(empty_as_null=False).to_numpy(), self.num_items)
        return frame.with_columns(pl.col(schema.USER, schema.HISTORY_LENGTH).cast(pl.Int64))

    def _recorded_lengths(self) -> np.ndarray:
        """int `[users]`: the events of each user in the files."""
        lengths: np.ndarray = self._sequences.lengths
        return lengths

    def _refuse_outside(self, file: str, what: str, numbers: np.ndarray, end: int | np.ndarray) -> None:
        """Raises `InvalidInput` unless all numbers are from 0 to below `end`."""
        if outside := int(np.count_nonzero((numbers < 0) | (numbers >= end))):
            raise InvalidInput(f"{self.path / file} is damaged: {outside} {what} are out of range. {CURE}")


def load_dataset(path: PreparedDataset | str | Path) -> PreparedDataset:
    """Loads the prepared dataset in a folder. A PreparedDataset is returned unchanged.

    Args:
        path: The folder, or a PreparedDataset.

    Raises:
        InvalidInput: The folder is not a prepared dataset, or the argument has another type.
    """
    if isinstance(path, PreparedDataset):
        return path
    if not isinstance(path, str | Path):
        raise InvalidInput(
            f"Expected a PreparedDataset or the folder of one, received a {type(path).__name__}. "
            "Create one from logs or frames with tfrec.prepare."
        )
    return PreparedDataset(path)
