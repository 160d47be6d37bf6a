"""A Run: the folder that `train` writes, with the trained model, its configuration and its catalogue."""

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
from tfrec.files.stored_folder import StoredFolder, read_object
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.models.registry import family_of
from tfrec.privacy.ledger import Ledger
from tfrec.retrieval.items_to_recommend import among, items_to_recommend
from tfrec.training.run_layout import (
    CONFIG_FILE,
    ENCODER_FOLDER,
    ITEMS_FILE,
    MANIFEST_FILE,
    SEGMENTS_FILE,
    TEXT_VECTORS_FILE,
    UNTUNED_VECTORS_FILE,
    WEIGHTS_FOLDER,
)

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset
    from tfrec.encoders import ImageEncoder, TextEncoder
    from tfrec.retrieval.scorer import Scorer

CURE = "Restore the run from a copy, or train again."


class Run:
    """A finished training run: its configuration, catalogue and model.

    Its files are read on first use, and must be as they were written.

    Args:
        path: The run's folder.

    Attributes:
        ledger: What a private training computed from events, with its ε; None of any other.

        is_moved: Whether the model has been moved to another catalogue in memory (`run_on`).

    Raises:
        InvalidInput: The folder is not a run, its training has not finished, or it was changed, such as its privacy
            ledger; a changed file is found out when it is read.
    """

    is_moved = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lacking = [name for name in (MANIFEST_FILE, CONFIG_FILE) if not (self.path / name).is_file()]
        if lacking:
            partial = self.path.with_name(self.path.name + ".partial")
            hint = " Its training was interrupted: train with --resume." if partial.is_dir() else ""
            raise InvalidInput(f"{self.path} is not a run: it has no {lacking[0]}.{hint}")
        self.manifest = read_object(self.path / MANIFEST_FILE, {"event_kinds": list}, CURE)
        self.stored = StoredFolder(self.path, self.manifest, CURE)
        self.config = RunConfig.load(self.stored.file(CONFIG_FILE), complete=True)
        self.ledger = Ledger.read(self.manifest)
        if self.config.privacy.on and self.ledger is None:
            raise InvalidInput(f"{self.path} was trained privately, but its manifest has no privacy ledger. {CURE}")

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """The run in the folder `path`."""
        return cls(path)

    @property
    def kind(self) -> str:
        """The family of the model: "next-item", "behaviour-text", "click-ranker"."""
        return self.config.model.kind

    @property
    def event_kinds(self) -> list[str]:
        """Event kinds that the model knows, in index order."""
        return list(self.manifest["event_kinds"])

    @cached_property
    def items(self) -> pl.DataFrame:
        """The catalogue; row numbers are item indices."""
        return self.stored.parquet(ITEMS_FILE, [schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT])

    @property
    def item_ids(self) -> np.ndarray:
        """object `[num_items]`: item ids in catalogue order."""
        return self.items[schema.ITEM_ID].to_numpy()

    @property
    def item_counts(self) -> np.ndarray:
        """int64 `[num_items]`: training events of each item."""
        return self.items[schema.TRAIN_COUNT].to_numpy().astype(np.int64)

    @cached_property
    def segments(self) -> pl.DataFrame | None:
        """The `segment_counts` of `retrieval.segment`; None if the run was trained without it."""
        return self.stored.parquet(SEGMENTS_FILE) if self.stored.has(SEGMENTS_FILE) else None

    @cached_property
    def text_vectors(self) -> np.ndarray | None:
        """float32 `[num_items, text_dim]`; None for a model without text."""
        return self._vectors(TEXT_VECTORS_FILE) if self.stored.has(TEXT_VECTORS_FILE) else None

    @cached_property
    def untuned_text_vectors(self) -> np.ndarray | None:
        """Like `text_vectors`, but from the encoder before it was fine-tuned; the untrained baselines use them."""
        untuned = self.stored.has(UNTUNED_VECTORS_FILE)
        return self._vectors(UNTUNED_VECTORS_FILE) if untuned else self.text_vectors

    def _vectors(self, name: str) -> np.ndarray:
        vectors = self.stored.array(name)
        if vectors.ndim != 2 or len(vectors) != self.items.height:
            raise InvalidInput(
                f"{self.path / name}: expected a vector for each of {self.items.height} items, received an array of "
                f"shape {vectors.shape}. {CURE}"
            )
        refuse_not_finite([(name, vectors)], self.path, CURE)
        return vectors

    def encoder(self) -> TextEncoder:
        """The model's text encoder, in the configured precision.

        If the encoder was fine-tuned, it is loaded from the run's folder, otherwise as the configuration says. A run
        from before exact tokens gets its preset with the tokens of that time.

        Raises:
            InvalidInput: The encoder differs from the one that the run was trained with.
        """
        from tfrec.encoders.load import load_configured
        from tfrec.encoders.presets import PRESETS

        options, fine_tuned = self.config.encoder, self.stored.folder(ENCODER_FOLDER)
        encoder = load_configured(options, fine_tuned)
        expected = self.manifest.get("encoder_hash")
        if expected and not self.trained_with(encoder) and fine_tuned is None and options.name in PRESETS:
            encoder = load_configured(options, tokens="tf-text")
        if expected and not self.trained_with(encoder):
            raise InvalidInput(
                f"The encoder {options.name!r} is not the one this run was trained with (hash "
                f"{encoder.hash[:12]}, expected {expected[:12]}). Restore it, or train again."
            )
        return encoder

    def image_encoder(self) -> ImageEncoder | None:
        """The encoder of pictures; None for a run without.

        Raises:
            InvalidInput: The encoder differs from the one that the run was trained with.
        """
        from tfrec.encoders import load_image_encoder
        from tfrec.encoders.images.load_image_encoder import IMAGE_PRESETS

        name = self.config.encoder.image
        if name is None:
            return None
        encoder = load_image_encoder(name, precision=self.config.encoder.image_precision)
        expected = self.manifest.get("image_encoder_hash")
        # A preset is converted on each machine, where TensorFlow may name the same functions otherwise.
        converted = name in IMAGE_PRESETS and encoder.weights_hash == self.manifest.get("image_encoder_weights_hash")
        if encoder.hash != expected and not converted:
            raise InvalidInput(
                f"The image encoder {name!r} is not the one this run was trained with (hash {encoder.hash[:12]}, "
                f"expected {str(expected)[:12]}). Restore it, or train again."
            )
        return encoder

    def trained_with(self, encoder: TextEncoder) -> bool:
        """Whether the encoder is that of the training, or was converted again from the same checkpoint."""
        expected, weights = self.manifest["encoder_hash"], self.manifest.get("encoder_weights_hash")
        if weights is None:  # written by a version whose hash was the one that the encoder's folder recorded
            return expected in (encoder.hash, encoder.recorded_hash)
        return bool(encoder.hash == expected or encoder.weights_hash == weights)

    @cached_property
    def model(self) -> Any:
        """The trained model; a Keras model for all built-in families."""
        self.stored.folder(WEIGHTS_FOLDER)
        try:
            return family_of(self.kind).load_model(self)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise InvalidInput(
                f"The weights in {self.path / WEIGHTS_FOLDER} cannot be read ({reason}). {CURE}"
            ) from None
        except (TypeError, ValueError, KeyError) as error:
            raise self._version_mismatch(error) from None

    def _version_mismatch(self, error: Exception) -> InvalidInput:
        """The error to raise if configuration or weights do not fit the current model."""
        reason = str(error).splitlines()[0]
        trained = self.manifest.get("versions", {}).get("tfrec")
        return InvalidInput(
            f"{self.path} does not fit the model of this version of tfrec ({reason}). It was trained with tfrec "
            f"{trained}, commit {self.manifest.get('git_commit')}. Use that version, or train again."
        )

    def with_values(self, values: Values) -> Run:
        """A copy of the run with other options for use after training: `evaluation`, `retrieval`, `export`.

        Args:
            values: Options as for `RunConfig.with_values`, such as {"export.max_k": 50}.

        Returns:
            A copy; this run and its folder are unchanged.
        """
        other = copy.copy(self)
        other.config = self.config.with_values(values)
        return other

    def refuse_other_catalogue(self, other: PreparedDataset | Run) -> None:
        """Raises `InvalidInput` unless a dataset or another run has the same items in the same order."""
        theirs, ours = other.item_ids, self.item_ids
        if not np.array_equal(theirs, ours):
            how = "in another order" if len(theirs) == len(ours) else f"expected {len(ours)}"
            raise InvalidInput(
                f"{other.path} has another catalogue than the run {self.path} ({len(theirs)} items, {how}). Use the "
                "data that the run was trained on, or train again."
            )

    def scorer(self, dataset: PreparedDataset | None = None) -> Scorer:
        """The model's scorer, which `recommend` and `evaluate` use; items that it may not recommend score −inf.

        Args:
            dataset: Data whose catalogue must be that of the run; None to skip the check.

        Raises:
            InvalidInput: The model scores given candidates but does not rank the catalogue, or the dataset has another
                catalogue.
        """
        if dataset is not None:
            self.refuse_other_catalogue(dataset)
        return among(family_of(self.kind).scorer(self), items_to_recommend(self.config, self.items))


def load_run(path: Run | str | Path) -> Run:
    """Loads the run in a folder that `train` wrote. A Run, or an object with its `config`, is returned unchanged.

    Raises:
        InvalidInput: The folder is not a finished run, or the argument is neither a folder nor a run.
    """
    if isinstance(path, str | Path):
        return Run(path)
    if not hasattr(path, "config"):
        raise InvalidInput(
            f"Expected a Run or the folder of one, received a {type(path).__name__}. "
            "Train one with tfrec.train; to recommend with a scorer, use tfrec.retrieval.recommend."
        )
    return path
