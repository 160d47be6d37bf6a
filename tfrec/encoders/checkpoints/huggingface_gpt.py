"""GPT-2 as Hugging Face names its settings and tensors."""

from __future__ import annotations

import re
from typing import Any

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.transformers.config import BackboneConfig, GptConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

# Beginnings of the names of what belongs to a task, not to the encoder.
HEADS = ("lm_head.", "score.", "multiple_choice_head.")

_COUNTER = re.compile(r"(^|\.)attn\.(masked_)?bias$")


def rename(name: str) -> str | None:
    """The name in a bare GPT2Model; None for the attention masks that some versions saved.

    Example:
        >>> rename("transformer.h.0.attn.c_attn.weight"), rename("h.0.attn.bias")
        ('h.0.attn.c_attn.weight', None)
    """
    return None if _COUNTER.search(name) else name.removeprefix("transformer.")


def config(read: dict[str, Any], pooling: str, normalise: bool) -> GptConfig:
    """The shape that a config.json of GPT-2 describes. A missing size is a KeyError.

    Raises:
        InvalidInput: It asks for attention that is scaled in another way, or for cross-attention.
    """
    odd = [name for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention") if read.get(name)]
    odd += ["scale_attn_weights"] if not read.get("scale_attn_weights", True) else []
    if odd:
        raise InvalidInput(f"config.json has {odd[0]} set to {read[odd[0]]}, which GPT-2 as published has not.")
    width = int(read["n_embd"])
    return GptConfig(
        vocab_size=int(read["vocab_size"]),
        width=width,
        layers=int(read["n_layer"]),
        heads=int(read["n_head"]),
        inner_width=int(read.get("n_inner") or 4 * width),
        max_positions=int(read.get("n_positions", 1024)),
        activation=str(read.get("activation_function", "gelu_new")).replace("gelu_pytorch_tanh", "gelu_new"),
        dropout=float(read.get("resid_pdrop", 0.1)),
        attention_dropout=float(read.get("attn_pdrop", 0.1)),
        epsilon=float(read.get("layer_norm_epsilon", 1e-5)),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
    )


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor that a checkpoint of this shape must have."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, width),
        "wpe.weight": (config.max_positions, width),
    }
    norms = ["ln_f"]
    for at in (f"h.{index}" for index in range(config.layers)):
        dense = {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width)}
        dense |= {"mlp.c_fc": (width, inner), "mlp.c_proj": (inner, width)}
        for name, shape in dense.items():
            shapes |= {f"{at}.{name}.weight": shape, f"{at}.{name}.bias": shape[1:]}
        norms += [f"{at}.ln_1", f"{at}.ln_2"]
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Puts the tensors into the model that `build_gpt(config)` made."""
    embeddings = model.get_layer("embeddings")
    embeddings.word.embeddings.assign(tensors["wte.weight"])
    embeddings.position.assign(tensors["wpe.weight"])
    _put(model.get_layer("norm"), tensors, "ln_f")
    for index in range(config.layers):
        block, at = model.get_layer(f"layer_{index}"), f"h.{index}"
        _put(block.attention_norm, tensors, f"{at}.ln_1")
        _put(block.qkv, tensors, f"{at}.attn.c_attn")
        _put(block.attention_out, tensors, f"{at}.attn.c_proj")
        _put(block.norm, tensors, f"{at}.ln_2")
        _put(block.inner, tensors, f"{at}.mlp.c_fc")
        _put(block.outer, tensors, f"{at}.mlp.c_proj")


def _put(layer: Any, tensors: Tensors, name: str) -> None:
    layer.set_weights([tensors[f"{name}.weight"], tensors[f"{name}.bias"]])
