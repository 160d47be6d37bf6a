"""Options of encoders: which ones are used, and how one of texts is pre-trained or adapted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config.base import COMMON, Section


class EncoderConfig(Section):
    """Which encoders turn texts and pictures into vectors, and how."""

    name: Annotated[str, COMMON] = Field(
        "minilm-l6", description="A preset, an encoder folder, or TF-Hub handles as PREPROCESSOR|ENCODER."
    )
    trainable: Annotated[bool, COMMON] = Field(
        False,
        description="Also train the encoder, jointly with the model, after a first fit with the encoder frozen. Much "
        "slower; worth trying when texts are unlike those the encoder has seen.",
    )
    lora_rank: int = Field(
        0,
        ge=0,
        description="next-item with a trainable encoder: train low-rank adapters of this rank instead of all weights "
        "of the encoder; 0 trains all.",
    )
    seq_length: int = Field(64, ge=4, description="Tokens of an item text that the encoder reads; the rest is cut.")
    batch_size: int = Field(64, ge=1, description="Texts encoded at a time. Lower it when memory runs out.")
    precision: Literal["float32", "bfloat16", "int8"] = Field(
        "float32",
        description="Arithmetic of the encoder. bfloat16 is faster on processors with instructions for it; int8 also "
        "makes the encoder a quarter of the size.",
    )
    tokens: Literal["exact", "tf-text"] = Field(
        "exact",
        description="Tokens of a preset: those of Hugging Face's tokeniser, or those of tf-text, for the numbers of "
        "earlier versions. An encoder folder has its own.",
    )
    dim: int | None = Field(
        None,
        ge=1,
        description="Leading values of each text vector to keep, which is then scaled to unit length. For Matryoshka "
        "encoders, whose first values mean most. null keeps all.",
    )
    item_prompt: str | None = Field(
        None,
        description="Written before each text of an item, such as 'passage: '. null: what the encoder folder says.",
    )
    query_prompt: str | None = Field(
        None, description="Written before each text of a query, such as 'query: '. null: what the encoder folder says."
    )
    image: str | None = Field(
        None,
        description="next-item: encoder of the items' pictures: efficientnet-lite0, an encoder folder or a TF-Hub "
        "handle. null: pictures are not read.",
    )
    image_column: str = Field(
        "image", description="Column of the catalogue with pictures: bytes, file names or data URIs of image files."
    )
    image_precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Arithmetic of the encoder of pictures. bfloat16 is faster on processors with instructions for it, "
        "and works with efficientnet-lite0.",
    )
    image_folder: str = Field(".", description="Folder that file names of pictures start from.")
    storage: Literal["float32", "float16", "int8"] = Field(
        "float32", description="Type in which text vectors are cached on disk. Smaller types lose some precision."
    )


class PretrainingConfig(Section):
    """How `tfrec encoder pretrain` trains an encoder on unlabelled text."""

    family: Literal["bert", "gpt"] = Field(
        "bert", description="bert: masked language model. gpt: next-token prediction."
    )
    size: Literal["tiny", "mini", "small", "medium", "base"] = Field(
        "mini", description="Size of a new encoder. Ignored with --from."
    )
    vocab_size: int = Field(8000, ge=8, description="Word pieces of a new vocabulary. Ignored with --from.")
    lower_case: bool = Field(True, description="Whether a new vocabulary is lower-case. Ignored with --from.")
    seq_length: int = Field(128, ge=8, description="Tokens a text is cut to.")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="bert: share of the words that are masked.")
    steps: int = Field(2000, ge=1, description="Optimizer steps.")
    head_steps: int = Field(
        200,
        ge=0,
        description="bert with --from: extra steps at the start that train only the new prediction head, so that its "
        "random weights do not disturb the encoder.",
    )
    batch_size: int = Field(32, ge=1, description="Texts in a batch.")
    accumulate: int = Field(
        1,
        ge=1,
        description="Batches whose gradients are added up for one step. Raise it for larger steps in the same memory.",
    )
    learning_rate: float = Field(5e-4, gt=0, description="Highest learning rate.")
    warmup: float = Field(
        0.06, ge=0, lt=1, description="Share of the steps in which the rate rises; after that it falls linearly to 0."
    )
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay (AdamW).")
    held_out: float = Field(
        0.02, gt=0, lt=0.5, description="Share of the texts that are not trained on and measure the loss."
    )
    max_held_out: int = Field(1000, ge=1, description="Largest number of held-out texts.")
    checkpoint_every: int = Field(200, ge=1, description="Steps between checkpoints; `--resume` starts at the last.")
    mixed_bfloat16: bool = Field(
        False, description="Compute in bfloat16. Faster on hardware with instructions for it, slower elsewhere."
    )
    seed: int = Field(0, description="Seed of the initial weights, the order of the texts and the masks.")


class AdaptationConfig(Section):
    """How `tfrec encoder adapt` trains an encoder to place items close together that the same users take."""

    steps: int = Field(100, ge=1, description="Optimizer steps.")
    batch_size: int = Field(
        256, ge=2, description="Pairs of items a step. The other pairs of the batch are the negatives."
    )
    window: int = Field(
        1, ge=1, description="Two items of one history form a pair when at most this many events apart."
    )
    sitting: float | None = Field(
        None,
        gt=0,
        description="Longest session gap in minutes: the two events of a pair may not be further apart. null: no "
        "limit. Ignored where events have no clock.",
    )
    temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive loss.")
    learning_rate: float = Field(3e-5, gt=0, description="Highest learning rate.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay (AdamW).")
    seq_length: int = Field(64, ge=4, description="Tokens a text is cut to.")
    held_out: float = Field(
        0.05, gt=0, le=0.5, description="Share of the users whose pairs are not trained on and measure the result."
    )
    memory: float = Field(
        1.0,
        ge=0,
        description="GiB of activations kept for the backward pass; the others are computed again. Lower it when "
        "memory runs out.",
    )
    mixed_bfloat16: bool = Field(
        False, description="Compute in bfloat16. Faster on hardware with instructions for it, slower elsewhere."
    )
    seed: int = Field(0, description="Seed of the held-out users and the order of the pairs.")
