"""Options of the models: which family, its size and its parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from tfrec.config.base import COMMON, Section
from tfrec.config.model_families import MODEL_FAMILIES


class ModelConfig(Section):
    """The model. Options that only one family uses begin with its name."""

    kind: Annotated[str, COMMON] = Field(
        "next-item",
        description="Model family; the same as `--model`: next-item, behaviour-text or click-ranker.",
    )
    head: Literal["sigmoid", "softmax"] = Field(
        "softmax",
        description="behaviour-text: sigmoid scores one candidate, softmax the whole catalogue.",
    )
    dim: int = Field(256, ge=2, description="next-item: width of item vectors, at most that of the text vectors.")
    layers: int = Field(1, ge=0, description="next-item: transformer layers; 0 uses the newest item alone.")
    block: Literal["transformer", "gated"] = Field(
        "transformer",
        description="next-item: kind of the layers. gated: gated attention with rotary positions (HSTU), for long "
        "histories.",
    )
    heads: int = Field(4, ge=1, description="next-item: attention heads.")
    max_history: int = Field(50, ge=1, description="next-item: newest events that the transformer reads.")
    memory_history: int | None = Field(
        None,
        ge=1,
        description="next-item: newest events that the repeat bias reads, and the neighbour memory up to 200 of them. "
        "null: enough for nine of ten training histories, at most 500.",
    )
    read_impressions: bool = Field(
        False,
        description="next-item, behaviour-text: whether impressions, items that were only shown, are events of a "
        "history. They would crowd out what was taken.",
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout rate. Raise it for small data.")
    temperature: float = Field(0.1, gt=0, description="next-item: start of the learned softmax temperature.")
    use_text: bool = Field(True, description="next-item, click-ranker: item vectors include the projected text vector.")
    use_id: bool = Field(
        True,
        description="next-item, click-ranker: item vectors include a learned vector of the item's own. Try "
        "false for very sparse items.",
    )
    id_rate: float = Field(
        0.2,
        ge=0,
        description="next-item, click-ranker: learning rate of the id vectors as a multiple of "
        "`training.learning_rate`.",
    )
    id_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="next-item: share of the id vectors dropped in a training step, so that text alone has to do. "
        "Raise it when cold items matter.",
    )
    item_dropout: float = Field(
        0.1, ge=0, lt=1, description="next-item: dropout rate of the item vectors that histories are scored against."
    )
    modality_weight: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="next-item: how much a picture or an `*_embedding` column counts at first beside the text, which "
        "has 1; 0 leaves it out. auto: what makes items more alike that the same people take, 0 if nothing does.",
    )
    modality_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="next-item: share of the texts, pictures and embeddings left out in a training step, so that items "
        "do without them. Only with more than one of them.",
    )
    repeat_bias: bool = Field(
        True, description="next-item: learn a bias on items already in the history (people buy again, or never do)."
    )
    repeat_kinds: bool = Field(
        True, description="next-item: learn that bias for each kind of the newest event on the item."
    )
    neighbours: int = Field(
        64,
        ge=0,
        description="next-item: neighbours an item in the neighbour memory, by shared histories; behaviour-text, "
        "softmax head: items kept of those that followed an item in training. 0 for none.",
    )
    text_neighbours: int = Field(
        32, ge=0, description="next-item: neighbours an item in the neighbour memory, by text; 0 for none."
    )
    neighbour_window: int = Field(
        10, ge=1, description="next-item: two events of a history at most this far apart count as neighbours."
    )
    popular: int = Field(
        256,
        ge=0,
        description="next-item: number of most popular items that may get a popularity bias, if validation asks for "
        "one; 0 for none.",
    )
    popularity_half_life: Annotated[float, Field(gt=0)] | Literal["auto"] | None = Field(
        "auto",
        description="next-item: days after which an event counts half in the popularity bias, in splits by time. auto: "
        "what is best on validation, or none. null: all events count alike.",
    )
    text_history: int = Field(
        500, ge=1, description="behaviour-text: newest events that are written into the behaviour text."
    )
    text_tokens: int = Field(
        64, ge=8, description="behaviour-text: newest tokens of the behaviour text that the encoder reads."
    )
    mlp_units: list[int] = Field(
        default_factory=lambda: [256],
        description="behaviour-text and click-ranker: units of the hidden layers of the MLP.",
    )
    negatives: int = Field(
        4, ge=1, description="behaviour-text, sigmoid head without impressions: sampled negatives a positive."
    )
    candidate: Literal["tower", "segment"] = Field(
        "tower",
        description="behaviour-text, sigmoid head: tower encodes the candidate by itself (cacheable); segment puts it "
        "behind the behaviour text as the second segment (slower, attends to both).",
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in MODEL_FAMILIES:
            raise PydanticCustomError("model_kind", "Expected one of {known}", {"known": ", ".join(MODEL_FAMILIES)})
        return kind


class RankerConfig(Section):
    """ClickRanker. It also takes dropout, mlp_units, use_text, use_id, id_rate and the history lengths of `model`."""

    behaviours: list[str] | None = Field(
        None, description="Behaviours to predict, one head each, the shallow before the deep. null: all targets."
    )
    multi_task: Literal["esmm", "ple", "shared"] = Field(
        "esmm",
        description="How the heads share what they learn. esmm: a deeper behaviour is conditional on the shallower; "
        "ple: shared and own experts; shared: one MLP for all.",
    )
    dim: int = Field(64, ge=2, description="Width of item vectors, at most that of the text vectors.")
    cross_layers: int = Field(2, ge=0, description="Layers of the cross network (DCN-V2).")
    negatives: int = Field(
        4, ge=0, description="Sampled negatives a positive, where the log has no impressions to learn from."
    )
    popular_negatives: float = Field(
        0.0, ge=0, le=1, description="Share of the sampled negatives drawn by popularity; the others are uniform."
    )
    history_negatives: int = Field(
        0, ge=0, description="Negatives a positive drawn from the history: items not acted on again within `horizon`."
    )
    horizon: int = Field(20, ge=1, description="Events ahead in which the user's acts on an item become its labels.")
    context_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of training examples whose context is hidden, as it may be when serving."
    )
    calibration: Literal["platt", "none"] = Field(
        "platt", description="platt: calibrate the probabilities of each head on validation."
    )
