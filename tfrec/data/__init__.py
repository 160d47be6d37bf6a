"""Turns raw logs and catalogues into a PreparedDataset, and serves it to models as arrays."""

from tfrec.data.behaviour_text import behaviour_text
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.datasets.complete_journey import read_complete_journey
from tfrec.data.datasets.movielens import read_movielens_100k
from tfrec.data.histories import Histories, Queries
from tfrec.data.ingest.item_text import normalise_text
from tfrec.data.ingest.pseudonyms import pseudonyms
from tfrec.data.ingest.splits import check_leakage
from tfrec.data.padding import history_batch
from tfrec.data.prepare import prepare
from tfrec.data.prepare_folds import prepare_folds

__all__ = [
    "Histories",
    "PreparedDataset",
    "Queries",
    "behaviour_text",
    "check_leakage",
    "history_batch",
    "load_dataset",
    "normalise_text",
    "prepare",
    "prepare_folds",
    "pseudonyms",
    "read_complete_journey",
    "read_movielens_100k",
]
