"""Maps Hugging Face's config and tensor names of GPT-2 to ours."""

from __future__ import annotations

import re
from typing import Any

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.transformers.config import BackboneConfig, GptConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

# Name prefixes of tensors that belong to a task head, not to the encoder.
HEADS = ("lm_head.", "score.", "multiple_choice_head.")

_SAVED_MASK = re.compile(r"(^|\.)attn\.(masked_)?bias$")


def rename(name: str) -> str | None:
    """The name in a bare GPT2Model; None for the attention masks that some versions saved.

    Example:
        >>> rename("transformer.h.0.attn.c_attn.weight"), rename("h.0.attn.bias")
        ('h.0.attn.c_attn.weight', None)
    """
    return None if _SAVED_MASK.search(name) else name.removeprefix("transformer.")


def config(values: dict[str, Any], pooling: str, normalise: bool) -> GptConfig:
    """The config of a GPT-2 from its config.json. A missing size raises KeyError.

    Args:
        values: Content of config.json.
        pooling: As in `BackboneConfig`.
        normalise: As in `BackboneConfig`.

    Raises:
        InvalidInput: The model uses another attention scaling, or cross-attention.
    """
    unsupported = [name for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention") if values.get(name)]
    unsupported += ["scale_attn_weights"] if not values.get("scale_attn_weights", True) else []
    if unsupported:
        name = unsupported[0]
        raise InvalidInput(f"config.json sets {name} to {values[name]}, which is not supported: GPT-2 does not use it.")
    width = int(values["n_embd"])
    return GptConfig(
        vocab_size=int(values["vocab_size"]),
        width=width,
        layers=int(values["n_layer"]),
        heads=int(values["n_head"]),
        inner_width=int(values.get("n_inner") or 4 * width),
        max_positions=int(values.get("n_positions", 1024)),
        activation=str(values.get("activation_function", "gelu_new")).replace("gelu_pytorch_tanh", "gelu_new"),
        dropout=float(values.get("resid_pdrop", 0.1)),
        attention_dropout=float(values.get("attn_pdrop", 0.1)),
        epsilon=float(values.get("layer_norm_epsilon", 1e-5)),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
    )


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
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
    """Loads the tensors into a model made by `build_gpt(config)`."""
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
