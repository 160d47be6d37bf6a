"""The sizes and parts of each model family."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


class ModelConfig(Section):
    """The model. Fields that only one kind uses say so."""

    kind: Literal["next-item", "behaviour-text", "click-ranker"] = "next-item"
    head: Literal["sigmoid", "softmax"] = Field("softmax", description="behaviour-text: which head.")
    dim: int = Field(256, ge=2, description="next-item: width; cut to the width of the text vectors.")
    layers: int = Field(1, ge=0, description="next-item: transformer layers.")
    heads: int = Field(4, ge=1, description="next-item: attention heads.")
    max_history: int = Field(50, ge=1, description="next-item: most recent events the transformer reads.")
    memory_history: int | None = Field(
        None, ge=1, description="next-item: as many for repeats, and for the memory up to 200; None: by data."
    )
    dropout: float = Field(0.3, ge=0, lt=1)
    temperature: float = Field(0.1, gt=0, description="next-item: start of the learned softmax temperature.")
    use_text: bool = Field(True, description="next-item: text path of the item vector.")
    use_id: bool = Field(True, description="next-item: id path of the item vector.")
    id_rate: float = Field(0.2, ge=0, description="next-item: speed of the ids relative to the learning rate.")
    id_dropout: float = Field(0.0, ge=0, lt=1, description="next-item: share of the ids left out of a training step.")
    item_dropout: float = Field(0.1, ge=0, lt=1, description="next-item: dropout of the item vectors in the scores.")
    repeat_bias: bool = Field(True, description="next-item: learned bias on items already in the history.")
    repeat_kinds: bool = Field(True, description="next-item: another bias by the kind of the newest event on the item.")
    neighbours: int = Field(64, ge=0, description="next-item: neighbours an item by shared histories; 0 for none.")
    text_neighbours: int = Field(32, ge=0, description="next-item: neighbours an item by text; 0 for none.")
    neighbour_window: int = Field(10, ge=1, description="next-item: events apart that count as neighbours.")
    popular: int = Field(256, ge=0, description="next-item: most popular items that may be raised; 0 for none.")
    text_history: int = Field(500, ge=1, description="behaviour-text: most recent events the text names.")
    text_tokens: int = Field(64, ge=8, description="behaviour-text: newest tokens of the text that the encoder reads.")
    mlp_units: list[int] = Field(default_factory=lambda: [256], description="behaviour-text: hidden layers of the MLP.")
    negatives: int = Field(4, ge=1, description="behaviour-text, sigmoid: sampled negatives a positive.")
    candidate: Literal["tower", "segment"] = Field(
        "tower", description="behaviour-text, sigmoid: the candidate as a text of its own, or as the second segment."
    )


class RankerConfig(Section):
    """ClickRanker; dropout, mlp_units, what is read of a history, of text and of ids are those of `model`."""

    behaviours: list[str] | None = Field(None, description="Heads, the shallow before the deep. None: all targets.")
    multi_task: Literal["esmm", "ple", "shared"] = Field("esmm", description="How the heads hang together.")
    dim: int = Field(64, ge=2, description="Width of item vectors; cut to the width of the text vectors.")
    cross_layers: int = Field(2, ge=0, description="Layers of the cross network.")
    negatives: int = Field(4, ge=0, description="Sampled negatives a positive, where no impressions are given.")
    popular_negatives: float = Field(0.0, ge=0, le=1, description="Share of them drawn by popularity; rest uniform.")
    history_negatives: int = Field(0, ge=0, description="Items of the history not acted on again, a positive.")
    horizon: int = Field(20, ge=1, description="Events ahead in which acts on an item are its labels.")
    context_dropout: float = Field(0.1, ge=0, lt=1, description="Share of examples whose context is hidden.")
    calibration: Literal["platt", "none"] = Field("platt", description="Fitted on validation, a head at a time.")
