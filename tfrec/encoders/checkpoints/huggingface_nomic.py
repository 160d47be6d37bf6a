"""Maps Hugging Face's config and tensor names of nomic-embed-text to ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.transformers.config import BackboneConfig, NomicConfig
from tfrec.errors import InvalidInput
from tfrec.keras import keras

# Name prefixes of tensors that belong to a task head, not to the encoder.
HEADS = ("cls.", "pooler.", "classifier.")

# Options of the published config.json with which the model is the one that tfrec has.
_EXPECTED: dict[str, tuple[Any, ...]] = {
    "activation_function": (None, "swiglu"),
    "causal": (None, False),
    "mlp_fc1_bias": (None, False),
    "mlp_fc2_bias": (None, False),
    "moe_every_n_layers": (None, 0),
    "parallel_block": (None, False),
    "prenorm": (None, False),
    "qkv_proj_bias": (None, False),
    "rotary_emb_fraction": (None, 1.0),
    "rotary_emb_interleaved": (None, False),
    "rotary_emb_scale_base": (None,),
    "use_rms_norm": (None, False),
}
_TRAINED_POSITIONS = 2048  # what the model was trained with, where its file does not say


def rename(name: str) -> str:
    """The name in a bare NomicBertModel.

    Example:
        >>> rename("bert.encoder.layers.0.mlp.fc11.weight")
        'encoder.layers.0.mlp.fc11.weight'
    """
    return name.removeprefix("bert.")


def config(values: dict[str, Any], pooling: str, normalise: bool) -> NomicConfig:
    """The config of a nomic encoder from its config.json, as published or as transformers 5 saves it.

    Args:
        values: Content of config.json; a missing size raises KeyError.
        pooling: As in `BackboneConfig`.
        normalise: As in `BackboneConfig`.

    Raises:
        InvalidInput: The model has parts that nomic-embed-text v1.5 lacks.
    """
    for name, expected in _EXPECTED.items():
        if values.get(name) not in expected:
            raise InvalidInput(f"config.json: expected {name} {expected[-1]}; received {values[name]!r}.")
    rotary = values.get("rope_parameters") or {}
    if rotary.get("rope_type", "default") != "default":
        raise InvalidInput(f"config.json scales the rotary positions ({rotary}), which is not supported.")

    def size(name: str, published: str) -> int:
        return int(values[published if published in values else name])

    trained = values.get("max_position_embeddings") or values.get("max_trained_positions") or _TRAINED_POSITIONS
    return NomicConfig(
        vocab_size=int(values["vocab_size"]),
        width=size("hidden_size", "n_embd"),
        layers=size("num_hidden_layers", "n_layer"),
        heads=size("num_attention_heads", "n_head"),
        inner_width=size("intermediate_size", "n_inner"),
        max_positions=min(int(trained), int(values.get("n_positions") or trained)),
        types=int(values.get("type_vocab_size", 2)),
        activation=str(values.get("hidden_act", "silu")),
        epsilon=float(values.get("layer_norm_eps", values.get("layer_norm_epsilon", 1e-12))),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
        base=float(rotary.get("rope_theta") or values.get("rotary_emb_base") or 1000.0),
    )


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.token_type_embeddings.weight": (config.types, width),
    }
    norms = ["emb_ln"]
    for at in (f"encoder.layers.{index}" for index in range(config.layers)):
        shapes |= {f"{at}.attn.Wqkv.weight": (3 * width, width), f"{at}.attn.out_proj.weight": (width, width)}
        shapes |= {f"{at}.mlp.{name}.weight": (inner, width) for name in ("fc11", "fc12")}
        shapes |= {f"{at}.mlp.fc2.weight": (width, inner)}
        norms += [f"{at}.norm1", f"{at}.norm2"]
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads the tensors into a model made by `build_backbone(config)`; biases of products stay 0."""
    embeddings = model.get_layer("embeddings")
    embeddings.word.embeddings.assign(tensors["embeddings.word_embeddings.weight"])
    embeddings.type.embeddings.assign(tensors["embeddings.token_type_embeddings.weight"])
    _norm(embeddings.norm, tensors, "emb_ln")
    for index in range(config.layers):
        block, at = model.get_layer(f"layer_{index}"), f"encoder.layers.{index}"
        gated = [tensors[f"{at}.mlp.{name}.weight"] for name in ("fc12", "fc11")]  # the activation is that of fc12
        block.qkv.kernel.assign(tensors[f"{at}.attn.Wqkv.weight"].T)
        block.attention_out.kernel.assign(tensors[f"{at}.attn.out_proj.weight"].T)
        block.inner.kernel.assign(np.concatenate(gated).T)
        block.outer.kernel.assign(tensors[f"{at}.mlp.fc2.weight"].T)
        _norm(block.attention_norm, tensors, f"{at}.norm1")
        _norm(block.norm, tensors, f"{at}.norm2")


def _norm(layer: Any, tensors: Tensors, name: str) -> None:
    layer.set_weights([tensors[f"{name}.weight"], tensors[f"{name}.bias"]])
