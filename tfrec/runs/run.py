"""A Run: the folder that a training leaves behind, and the trained model read back from it."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.config.assignments import Values
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.models.registry import family_of
from tfrec.training.run_layout import (
    CONFIG_FILE,
    ENCODER_FOLDER,
    ITEMS_FILE,
    MANIFEST_FILE,
    SEGMENTS_FILE,
    TEXT_VECTORS_FILE,
    UNTUNED_VECTORS_FILE,
)

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset
    from tfrec.encoders import TextEncoder
    from tfrec.retrieval.scorer import Scorer


class Run:
    """A finished training: its configuration, catalogue and model.

    Args:
        path: The run's folder. Raises `InvalidInput` when it is not one, or is still in progress.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lacking = [name for name in (MANIFEST_FILE, CONFIG_FILE) if not (self.path / name).is_file()]
        if lacking:
            partial = self.path.with_name(self.path.name + ".partial")
            hint = " Its training was interrupted: train with --resume." if partial.is_dir() else ""
            raise InvalidInput(f"{self.path} is not a run: it has no {lacking[0]}.{hint}")
        self.manifest: dict[str, Any] = read_json(self.path / MANIFEST_FILE)
        self.config = RunConfig.load(self.path / CONFIG_FILE)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """The run in the folder `path`."""
        return cls(path)

    @property
    def kind(self) -> str:
        """The family of its model: "next-item", "behaviour-text", "click-ranker"."""
        return self.config.model.kind

    @property
    def event_kinds(self) -> list[str]:
        """Event kinds the model knows; the position is the index."""
        return list(self.manifest["event_kinds"])

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue; the row is the item index."""
        return pl.read_parquet(self.path / ITEMS_FILE)

    @property
    def item_ids(self) -> np.ndarray:
        """Object `[num_items]`: the ids in catalogue order."""
        return self.items[schema.ITEM_ID].to_numpy()

    @property
    def item_counts(self) -> np.ndarray:
        """int64 `[num_items]`: training events of each item."""
        return self.items[schema.TRAIN_COUNT].to_numpy().astype(np.int64)

    @cached_property
    def segments(self) -> pl.DataFrame | None:
        """`segment_counts` by `retrieval.segment`, or None where the run was trained without."""
        path = self.path / SEGMENTS_FILE
        return pl.read_parquet(path) if path.is_file() else None

    @cached_property
    def text_vectors(self) -> np.ndarray | None:
        """float32 `[num_items, text_dim]`, or None for a model without text."""
        path = self.path / TEXT_VECTORS_FILE
        return np.load(path, allow_pickle=False) if path.is_file() else None

    @cached_property
    def untuned_text_vectors(self) -> np.ndarray | None:
        """As `text_vectors`, of the encoder as it was before this training: what untrained baselines read."""
        path = self.path / UNTUNED_VECTORS_FILE
        return np.load(path, allow_pickle=False) if path.is_file() else self.text_vectors

    def encoder(self) -> TextEncoder:
        """The text encoder of the model, in the configured precision: the run's own where it was trained too, else the
        one in the configuration."""
        from tfrec.encoders import load_encoder

        own = self.path / ENCODER_FOLDER
        knobs = self.config.encoder
        encoder = load_encoder(own if own.is_dir() else knobs.name, precision=knobs.precision)
        expected = self.manifest["encoder_hash"]
        if expected and encoder.hash != expected:
            raise InvalidInput(
                f"The encoder {knobs.name!r} is not the one this run was trained with (hash "
                f"{encoder.hash[:12]}, expected {expected[:12]}). Restore it, or train again."
            )
        return encoder

    @cached_property
    def model(self) -> Any:
        """The trained model: for the families that come with tfrec, a Keras model."""
        try:
            return family_of(self.kind).load_model(self)
        except (TypeError, ValueError, KeyError) as error:
            raise self._of_another_version(error) from None

    def _of_another_version(self, error: Exception) -> InvalidInput:
        """What to say when config or weights are not those of today's model."""
        reason = str(error).splitlines()[0]
        trained = self.manifest.get("versions", {}).get("tfrec")
        return InvalidInput(
            f"{self.path} does not fit the model of this version of tfrec ({reason}). It was trained with tfrec "
            f"{trained}, commit {self.manifest.get('git_commit')}. Use that one, or train again."
        )

    def with_values(self, values: Values) -> Run:
        """The same run with options changed that count after training: `evaluation`, `retrieval`, `export`.

        Args:
            values: As for `RunConfig.with_values`, such as {"export.max_k": 50}.

        Returns:
            A copy; this run and its folder stay as they are.
        """
        other = copy.copy(self)
        other.config = self.config.with_values(values)
        return other

    def refuse_other_catalogue(self, other: PreparedDataset | Run) -> None:
        """Raises `InvalidInput` unless a dataset, or another run, has the items of this run, in the same order."""
        theirs, ours = other.item_ids, self.item_ids
        if not np.array_equal(theirs, ours):
            how = "in another order" if len(theirs) == len(ours) else f"expected {len(ours)}"
            raise InvalidInput(
                f"{other.path} has another catalogue than the run {self.path} ({len(theirs)} items, {how}). Use the "
                "data that the run was trained on, or train again."
            )

    def scorer(self, dataset: PreparedDataset | None = None) -> Scorer:
        """The model behind the interface that `recommend` and `evaluate` use.

        Raises `InvalidInput` for a model that scores given candidates and does not rank the catalogue, and for a
        dataset with another catalogue.
        """
        if dataset is not None:
            self.refuse_other_catalogue(dataset)
        return family_of(self.kind).scorer(self)


def load_run(path: Run | str | Path) -> Run:
    """The run in a folder that `train` wrote; a Run, or what has its configuration, is handed back as it is.

    Raises:
        InvalidInput: the folder is no finished run, or what was given is neither.
    """
    if isinstance(path, str | Path):
        return Run(path)
    if not hasattr(path, "config"):
        raise InvalidInput(
            f"Expected a Run or the folder of one, received a {type(path).__name__}. "
            "Make one with tfrec.train; lists of a scorer are made by tfrec.retrieval.recommend."
        )
    return path
