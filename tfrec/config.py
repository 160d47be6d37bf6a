"""RunConfig: every knob of a run, one section a room. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfrec.errors import InvalidInput


class Section(BaseModel):
    """A section of the configuration: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """How a log and a catalogue become a PreparedDataset."""

    columns: dict[str, str] = Field(default_factory=dict, description="Our column name to yours, e.g. user_id: userId.")
    default_event: str = Field("interaction", description="Event kind of a log without an event column.")
    timestamp_unit: Literal["auto", "order", "s", "ms", "us"] = "auto"
    strict: bool = Field(False, description="Fail on invalid rows instead of dropping and counting them.")
    targets: list[str] | None = Field(None, description="Target kinds. None: all but return and tag.")
    text_template: str | None = Field(None, description="E.g. '{title} by {author}'. None: all string columns.")
    normalise_text: bool = Field(True, description="Strip HTML, unescape entities, fold whitespace, Unicode NFC.")
    near_duplicate_seconds: float | None = Field(None, ge=0, description="Same user, item, event within it: dropped.")
    max_events_per_minute: float | None = Field(None, gt=0, description="Users above it are dropped as not human.")
    min_user_events: int = Field(1, ge=1, description="k-core over users.")
    min_item_events: int = Field(1, ge=1, description="k-core over items.")
    normalise_ratings: bool = Field(False, description="Value of rating events minus the user's mean.")
    held_out_items: float = Field(0.0, ge=0, lt=1, description="Share of the items kept out of training: a cold slice.")
    valid_quantile: float = Field(0.8, gt=0, lt=1)
    test_quantile: float = Field(0.9, gt=0, lt=1)


class EncoderConfig(Section):
    """Which encoder reads the text, and how."""

    name: str = Field("minilm-l6", description="Preset, folder, or any handle that hub.KerasLayer takes.")
    trainable: bool = Field(False, description="Whether it is trained with the model, after a fit with it frozen.")
    lora_rank: int = Field(0, ge=0, description="next-item, trainable: train adapters of this rank; 0 for all weights.")
    seq_length: int = Field(64, ge=4, description="Tokens an item text is cut to.")
    batch_size: int = Field(64, ge=1)
    precision: Literal["float32", "bfloat16", "int8"] = Field("float32", description="In which texts are encoded.")
    storage: Literal["float32", "float16", "int8"] = Field("float32", description="In which their vectors are kept.")


class ModelConfig(Section):
    """The model. Fields that only one kind uses say so."""

    kind: Literal["next-item", "behaviour-text", "click-ranker"] = "next-item"
    head: Literal["sigmoid", "softmax"] = Field("softmax", description="behaviour-text: which head.")
    dim: int = Field(256, ge=2, description="next-item: width; cut to the width of the text vectors.")
    layers: int = Field(1, ge=0, description="next-item: transformer layers.")
    heads: int = Field(4, ge=1, description="next-item: attention heads.")
    max_history: int = Field(50, ge=1, description="next-item: most recent events the transformer reads.")
    memory_history: int | None = Field(
        None, ge=1, description="next-item: as many for memory and repeats; None: by data."
    )
    dropout: float = Field(0.3, ge=0, lt=1)
    temperature: float = Field(0.1, gt=0, description="next-item: start of the learned softmax temperature.")
    use_text: bool = Field(True, description="next-item: text path of the item vector.")
    use_id: bool = Field(True, description="next-item: id path of the item vector.")
    id_rate: float = Field(0.2, ge=0, description="next-item: speed of the ids relative to the learning rate.")
    id_dropout: float = Field(0.0, ge=0, lt=1, description="next-item: share of the ids left out of a training step.")
    item_dropout: float = Field(0.1, ge=0, lt=1, description="next-item: dropout of the item vectors in the scores.")
    repeat_bias: bool = Field(True, description="next-item: learned bias on items already in the history.")
    neighbours: int = Field(32, ge=0, description="next-item: neighbours an item by shared histories; 0 for none.")
    text_neighbours: int = Field(32, ge=0, description="next-item: neighbours an item by text; 0 for none.")
    neighbour_window: int = Field(10, ge=1, description="next-item: events apart that count as neighbours.")
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


class TrainingConfig(Section):
    """How the model is fitted."""

    epochs: int = Field(18, ge=1)
    batch_size: int | None = Field(None, ge=1, description="None: 256, or less where an epoch has few steps.")
    learning_rate: float = Field(2e-3, gt=0)
    loss: Literal["softmax", "gbce", "bpr"] = Field("softmax", description="next-item.")
    negatives: Literal["all", "uniform", "popularity", "in-batch", "mixed"] = Field(
        "all", description="next-item: what the target is told from: the whole catalogue, or what is drawn a step."
    )
    sample: int = Field(4096, ge=1, description="next-item: negatives drawn a step; none where all or in-batch.")
    encoder_learning_rate: float = Field(5e-5, gt=0, description="For the encoder's weights when it is trainable.")
    encoder_epochs: int = Field(3, ge=1, description="Epochs with the encoder, after those with it frozen.")
    encoder_layer_decay: float = Field(0.9, gt=0, le=1, description="next-item: its rate, a layer down.")
    encoder_unfreeze: float = Field(
        0.0, ge=0, le=1, description="Share of the steps until its lowest layer is trained."
    )
    encoder_memory: float = Field(1.0, ge=0, description="GiB of its activations kept; the rest is computed again.")
    encoder_negatives: Literal["in-batch", "uniform", "popularity", "mixed"] = "in-batch"
    encoder_sample: int = Field(256, ge=1, description="Negatives drawn a step; none where they are in-batch.")
    start_from: str | None = Field(None, description="next-item: a run whose weights are the first ones.")
    encoder_examples: int | None = Field(1000, ge=1, description="behaviour-text: texts an epoch with the encoder.")
    weight_decay: float = Field(0.0, ge=0)
    behaviour_weights: dict[str, float] = Field(
        default_factory=dict, description="Weight of each behaviour in the loss of next-item and click-ranker; else 1."
    )
    ema: float = Field(0.0, ge=0, lt=1, description="next-item: averages the weights with this momentum; 0 for not.")
    balance: bool = Field(True, description="next-item: chooses on validation how much each part of the score counts.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps spent warming up.")
    patience: int = Field(4, ge=1, description="Epochs without a better validation before stopping.")
    monitor: Literal["auto", "ndcg@10", "auc", "loss"] = "auto"
    validate_from: float = Field(0.1, ge=0, le=1, description="Share of the epochs before the first validation.")
    max_examples: int | None = Field(8000, ge=1, description="behaviour-text: seeded cap on the texts; null for none.")
    time_budget: float | None = Field(None, gt=0, description="Minutes; the best weights so far are kept.")
    mixed_bfloat16: bool = False
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    seed: int = 0

    def batch_size_for(self, examples: int) -> int:
        """`batch_size`, or by default 256, but no more than gives 32 steps an epoch, and no less than 16.

        Example:
            >>> [TrainingConfig().batch_size_for(examples) for examples in (100, 2000, 10**6)]
            [16, 62, 256]
        """
        return self.batch_size or min(256, max(16, examples // 32))


class PretrainingConfig(Section):
    """How an encoder is pre-trained on text without labels (`tfrec encoder pretrain`)."""

    family: Literal["bert", "gpt"] = Field("bert", description="bert learns hidden words, gpt the next token.")
    size: Literal["tiny", "mini", "small", "medium", "base"] = Field("mini", description="From scratch only.")
    vocab_size: int = Field(8000, ge=8, description="Word pieces to learn; from scratch only.")
    lower_case: bool = Field(True, description="From scratch only.")
    seq_length: int = Field(128, ge=8, description="Tokens a text is cut to.")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="bert: share of the words that are hidden.")
    steps: int = Field(2000, ge=1)
    batch_size: int = Field(32, ge=1, description="Texts read at a time.")
    accumulate: int = Field(1, ge=1, description="Batches a step; their gradients are added.")
    learning_rate: float = Field(5e-4, gt=0)
    warmup: float = Field(0.06, ge=0, lt=1, description="Share of the steps spent warming up; then linearly to 0.")
    weight_decay: float = Field(0.01, ge=0)
    held_out: float = Field(0.02, gt=0, lt=0.5, description="Share of the texts that measure, and are not learnt from.")
    max_held_out: int = Field(1000, ge=1, description="Most held-out texts that are read.")
    checkpoint_every: int = Field(200, ge=1, description="Steps between two checkpoints.")
    mixed_bfloat16: bool = False
    seed: int = 0


class AdaptationConfig(Section):
    """How an encoder learns from what people take together (`tfrec encoder adapt`)."""

    steps: int = Field(100, ge=1)
    batch_size: int = Field(256, ge=2, description="Pairs a step; each is a negative for the others.")
    window: int = Field(1, ge=1, description="Events of one history that far apart are a pair.")
    temperature: float = Field(0.05, gt=0)
    learning_rate: float = Field(3e-5, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps spent warming up.")
    weight_decay: float = Field(0.0, ge=0)
    seq_length: int = Field(64, ge=4, description="Tokens a text is cut to.")
    held_out: float = Field(0.05, gt=0, le=0.5, description="Share of the people whose pairs measure.")
    memory: float = Field(1.0, ge=0, description="GiB of activations kept; the rest is computed again.")
    mixed_bfloat16: bool = False
    seed: int = 0


class EvaluationConfig(Section):
    """What is measured. Ranking is always over the full catalogue."""

    exclude_seen: bool = Field(False, description="Mask items of the history before ranking.")
    ks: list[int] = Field(default_factory=lambda: [10, 50])
    bootstrap: int = Field(1000, ge=0, description="Resamples for the confidence intervals; 0 for none.")
    negatives: int = Field(4, ge=1, description="Sigmoid head without impressions: negatives a positive.")
    batch_size: int = Field(512, ge=1)
    user_groups: list[str] = Field(default_factory=list, description="Columns of the users file to slice by.")
    item_groups: list[str] = Field(default_factory=list, description="Columns of the items file to slice by.")
    categories: str | None = Field(None, description="Item column whose labels (a|b) calibration compares.")


class RetrievalConfig(Section):
    """How lists are made for people."""

    exclude_seen: Literal["auto", "true", "false"] = "auto"
    candidates: int = Field(100, ge=1, description="Items that the first stage hands to the second.")
    behaviour_weights: dict[str, float] = Field(
        default_factory=dict, description="Weights of the second stage's heads; those left out have 1 when none is set."
    )
    first_stage: float = Field(2.0, ge=0, description="Weight of the first stage's score, standardised a user.")
    chunk_size: int = Field(65536, ge=1)


class ExportConfig(Section):
    """Fixed sizes of the served signatures."""

    max_k: int = Field(100, ge=1)
    history_length: int | None = Field(None, ge=1, description="None: as many events as the model reads.")
    exclude_length: int = Field(100, ge=1)
    candidates_length: int = Field(100, ge=1)
    allow_length: int = Field(16, ge=1)
    diversity: float = Field(0.0, ge=0, le=1, description="Strength of maximal marginal relevance; 0 for none.")
    filter_attribute: str | None = Field(None, description="Item column that recommend_filtered filters by.")
    index: Literal["exact", "int8", "ivf"] = Field("exact", description="How the best items are found.")
    index_lists: int | None = Field(None, ge=1, description="ivf: lists of items; None for about 2 √items.")
    index_probes: int | None = Field(None, ge=1, description="ivf: lists read. None: as few as reach index_recall.")
    index_recall: float = Field(0.98, ge=0, le=1, description="Least recall@10 against exact; below it, no export.")


RankingMetric = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map)@[1-9]\d*$")]
Guardrail = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit_rate|precision|map|coverage)@[1-9]\d*$")]


class RetrainConfig(Section):
    """When the nightly job refuses its data, when it promotes, and what it keeps."""

    metric: RankingMetric = Field("ndcg@10", description="Must not fall, and is a guardrail too.")
    guardrails: list[Guardrail] = Field(default_factory=lambda: ["recall@10", "coverage@10"])
    tolerance: float = Field(
        0.1, ge=0, lt=1, description="Share of the champion's value that intervals may reach below."
    )
    beat_popularity: bool = Field(True, description="Whether the first version has to pass the gate beside popularity.")
    min_users: int = Field(30, ge=1, description="Fewer in the newest window: nothing is promoted.")
    max_shrink: float = Field(0.2, ge=0, le=1, description="Share of the last catalogue, or log, that may be gone.")
    max_unknown: float = Field(0.2, ge=0, le=1, description="Share of new events on items of no catalogue.")
    max_psi: float = Field(0.5, ge=0, description="Shift of behaviours and values beyond chance.")
    keep: int = Field(5, ge=2, description="Versions kept for a rollback, the served one included.")
    check: bool = Field(True, description="Whether the export is loaded as a server would before it is labelled.")


class RunConfig(Section):
    """Every knob of a run.

    Example:
        >>> RunConfig().with_values(["training.epochs=3"]).training.epochs
        3
    """

    data: DataConfig = Field(default_factory=DataConfig)
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    ranker: RankerConfig = Field(default_factory=RankerConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    pretraining: PretrainingConfig = Field(default_factory=PretrainingConfig)
    adaptation: AdaptationConfig = Field(default_factory=AdaptationConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    retrain: RetrainConfig = Field(default_factory=RetrainConfig)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """Validates nested values; raises `InvalidInput` naming each wrong key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (received {e['input']!r})" for e in error.errors()]
            raise InvalidInput("The configuration is not valid:\n  " + "\n  ".join(lines)) from None

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Reads a YAML file; raises `InvalidInput` when it is missing, not YAML, or not a mapping."""
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"Cannot read the configuration {path}: {error.strerror}.") from None
        except yaml.YAMLError as error:
            raise InvalidInput(f"{path} is not valid YAML: {error}") from None
        if not isinstance(values or {}, dict):
            raise InvalidInput(f"{path} must hold a mapping of sections, received a {type(values).__name__}.")
        return cls.from_dict(values or {})

    def with_values(self, assignments: Iterable[str]) -> RunConfig:
        """A copy with `section.key=value` strings applied, the values read as YAML."""
        values = self.model_dump()
        for assignment in assignments:
            path, sign, text = assignment.partition("=")
            keys = path.strip().split(".")
            if not sign or len(keys) < 2:
                raise InvalidInput(f"Expected section.key=value, received {assignment!r}.")
            node = values
            for key in keys[:-1]:
                child = node.setdefault(key, {})
                if not isinstance(child, dict):
                    raise InvalidInput(f"{assignment!r}: {key!r} is a value, not a section.")
                node = child
            node[keys[-1]] = _scalar(text, node.get(keys[-1]))
        return self.from_dict(values)

    def save(self, path: str | Path) -> None:
        """Writes the complete configuration as YAML."""
        Path(path).write_text(yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _scalar(text: str, current: Any) -> Any:
    """Reads a value as YAML; `true` stays a string where the knob is one (retrieval.exclude_seen)."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{text!r} is not a valid value: {error}") from None
    if isinstance(value, str):  # YAML reads 1e-3 as a string; people do not.
        try:
            return float(value)
        except ValueError:
            return value
    return text.strip().lower() if isinstance(current, str) and isinstance(value, bool) else value
