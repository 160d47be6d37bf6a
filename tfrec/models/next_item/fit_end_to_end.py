"""Trains a NextItemModel, then its encoder with it; the run gets its own fine-tuned encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.encoders import TextEncoder
from tfrec.encoders.checkpoints.save_fine_tuned import save_tuned, trainable_model
from tfrec.encoders.load import load_configured
from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.encoders.transformers.lora import add_lora, merge_lora
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.family import TrainedRun
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.end_to_end_trainer import EndToEndTrainer
from tfrec.models.next_item.fit import fit_frozen
from tfrec.models.next_item.input_pipeline import batches, build_augmentation
from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.choice import balance
from tfrec.models.next_item.validation import validation
from tfrec.models.next_item.windows import Windows
from tfrec.progress import say
from tfrec.training.fit_loop import FitLoop, Stage
from tfrec.training.fit_result import FitResult
from tfrec.training.layerwise_adamw import LayerwiseOptimizer
from tfrec.training.run_layout import ENCODER_FOLDER, TEXT_VECTORS_FILE, UNTUNED_VECTORS_FILE
from tfrec.training.schedules import warm_cosine
from tfrec.training.target_kinds import label_shares


def fit_end_to_end(
    dataset: PreparedDataset,
    encoder: TextEncoder | None,
    text_vectors: np.ndarray | None,
    config: RunConfig,
    *,
    workdir: Path,
    resume: bool = False,
    earlier: TrainedRun | None = None,
) -> FitResult:
    """Trains with a frozen encoder for `training.epochs`, then recommender and encoder for `training.encoder_epochs`.

    The first stage is cheap, and spares the encoder the large gradients of an untrained recommender; with
    `training.start_from` an earlier run takes its place. In the second stage the encoder has the learning rate
    `training.encoder_learning_rate`, and the recommender at most ten times as much. The catalogue is encoded again
    before each validation. The weights with the best validation metric are kept. The weights before the second stage
    are compared too, so a run is not worse on validation than without it.

    Args:
        dataset: Training sequences and validation queries.
        encoder: The text encoder; its layers must be known, so that they can be trained.
        text_vectors: float32 `[num_items, text_dim]`, computed by this encoder.
        config: Sections `encoder`, `model` and `training`.
        workdir: Folder for checkpoints, weights, history and the fine-tuned encoder.
        resume: bool. Whether to continue from the checkpoints in `workdir`.
        earlier: The run of `training.start_from`, which replaces the first stage.

    Returns:
        The model, its history and metrics, and the fine-tuned encoder, which is also saved in `workdir`.

    Raises:
        InvalidInput: There is no encoder to train, or an option cannot be combined with training it.
        TfrecError: The loss or a gradient is not finite; the checkpoint of the last epoch is kept.
    """
    if encoder is None or text_vectors is None:
        raise InvalidInput("encoder.trainable=true needs a model that reads text. Set model.use_text=true.")
    _check_options(config)
    loop = FitLoop(workdir, resume=resume, time_budget=config.training.time_budget)
    microbatched_encoder = build_microbatched_encoder(dataset, encoder, config)
    if earlier is not None:
        recommender = build_next_item_model(dataset, text_vectors, config, earlier)
    else:
        recommender = fit_frozen(dataset, text_vectors, config, loop).model
    result = EndToEndFit(dataset, microbatched_encoder, recommender, config).run(loop)

    folder = workdir / ENCODER_FOLDER
    merged = merge_lora(microbatched_encoder.model, microbatched_encoder.config)
    source = f"{Path(config.encoder.name).name}, tuned"
    save_tuned(folder, encoder, merged, source=source, force=True)  # over that of an interrupted attempt of this run
    tuned = load_configured(config.encoder, folder)
    vectors = tuned.encode(dataset.texts, seq_length=config.encoder.seq_length, batch_size=config.encoder.batch_size)
    np.save(workdir / UNTUNED_VECTORS_FILE, text_vectors)
    np.save(workdir / TEXT_VECTORS_FILE, vectors)
    result.model.items.text.assign(vectors)
    balance(result, dataset, config)
    result.encoder = tuned
    return result


def _check_options(config: RunConfig) -> None:
    """Raises `InvalidInput` for options that do not work with a trainable encoder."""
    options = config.training
    for name, value, wanted in (("ema", options.ema, 0.0), ("strategy", options.strategy, "none")):
        if value != wanted:
            raise InvalidInput(
                f"encoder.trainable=true does not work with training.{name}={value}. Set it to {wanted}."
            )


def build_microbatched_encoder(
    dataset: PreparedDataset, encoder: TextEncoder, config: RunConfig
) -> MicrobatchedEncoder:
    """The trainable encoder with the texts of the catalogue.

    Args:
        dataset: Its item texts.
        encoder: The encoder to start from.
        config: Sections `encoder` (sequence length, LoRA) and `training` (seed, precision, memory).
    """
    options = config.training
    keras.utils.set_random_seed(options.seed)
    model, shape = trainable_model(encoder, "mixed_bfloat16" if options.mixed_bfloat16 else "float32")
    if config.encoder.lora_rank:
        add_lora(model, shape, config.encoder.lora_rank, seed=options.seed)
    tokens = TokenTable(encoder, dataset.texts, config.encoder.seq_length)
    return MicrobatchedEncoder(model, shape, tokens, memory=int(options.encoder_memory * 2**30))


class EndToEndFit:
    """The second stage, in which recommender and encoder are trained together.

    Args:
        dataset: Training sequences and validation queries.
        microbatched_encoder: The trainable encoder with the texts of the catalogue.
        recommender: The model, usually trained with the frozen encoder.
        config: Sections `model` and `training`.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        microbatched_encoder: MicrobatchedEncoder,
        recommender: NextItemModel,
        config: RunConfig,
    ) -> None:
        self.config, self.recommender = config, recommender
        options = config.training
        shares = label_shares(dataset, config.training.behaviour_weights)
        self.windows = Windows.cut(dataset.training(), config.model.max_history, shares)
        self.batch_size = options.encoder_batch_size_for(len(self.windows))
        self.steps = self.windows.steps(self.batch_size)
        total = self.steps * options.encoder_epochs
        counts = dataset.items[schema.TRAIN_COUNT].to_numpy()
        sampler = CandidateSampler(options.encoder_negatives, counts, options.encoder_sample, options.seed)
        self.model = EndToEndTrainer(
            recommender,
            microbatched_encoder,
            sampler,
            unfreezing_schedule(len(microbatched_encoder.groups), options.encoder_unfreeze * total),
            options.augmentation.words,
            options.contrastive,
            options.memory_in_loss,
        )
        self.augmentation = build_augmentation(config, recommender, dataset.training())
        slow, fast = options.encoder_learning_rate, min(options.learning_rate, 10 * options.encoder_learning_rate)
        schedule = warm_cosine(fast, int(options.warmup * total), total)
        head = keras.optimizers.AdamW(schedule, weight_decay=options.weight_decay, beta_2=0.98, clipnorm=5.0)
        groups = [group.trainable_variables for group in microbatched_encoder.groups]
        everything = microbatched_encoder.variables()
        groups[-1] = groups[-1] + everything[sum(map(len, groups)) :]
        rate = warm_cosine(slow, int(options.warmup * total), total)
        layerwise = LayerwiseOptimizer(
            groups, lambda step: float(rate(step)), options.encoder_layer_decay, options.weight_decay
        )
        self.model.compile(head, layerwise)
        self._validate = validation(recommender, dataset, config)

    def validate(self) -> dict[str, float]:
        """The validation metrics, after the catalogue is encoded with the current encoder."""
        self.model.refresh("bfloat16" if self.config.training.mixed_bfloat16 else "float32")
        return self._validate()

    def measure_start(self) -> dict[str, float]:
        """The validation metrics before the encoder is trained, which are also printed."""
        metrics = self._validate()
        if metrics:
            say("Before the encoder is trained: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        return metrics

    def run(self, loop: FitLoop) -> FitResult:
        """Trains both; on return, recommender and encoder have the weights with the best validation metric."""
        options = self.config.training
        best = loop.run(
            Stage(
                name="joint",
                model=self.model,
                batches=lambda first, stop: batches(
                    self.windows, self.config, self.batch_size, first, stop, self.augmentation
                ),
                steps=self.steps,
                epochs=options.encoder_epochs,
                validate=self.validate,
                monitor="loss" if options.monitor == "loss" else "ndcg@10",
                patience=options.patience,
                start=self.measure_start,
                weights="best",
            )
        )
        self.model.load_weights(str(best))
        return FitResult(self.recommender, loop.rows, loop.metrics)


def unfreezing_schedule(groups: int, steps: float) -> Callable[[int], int]:
    """A function from the step to the number of lowest groups that are frozen: at first all but the topmost, then one
    after the other fewer, and none from `steps` on (gradual unfreezing).

    Args:
        groups: int. Number of groups.
        steps: float. Step from which no group is frozen.

    Example:
        >>> [unfreezing_schedule(3, 10)(step) for step in (0, 4, 5, 9, 10)]
        [2, 2, 1, 1, 0]
        >>> unfreezing_schedule(3, 0)(0)
        0
    """

    def frozen(step: int) -> int:
        return 0 if step >= steps else groups - 1 - math.floor((groups - 1) * step / steps)

    return frozen
