"""How items are encoded: which encoder, how it is pre-trained and adapted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


class EncoderConfig(Section):
    """Which encoder reads the text, and how."""

    name: str = Field("minilm-l6", description="Preset, folder, or any handle that hub.KerasLayer takes.")
    trainable: bool = Field(False, description="Whether it is trained with the model, after a fit with it frozen.")
    lora_rank: int = Field(0, ge=0, description="next-item, trainable: train adapters of this rank; 0 for all weights.")
    seq_length: int = Field(64, ge=4, description="Tokens an item text is cut to.")
    batch_size: int = Field(64, ge=1)
    precision: Literal["float32", "bfloat16", "int8"] = Field("float32", description="In which texts are encoded.")
    storage: Literal["float32", "float16", "int8"] = Field("float32", description="In which their vectors are kept.")


class PretrainingConfig(Section):
    """How an encoder is pre-trained on text without labels (`tfrec encoder pretrain`)."""

    family: Literal["bert", "gpt"] = Field("bert", description="bert learns hidden words, gpt the next token.")
    size: Literal["tiny", "mini", "small", "medium", "base"] = Field("mini", description="From scratch only.")
    vocab_size: int = Field(8000, ge=8, description="Word pieces to learn; from scratch only.")
    lower_case: bool = Field(True, description="From scratch only.")
    seq_length: int = Field(128, ge=8, description="Tokens a text is cut to.")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="bert: share of the words that are hidden.")
    steps: int = Field(2000, ge=1)
    head_steps: int = Field(
        200, ge=0, description="bert, from a checkpoint: steps before them, in which only the new head is learnt."
    )
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
    sitting: float | None = Field(None, gt=0, description="Minutes between them, at most, where events have a clock.")
    temperature: float = Field(0.05, gt=0)
    learning_rate: float = Field(3e-5, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps spent warming up.")
    weight_decay: float = Field(0.0, ge=0)
    seq_length: int = Field(64, ge=4, description="Tokens a text is cut to.")
    held_out: float = Field(0.05, gt=0, le=0.5, description="Share of the people whose pairs measure.")
    memory: float = Field(1.0, ge=0, description="GiB of activations kept; the rest is computed again.")
    mixed_bfloat16: bool = False
    seed: int = 0
