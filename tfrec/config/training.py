"""Options of `tfrec train`: epochs, learning rates, losses, negatives, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import COMMON, Section


class AugmentationConfig(Section):
    """next-item: random changes of the training sequences, drawn anew in every epoch. All are off (0) by default.

    Only what the model reads is changed; what it learns to predict stays what users did.
    """

    crop: float = Field(
        0.0, ge=0, le=1, description="Probability that a sequence is cut to a contiguous part, at least half of it."
    )
    drop: float = Field(0.0, ge=0, lt=1, description="Probability that an event is left out of what is read.")
    mask: float = Field(0.0, ge=0, lt=1, description="Probability that the item of an event is hidden.")
    substitute: float = Field(0.0, ge=0, lt=1, description="Probability that an item is read as one of its neighbours.")
    reorder: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a sequence has the events of each session shuffled. Needs a clock.",
    )
    sitting: float = Field(
        30.0, gt=0, description="Session gap in minutes, for `reorder`: longer gaps begin a new session."
    )
    words: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of its words that a shortened text lacks; half of the items of a step are read from one. 0: "
        "texts are read whole.",
    )
    shortened: int = Field(2, ge=1, description="Shortened texts an item, with a frozen encoder and `words`.")


class TrainingConfig(Section):
    """How the model is fitted. Options that only one family uses begin with its name."""

    epochs: Annotated[int, COMMON] = Field(
        18, ge=1, description="Most epochs; `patience` and `time_budget` may stop earlier."
    )
    batch_size: Annotated[int | None, COMMON] = Field(
        None, ge=1, description="Sequences or examples a step. null: 256, less for small data (32 steps an epoch)."
    )
    learning_rate: Annotated[float, COMMON] = Field(
        2e-3, gt=0, description="Highest learning rate, reached after `warmup`; then it falls along a cosine to 0."
    )
    loss: Literal["softmax", "gbce", "bpr"] = Field(
        "softmax", description="next-item: the loss. gbce and bpr need sampled `negatives`."
    )
    negatives: Literal["auto", "all", "uniform", "popularity", "in-batch", "mixed"] = Field(
        "auto",
        description="next-item: items that a target is compared with. all: the whole catalogue. The others are sampled "
        "in each step; mixed joins uniform and in-batch. auto: all, or mixed where an epoch would compute more than "
        "two billion scores and a step of mixed scores less than half of the catalogue.",
    )
    sample: int = Field(4096, ge=1, description="next-item: negatives sampled a step. Unused with all and in-batch.")
    encoder_learning_rate: float = Field(
        5e-5, gt=0, description="Highest learning rate of a trainable encoder (of its top layer)."
    )
    encoder_epochs: int = Field(
        3, ge=1, description="Epochs with a trainable encoder, after the epochs with it frozen."
    )
    encoder_batch_size: int | None = Field(
        None,
        ge=1,
        description="next-item: sequences a step while the encoder is trained. null: 2048, at most a quarter of all.",
    )
    encoder_layer_decay: float = Field(
        0.9,
        gt=0,
        le=1,
        description="next-item: learning rate of an encoder layer as a multiple of that of the layer above.",
    )
    encoder_unfreeze: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the steps over which the encoder is unfrozen, from the top layer down; 0: all at once.",
    )
    encoder_memory: float = Field(
        1.0,
        ge=0,
        description="GiB of the encoder's activations kept for the backward pass; the others are computed again. Lower "
        "it when memory runs out.",
    )
    encoder_negatives: Literal["in-batch", "uniform", "popularity", "mixed"] = Field(
        "in-batch", description="next-item: like `negatives`, while the encoder is trained."
    )
    encoder_sample: int = Field(
        256, ge=1, description="next-item: negatives sampled a step while the encoder is trained. Unused with in-batch."
    )
    start_from: str | None = Field(
        None,
        description="next-item: run folder whose weights training starts from (a warm start). One of other catalogues "
        "is compared with a fresh start.",
    )
    teachers: list[str] = Field(
        [],
        description="next-item: run folders of the same catalogue, such as those of several seeds, whose mean "
        "probabilities the model also learns.",
    )
    teachers_weight: float = Field(
        0.5, ge=0, le=1, description="next-item: share of the loss that the teachers have; the labels have the rest."
    )
    domain_temperature: float = Field(
        2.0,
        ge=1,
        description="next-item, several `--data`: 1 draws each dataset in proportion to its sequences; a higher "
        "temperature draws small ones more often.",
    )
    encoder_examples: int | None = Field(
        1000, ge=1, description="behaviour-text: texts an epoch while the encoder is trained. null: all."
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay (AdamW).")
    behaviour_weights: dict[str, float] = Field(
        default_factory=dict,
        description="next-item and click-ranker: weight of each behaviour in the loss, e.g. {purchase: 3}; 1 for those "
        "not named.",
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="next-item: momentum of an exponential moving average of the weights; 0: none."
    )
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    contrastive: float = Field(
        0.0,
        ge=0,
        description="next-item: weight of a contrastive loss between two augmented views of a sequence; 0: none.",
    )
    balance: bool = Field(
        True,
        description="next-item: after training, choose the score weights (how much network, memory and biases count) "
        "on validation.",
    )
    memory_in_loss: bool = Field(
        True,
        description="next-item: whether the neighbour memory takes part in the loss. false: the network learns alone, "
        "a step of long histories takes little more than half the time, and validation alone weighs the memory.",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    patience: int = Field(4, ge=1, description="Validations without an improvement before training stops early.")
    monitor: Literal["auto", "ndcg@10", "auc", "loss"] = Field(
        "auto",
        description="Validation metric by which the best weights are kept. auto: ndcg@10 for models that rank the "
        "catalogue, auc for those that score one candidate.",
    )
    validate_from: float = Field(
        0.1, ge=0, le=1, description="next-item: share of the epochs that pass before the first validation."
    )
    max_examples: int | None = Field(
        8000, ge=1, description="behaviour-text: most training texts, a seeded sample of all. null: all."
    )
    time_budget: Annotated[float | None, COMMON] = Field(
        None,
        gt=0,
        description="Minutes after which training stops, within an epoch too, with the best weights so far. "
        "null: no limit.",
    )
    mixed_bfloat16: bool = Field(
        False, description="Compute in bfloat16. Faster on hardware with instructions for it, slower elsewhere."
    )
    jit_compile: bool = Field(
        False,
        description="next-item: compile the training step with XLA, over batches padded to at most eight lengths. For "
        "accelerators; slower on a processor.",
    )
    strategy: Literal["none", "mirrored", "multi_worker"] = Field(
        "none",
        description="tf.distribute strategy. mirrored: all GPUs of this machine. multi_worker: the machines of "
        "TF_CONFIG.",
    )
    seed: int = Field(0, description="Seed of everything random in training. Same seed, same data: same run.")

    def batch_size_for(self, examples: int) -> int:
        """`batch_size` if set; else 256, reduced to give an epoch 32 steps, but at least 16.

        Example:
            >>> [TrainingConfig().batch_size_for(examples) for examples in (100, 2000, 10**6)]
            [16, 62, 256]
        """
        return self.batch_size or min(256, max(16, examples // 32))

    def negatives_for(self, targets: int, items: int, candidates: float = 0.0) -> str:
        """`negatives`, with "auto" resolved: "all" if an epoch then computes at most two billion scores, else "mixed".

        Two billion scores take about a minute on two cores. A catalogue of no more items than would be sampled is
        cheaper scored as a whole, so it always is; so is one of which a step would score half anyway, as the whole has
        no sampling error and needs no lookups. Losses other than softmax need sampled negatives, so for them "auto" is
        always "mixed".

        Args:
            targets: Targets of an epoch.
            items: Items of the catalogue.
            candidates: Distinct items that a step of "mixed" would score (`expected_candidates`).

        Example:
            >>> [TrainingConfig().negatives_for(targets, 10_000) for targets in (200_000, 200_001)]
            ['all', 'mixed']
            >>> TrainingConfig(sample=4096).negatives_for(10**9, items=4096)
            'all'
            >>> [TrainingConfig().negatives_for(10**9, 10_000, candidates) for candidates in (4999, 5000)]
            ['mixed', 'all']
        """
        if self.negatives != "auto":
            return self.negatives
        whole = targets * items <= 2_000_000_000 or items <= self.sample or 2 * candidates >= items
        return "all" if self.loss == "softmax" and whole else "mixed"

    def encoder_batch_size_for(self, sequences: int) -> int:
        """`encoder_batch_size` if set; else 2048, reduced to a quarter of the sequences, but at least 16.

        The cost of a step with the encoder grows with the distinct items in it, and those grow more slowly than the
        sequences. Larger batches therefore cost less for each target, and they hold more in-batch negatives.

        Example:
            >>> [TrainingConfig().encoder_batch_size_for(sequences) for sequences in (20, 4000, 10**6)]
            [16, 1000, 2048]
        """
        return self.encoder_batch_size or min(2048, max(16, sequences // 4))
