"""The ops that an export may use: those of TensorFlow and TF Text, which TF Serving links in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tfrec.errors import InvalidInput
from tfrec.guard.unsafe_ops import REFUSED_OPS

MINIMUM_SERVER: Final = "2.20"
"""The first release of TF Serving whose TF Text has all `TEXT_OPS`."""

TEXT_OPS: Final = (
    "CaseFoldUTF8",
    "ConstrainedSequence",
    "FastBertNormalize",
    "FastWordpieceTokenizeWithOffsets",
    "FindSourceOffsets",
    "MaxSpanningTree",
    "NormalizeUTF8",
    "NormalizeUTF8WithOffsetsMap",
    "PhraseTokenize",
    "RegexSplitWithOffsets",
    "RougeL",
    "SentenceFragments",
    "SentenceFragmentsV2",
    "SentencepieceDetokenizeOp",
    "SentencepieceIdToStringOp",
    "SentencepieceOp",
    "SentencepieceStringToIdOp",
    "SentencepieceTokenizeOp",
    "SentencepieceTokenizeWithOffsetsOp",
    "SentencepieceVocabSizeOp",
    "SplitMergeTokenizeWithOffsets",
    "TFText>BoiseTagsToOffsets",
    "TFText>ByteSplitByOffsets",
    "TFText>ByteSplitWithOffsets",
    "TFText>FastSentencepieceDetokenize",
    "TFText>FastSentencepieceTokenize",
    "TFText>FastWordpieceDetokenize",
    "TFText>NgramsStringJoin",
    "TFText>OffsetsToBoiseTags",
    "TFText>PhraseDetokenize",
    "TFText>RoundRobinGenerateMasks",
    "TFText>RoundRobinTrim",
    "TFText>Utf8Binarize",
    "TFText>WhitespaceTokenizeWithOffsetsV2",
    "TokenizerFromLogits",
    "UnicodeScriptTokenizeWithOffsets",
    "WhitespaceTokenizeWithOffsets",
    "WordpieceTokenizeWithOffsets",
)


def used_ops(folder: str | Path) -> list[str]:
    """The names of all ops in the SavedModel's graphs and functions, sorted.

    Args:
        folder: Folder with `saved_model.pb`.

    Raises:
        InvalidInput: the file is missing or no SavedModel.
    """
    meta_graphs = read_saved_model(folder).meta_graphs
    names: set[str] = set()
    for meta in meta_graphs:
        names.update(node.op for node in meta.graph_def.node)
        for function in meta.graph_def.library.function:
            names.update(node.op for node in function.node_def)
    return sorted(names)


def read_saved_model(folder: str | Path) -> Any:
    """Parses `saved_model.pb`; raises `InvalidInput` if it is missing or broken."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = Path(folder) / "saved_model.pb"
    try:
        saved_model = SavedModel.FromString(path.read_bytes())
    except OSError as error:
        raise InvalidInput(
            f"Expected a version folder with a saved_model.pb, e.g. saved_models/NAME/1; "
            f"cannot read {path}: {error.strerror}."
        ) from None
    except DecodeError as error:
        raise InvalidInput(f"{path} is not a SavedModel: {error}. Export it again.") from None
    if not saved_model.meta_graphs:
        raise InvalidInput(f"{path} is not a SavedModel: it has no graph. Export it again.")
    return saved_model


def refuse_unservable(ops: Iterable[str]) -> None:
    """Raises `InvalidInput` if an op is refused or unknown to a plain TF Serving; the message names all such ops.

    Example:
        >>> refuse_unservable(["MatMul", "CaseFoldUTF8"])
    """
    import tensorflow as tf

    refused = sorted(
        op
        for op in set(ops)
        if op in REFUSED_OPS or not (op in TEXT_OPS or op.startswith("_") or hasattr(tf.raw_ops, op))
    )
    if refused:
        raise InvalidInput(
            f"Expected only ops of TensorFlow and TF Text (TF Serving {MINIMUM_SERVER} links no others); "
            f"the model uses {', '.join(refused)}. Replace them with plain TensorFlow, then export again."
        )
