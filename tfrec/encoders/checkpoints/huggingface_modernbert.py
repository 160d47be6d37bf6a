"""Maps Hugging Face's config and tensor names of ModernBERT to ours."""

from __future__ import annotations

from typing import Any

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.transformers.config import BackboneConfig, ModernBertConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

# Name prefixes of tensors that belong to a task head, not to the encoder.
HEADS = ("head.", "decoder.", "classifier.")

_BIASES = ("attention_bias", "mlp_bias", "norm_bias")
_FULL, _LOCAL = "full_attention", "sliding_attention"


def rename(name: str) -> str:
    """The name in a bare ModernBertModel.

    Example:
        >>> rename("model.layers.0.mlp.Wi.weight")
        'layers.0.mlp.Wi.weight'
    """
    return name.removeprefix("model.")


def config(values: dict[str, Any], pooling: str, normalise: bool) -> ModernBertConfig:
    """The config of a ModernBERT from its config.json, of transformers 4 or 5. A missing size raises KeyError.

    Args:
        values: Content of config.json.
        pooling: As in `BackboneConfig`.
        normalise: As in `BackboneConfig`.

    Raises:
        InvalidInput: The model has biases, scaled positions, or layers with other attention.
    """
    for name in _BIASES:
        if values.get(name):
            raise InvalidInput(f"config.json sets {name}, which is not supported: ModernBERT has none.")
    layers = int(values["num_hidden_layers"])
    return ModernBertConfig(
        vocab_size=int(values["vocab_size"]),
        width=int(values["hidden_size"]),
        layers=layers,
        heads=int(values["num_attention_heads"]),
        inner_width=int(values["intermediate_size"]),
        max_positions=int(values.get("max_position_embeddings", 8192)),
        activation=str(values.get("hidden_activation", "gelu")).replace("gelu_pytorch_tanh", "gelu_new"),
        dropout=float(values.get("mlp_dropout", 0.0)),
        attention_dropout=float(values.get("attention_dropout", 0.0)),
        epsilon=float(values.get("norm_eps", 1e-5)),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
        base=_base(values, _FULL, "global_rope_theta", 160_000.0),
        local_base=_base(values, _LOCAL, "local_rope_theta", 10_000.0),
        local_window=int(values.get("local_attention", 128)) // 2,
        global_every=_global_every(values, layers),
    )


def _base(values: dict[str, Any], kind: str, older_name: str, default: float) -> float:
    rotary = (values.get("rope_parameters") or {}).get(kind) or {}
    scaling = values.get("rope_scaling") or (rotary.get("rope_type", "default") != "default" and rotary)
    if scaling:
        raise InvalidInput(f"config.json scales the rotary positions ({scaling}), which is not supported.")
    return float(rotary.get("rope_theta", values.get(older_name, default)))


def _global_every(values: dict[str, Any], layers: int) -> int:
    """One layer in how many attends to all tokens."""
    kinds = values.get("layer_types")
    if kinds is None:
        return int(values.get("global_attn_every_n_layers", 3))
    every = next((place for place in range(1, layers) if kinds[place] == _FULL), layers)
    if list(kinds) != [_LOCAL if place % every else _FULL for place in range(layers)]:
        raise InvalidInput(f"config.json: expected one layer_types in n to be {_FULL}; received {kinds}.")
    return every


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.tok_embeddings.weight": (config.vocab_size, width),
        "embeddings.norm.weight": (width,),
        "final_norm.weight": (width,),
    }
    for index in range(config.layers):
        at = f"layers.{index}"
        norms = ["mlp_norm"] if index == 0 else ["attn_norm", "mlp_norm"]
        shapes |= {f"{at}.{norm}.weight": (width,) for norm in norms}
        shapes |= {f"{at}.attn.Wqkv.weight": (3 * width, width), f"{at}.attn.Wo.weight": (width, width)}
        shapes |= {f"{at}.mlp.Wi.weight": (2 * inner, width), f"{at}.mlp.Wo.weight": (width, inner)}
    return shapes


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads the tensors into a model made by `build_backbone(config)`; biases stay 0."""
    embeddings = model.get_layer("embeddings")
    embeddings.word.embeddings.assign(tensors["embeddings.tok_embeddings.weight"])
    embeddings.norm.gamma.assign(tensors["embeddings.norm.weight"])
    model.get_layer("norm").gamma.assign(tensors["final_norm.weight"])
    for index in range(config.layers):
        block, at = model.get_layer(f"layer_{index}"), f"layers.{index}"
        if index:
            block.attention_norm.gamma.assign(tensors[f"{at}.attn_norm.weight"])
        block.norm.gamma.assign(tensors[f"{at}.mlp_norm.weight"])
        block.qkv.kernel.assign(tensors[f"{at}.attn.Wqkv.weight"].T)
        block.attention_out.kernel.assign(tensors[f"{at}.attn.Wo.weight"].T)
        block.inner.kernel.assign(tensors[f"{at}.mlp.Wi.weight"].T)
        block.outer.kernel.assign(tensors[f"{at}.mlp.Wo.weight"].T)
