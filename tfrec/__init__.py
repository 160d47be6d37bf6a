"""tfrec: recommenders in TensorFlow from what items say and what people do.

    data = tfrec.prepare("events.csv", "items.csv", "data/shop")
    run = tfrec.train(data, "runs/shop")
    metrics = tfrec.evaluate(run, data)
    lists = tfrec.recommend(run, data, k=10)
    reasons = tfrec.explain(run, data, k=10)
    tfrec.check(tfrec.export(run, "saved_models/shop"))

Importing this package has one side effect, the Keras guard: `tensorflow_hub` and `tensorflow_recommenders` need
Keras 2, which TensorFlow chooses when it is first imported. Everything public is loaded on first use.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from tfrec.version import __version__

if TYPE_CHECKING:  # what `_PUBLIC` loads, where editors and type checkers look
    from tfrec.config import ExportConfig as ExportConfig
    from tfrec.config import RunConfig as RunConfig
    from tfrec.data.dataset import PreparedDataset as PreparedDataset
    from tfrec.data.dataset import load_dataset as load_dataset
    from tfrec.data.histories import Histories as Histories
    from tfrec.data.histories import Queries as Queries
    from tfrec.data.prepare import prepare as prepare
    from tfrec.encoders import BertConfig as BertConfig
    from tfrec.encoders import GptConfig as GptConfig
    from tfrec.encoders import ImageEncoder as ImageEncoder
    from tfrec.encoders import TextEncoder as TextEncoder
    from tfrec.encoders import import_encoder as import_encoder
    from tfrec.encoders import load_encoder as load_encoder
    from tfrec.encoders import load_image_encoder as load_image_encoder
    from tfrec.encoders.transformers.config import BackboneConfig as BackboneConfig
    from tfrec.errors import InvalidInput as InvalidInput
    from tfrec.errors import TfrecError as TfrecError
    from tfrec.errors import Unavailable as Unavailable
    from tfrec.evaluation import BeyondResult as BeyondResult
    from tfrec.evaluation import RankingResult as RankingResult
    from tfrec.experiments import AnalysisResult as AnalysisResult
    from tfrec.experiments import Change as Change
    from tfrec.experiments import Decision as Decision
    from tfrec.experiments import ExperimentSpec as ExperimentSpec
    from tfrec.experiments import Interleaved as Interleaved
    from tfrec.experiments import OffPolicyResult as OffPolicyResult
    from tfrec.experiments import OptimisedInterleaving as OptimisedInterleaving
    from tfrec.experiments import SimulatedLogs as SimulatedLogs
    from tfrec.explanation.explain_lists import explain as explain
    from tfrec.explanation.ranker_features import RankingReasons as RankingReasons
    from tfrec.explanation.shapley import Shares as Shares
    from tfrec.models.behaviour_text.model import BehaviourTextModel as BehaviourTextModel
    from tfrec.models.click_ranker.model import ClickRanker as ClickRanker
    from tfrec.models.next_item.model import NextItemModel as NextItemModel
    from tfrec.privacy.ledger import Ledger as Ledger
    from tfrec.privacy.mechanism import Mechanism as Mechanism
    from tfrec.retrieval.chunked_scan import TopKResult as TopKResult
    from tfrec.retrieval.scorer import Scorer as Scorer
    from tfrec.retrieval.top_k import TopK as TopK
    from tfrec.runs.evaluate import evaluate as evaluate
    from tfrec.runs.recommend import recommend as recommend
    from tfrec.runs.run import Run as Run
    from tfrec.runs.run import load_run as load_run
    from tfrec.runs.train import train as train
    from tfrec.serving.checking.check import CheckReport as CheckReport
    from tfrec.serving.checking.check import check as check
    from tfrec.serving.devices.check_litert import DeviceCheckReport as DeviceCheckReport
    from tfrec.serving.exporting.build_index import IndexReport as IndexReport
    from tfrec.serving.exporting.export import export as export
    from tfrec.serving.local.access import Access as Access
    from tfrec.serving.local.limits import Limits as Limits
    from tfrec.serving.local.options import ServerOptions as ServerOptions
    from tfrec.serving.local.request_log_options import RequestLogOptions as RequestLogOptions
    from tfrec.serving.local.server import ModelServer as ModelServer
    from tfrec.serving.saved_model.size_report import SizeReport as SizeReport
    from tfrec.workflows.compare_encoders import compare_encoders as compare_encoders
    from tfrec.workflows.compress_encoder import compress_encoder as compress_encoder

_PUBLIC = {
    # The verbs, in the order in which people use them.
    "prepare": "tfrec.data",
    "load_dataset": "tfrec.data",
    "import_encoder": "tfrec.encoders",
    "load_encoder": "tfrec.encoders",
    "load_image_encoder": "tfrec.encoders",
    "compress_encoder": "tfrec.workflows.compress_encoder",
    "compare_encoders": "tfrec.workflows.compare_encoders",
    "train": "tfrec.runs",
    "load_run": "tfrec.runs",
    "evaluate": "tfrec.runs",
    "recommend": "tfrec.runs",
    "explain": "tfrec.explanation",
    "export": "tfrec.serving",
    "check": "tfrec.serving",
    # What they take and return, and the models.
    "RunConfig": "tfrec.config",
    "PreparedDataset": "tfrec.data",
    "Run": "tfrec.runs",
    "NextItemModel": "tfrec.models",
    "BehaviourTextModel": "tfrec.models",
    "ClickRanker": "tfrec.models",
    "CheckReport": "tfrec.serving",
    "DeviceCheckReport": "tfrec.serving",
    "TfrecError": "tfrec.errors",
    "InvalidInput": "tfrec.errors",
    "Unavailable": "tfrec.errors",
    # What the rooms' functions take and return.
    "Access": "tfrec.serving",
    "AnalysisResult": "tfrec.experiments",
    "BackboneConfig": "tfrec.encoders.transformers.config",
    "BertConfig": "tfrec.encoders",
    "BeyondResult": "tfrec.evaluation",
    "Change": "tfrec.experiments",
    "Decision": "tfrec.experiments",
    "ExperimentSpec": "tfrec.experiments",
    "ExportConfig": "tfrec.config",
    "GptConfig": "tfrec.encoders",
    "Histories": "tfrec.data",
    "ImageEncoder": "tfrec.encoders",
    "IndexReport": "tfrec.serving",
    "Interleaved": "tfrec.experiments",
    "Ledger": "tfrec.privacy",
    "Limits": "tfrec.serving",
    "Mechanism": "tfrec.privacy",
    "ModelServer": "tfrec.serving",
    "OffPolicyResult": "tfrec.experiments",
    "OptimisedInterleaving": "tfrec.experiments",
    "Queries": "tfrec.data",
    "RankingReasons": "tfrec.explanation",
    "RankingResult": "tfrec.evaluation",
    "Scorer": "tfrec.retrieval.scorer",
    "ServerOptions": "tfrec.serving",
    "RequestLogOptions": "tfrec.serving",
    "Shares": "tfrec.explanation",
    "SimulatedLogs": "tfrec.experiments",
    "SizeReport": "tfrec.serving",
    "TextEncoder": "tfrec.encoders",
    "TopK": "tfrec.retrieval",
    "TopKResult": "tfrec.retrieval",
}

_DEPRECATED = {"evaluate_run": "tfrec.runs"}
"""Names that still work and warn when they are called; see CONTRIBUTING.md."""

__all__ = ["__version__", *_PUBLIC]


def _guard_keras() -> None:
    """Chooses Keras 2 while that is still possible, and says what to do when it is not."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if "tensorflow" in sys.modules and not legacy:
        from tfrec.errors import InvalidInput

        raise InvalidInput(
            "tfrec needs Keras 2 (tf_keras), but TensorFlow was imported before tfrec and uses Keras 3. "
            "Import tfrec before tensorflow, or set the environment variable TF_USE_LEGACY_KERAS=1."
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


_guard_keras()


def __getattr__(name: str) -> Any:
    if room := _PUBLIC.get(name) or _DEPRECATED.get(name):
        return getattr(importlib.import_module(room), name)
    raise AttributeError(f"module 'tfrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
