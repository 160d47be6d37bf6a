"""Raw logs and catalogues to a PreparedDataset, and the arrays that models read from it."""

from tfrec.data.batching import history_batch
from tfrec.data.behaviour import behaviour_text
from tfrec.data.complete_journey import read_complete_journey
from tfrec.data.dataset import Histories, PreparedDataset, Queries
from tfrec.data.movielens import read_movielens_100k
from tfrec.data.prepare import prepare
from tfrec.data.splits import check_leakage
from tfrec.data.text import normalise_text

__all__ = [
    "Histories",
    "PreparedDataset",
    "Queries",
    "behaviour_text",
    "check_leakage",
    "history_batch",
    "normalise_text",
    "prepare",
    "read_complete_journey",
    "read_movielens_100k",
]
