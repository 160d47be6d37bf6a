"""How a model is fitted: epochs, rates, losses, augmentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


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
