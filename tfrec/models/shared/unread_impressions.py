"""Impressions, items that were only shown, are no events of the histories that models read, unless asked for."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.without_kind import DatasetWithoutKind


def hides_impressions(config: RunConfig, event_kinds: Sequence[str]) -> bool:
    """Whether the data have impressions and the model does not read them."""
    return schema.IMPRESSION in event_kinds and not config.model.read_impressions


def without_unread(config: RunConfig, dataset: PreparedDataset) -> PreparedDataset:
    """The dataset, without impressions unless `model.read_impressions` is on."""
    return DatasetWithoutKind(dataset, schema.IMPRESSION) if hides_impressions(config, dataset.event_kinds) else dataset
