"""Sections of what is learnt: models and their fit."""

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


class AugmentationConfig(Section):
    """next-item: how training sequences are changed, anew in every epoch; 0 is off. Only what is read changes."""

    crop: float = Field(0.0, ge=0, le=1, description="Chance that a sequence is cut to a part, half of it or more.")
    drop: float = Field(0.0, ge=0, lt=1, description="Chance that an event is left out of what is read.")
    mask: float = Field(0.0, ge=0, lt=1, description="Chance that the item of an event is hidden.")
    substitute: float = Field(0.0, ge=0, lt=1, description="Chance that an item is replaced by a neighbour of it.")
    reorder: float = Field(0.0, ge=0, le=1, description="Chance that the events of a sequence's sittings are shuffled.")
    sitting: float = Field(30.0, gt=0, description="Minutes between two events of one sitting, at most.")
    words: float = Field(0.0, ge=0, lt=1, description="Share of the words that a shortened text lacks.")
    shortened: int = Field(2, ge=1, description="Shortened texts an item, with a frozen encoder.")


class TrainingConfig(Section):
    """How the model is fitted."""

    epochs: int = Field(18, ge=1)
    batch_size: int | None = Field(None, ge=1, description="None: 256, or less where an epoch has few steps.")
    learning_rate: float = Field(2e-3, gt=0)
    loss: Literal["softmax", "gbce", "bpr"] = Field("softmax", description="next-item.")
    negatives: Literal["auto", "all", "uniform", "popularity", "in-batch", "mixed"] = Field(
        "auto",
        description="next-item: what the target is told from: the whole catalogue, or what is drawn a step. auto: all, "
        "or mixed where an epoch would score more than two billion times.",
    )
    sample: int = Field(4096, ge=1, description="next-item: negatives drawn a step; none where all or in-batch.")
    encoder_learning_rate: float = Field(5e-5, gt=0, description="For the encoder's weights when it is trainable.")
    encoder_epochs: int = Field(3, ge=1, description="Epochs with the encoder, after those with it frozen.")
    encoder_batch_size: int | None = Field(
        None, ge=1, description="next-item: sequences a step with the encoder. None: 2048, or less for few sequences."
    )
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
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    contrastive: float = Field(
        0.0, ge=0, description="next-item: weight of a loss that tells two changed views of a sequence from others'."
    )
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

    def negatives_for(self, targets: int, items: int) -> str:
        """`negatives`, or what "auto" stands for: "all" while an epoch scores no more than two billion items, which is
        about a minute on two cores; else, and for losses that need drawn ones, "mixed".

        Example:
            >>> [TrainingConfig().negatives_for(targets, 10_000) for targets in (200_000, 200_001)]
            ['all', 'mixed']
        """
        if self.negatives != "auto":
            return self.negatives
        return "all" if self.loss == "softmax" and targets * items <= 2_000_000_000 else "mixed"

    def encoder_batch_size_for(self, sequences: int) -> int:
        """`encoder_batch_size`, or by default 2048, but no more than a quarter of the sequences, and no less than 16.

        A step with the encoder costs by the distinct items it reads, which grow slower than the sequences: large ones
        cost less a target, and have more negatives.

        Example:
            >>> [TrainingConfig().encoder_batch_size_for(sequences) for sequences in (20, 4000, 10**6)]
            [16, 1000, 2048]
        """
        return self.encoder_batch_size or min(2048, max(16, sequences // 4))


class TrackingConfig(Section):
    """What is kept of a fit for people to look at, beside `history.csv` and TensorBoard's scalars."""

    projector: int = Field(
        10_000, ge=0, description="Items, the most frequent, in TensorBoard's embedding projector; 0 for none."
    )
    mlflow: bool = Field(False, description="Whether the finished run is recorded in MLflow (extra mlflow).")
    mlflow_uri: str | None = Field(
        None, description="Its store. None: MLFLOW_TRACKING_URI, else mlflow.db in the current folder."
    )
    mlflow_experiment: str = Field("tfrec", min_length=1, description="The experiment that the run is put under.")
